"""SegFormer (arXiv 2105.15203) with the 768 channels that the paper gives to backbones from B2 on."""

_base_ = "segformer.py"
model = dict(decode_head=dict(channels=768))
