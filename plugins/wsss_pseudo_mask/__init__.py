"""Pseudo-mask matters: variation smoothing, proportional generation, pretended under-fitting, cyclic masks."""
