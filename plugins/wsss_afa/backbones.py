"""Mix Transformers whose last stage attends over its whole map at output stride 16, as the paper's network does.

The harness's own ``mit_b0`` and ``mit_b2`` run that stage on four interleaved maps there, which is what its pretrained
weights know. Here, as in the released code, the same weights see four times as many cells.
"""

from __future__ import annotations

from typing import Any


def _mit(width: int, layers: list[int], output_stride: int, drop_path: float) -> dict[str, Any]:
    return {
        "type": "MixVisionTransformer",
        "embed_dims": width,
        "num_stages": 4,
        "num_layers": layers,
        "num_heads": [1, 2, 5, 8],
        "patch_sizes": [7, 3, 3, 3],
        "strides": [4, 2, 2, 1 if output_stride == 16 else 2],
        "sr_ratios": [8, 4, 2, 1],
        "out_indices": (0, 1, 2, 3),
        "mlp_ratio": 4,
        "qkv_bias": True,
        "drop_rate": 0.0,
        "attn_drop_rate": 0.0,
        "drop_path_rate": drop_path,
    }


def mit_b1_dense(output_stride: int) -> dict[str, Any]:
    """Mix Transformer B1 (arXiv 2105.15203)."""
    return _mit(64, [2, 2, 2, 2], output_stride, 0.1)


def mit_narrow(output_stride: int) -> dict[str, Any]:
    """Half the width of B0 and fewer blocks, 0.6 M parameters."""
    return _mit(16, [1, 1, 1, 2], output_stride, 0.0)
