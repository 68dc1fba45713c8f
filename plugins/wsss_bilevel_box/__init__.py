"""Bi-level class-agnostic pseudo-mask generator: boxes, and masks of other classes."""
