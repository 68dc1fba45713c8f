"""DeepLab v1 (arXiv 1412.7062): one 1x1 convolution on the deepest level; the field of view is the backbone's."""

model = dict(
    type="EncoderDecoder",
    decode_head=dict(
        type="harness.modelling.heads.LinearHead",
        in_channels="auto",
        in_index=-1,
        dropout_ratio=0.0,
        align_corners=True,  # features lie at multiples of the stride: crops of 32 k + 1
        loss_decode=dict(type="CrossEntropyLoss", use_sigmoid=False, loss_weight=1.0, avg_non_ignore=True),
    ),
)
