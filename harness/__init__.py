"""A plugin-based benchmarking harness for weakly-supervised semantic segmentation (WSSS)."""

__version__ = "0.1.0"
