"""PSPNet for WideResNet-38: the auxiliary head sees the 1,024-channel stage, two before the last."""

_base_ = "pspnet.py"
model = dict(auxiliary_head=dict(in_index=-3))
