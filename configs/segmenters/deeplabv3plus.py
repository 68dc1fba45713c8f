"""DeepLabV3+ (arXiv 1802.02611) with mmseg's auxiliary FCN head, for backbones at output stride 8 or 16."""

norm_cfg = dict(type="SyncBN", requires_grad=True)
loss_decode = dict(type="CrossEntropyLoss", use_sigmoid=False, loss_weight=1.0, avg_non_ignore=True)
model = dict(
    type="EncoderDecoder",
    decode_head=dict(
        type="DepthwiseSeparableASPPHead",
        in_channels="auto",
        in_index=-1,
        channels=512,
        dilations=(1, 12, 24, 36),
        c1_in_channels="auto",
        c1_channels=48,
        dropout_ratio=0.1,
        norm_cfg=norm_cfg,
        align_corners=False,
        loss_decode=loss_decode,
    ),
    auxiliary_head=dict(
        type="FCNHead",
        in_channels="auto",
        in_index=-2,
        channels=256,
        num_convs=1,
        concat_input=False,
        dropout_ratio=0.1,
        norm_cfg=norm_cfg,
        align_corners=False,
        loss_decode=dict(loss_decode, loss_weight=0.4),
    ),
)
