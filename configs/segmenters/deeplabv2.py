"""DeepLab v2 (arXiv 1606.00915): the sum of four dilated convolutions, for backbones at output stride 8."""

model = dict(
    type="EncoderDecoder",
    decode_head=dict(
        type="harness.modelling.heads.SummedAtrousHead",
        in_channels="auto",
        in_index=-1,
        dilations=(6, 12, 18, 24),
        dropout_ratio=0.0,
        align_corners=True,  # features lie at multiples of the stride: crops of 32 k + 1
        loss_decode=dict(type="CrossEntropyLoss", use_sigmoid=False, loss_weight=1.0, avg_non_ignore=True),
    ),
)
