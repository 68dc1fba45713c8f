"""PSPNet (arXiv 1612.01105) with mmseg's auxiliary FCN head."""

norm_cfg = dict(type="SyncBN", requires_grad=True)
loss_decode = dict(type="CrossEntropyLoss", use_sigmoid=False, loss_weight=1.0, avg_non_ignore=True)
model = dict(
    type="EncoderDecoder",
    decode_head=dict(
        type="PSPHead",
        in_channels="auto",
        in_index=-1,
        channels=512,
        pool_scales=(1, 2, 3, 6),
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
