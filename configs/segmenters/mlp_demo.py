"""The head of mlp_stride8 with half the channels, for the demo's small network on crops of 32 k + 1 pixels."""

_base_ = "mlp_stride8.py"
model = dict(decode_head=dict(channels=64, align_corners=True))
