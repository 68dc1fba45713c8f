"""SegFormer (arXiv 2105.15203) with the 256 channels that the paper gives to backbones B0 and B1."""

_base_ = "segformer.py"
model = dict(decode_head=dict(channels=256))
