"""DeepLabV3+ (arXiv 1802.02611) with few channels, for small backbones and machines without an accelerator."""

model = dict(
    type="EncoderDecoder",
    decode_head=dict(
        type="DepthwiseSeparableASPPHead",
        in_channels="auto",
        in_index=-1,
        channels=64,
        dilations=(1, 6, 12),
        c1_in_channels="auto",
        c1_channels=16,
        dropout_ratio=0.1,
        norm_cfg=dict(type="SyncBN", requires_grad=True),
        align_corners=True,  # features lie at multiples of the stride: crops of 32 k + 1
        loss_decode=dict(type="CrossEntropyLoss", use_sigmoid=False, loss_weight=1.0, avg_non_ignore=True),
    ),
)
