"""The head of mlp_stride8 for crops of 32 k + 1 pixels, where features lie at multiples of the stride."""

_base_ = "mlp_stride8.py"
model = dict(decode_head=dict(align_corners=True))
