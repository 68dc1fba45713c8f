"""The mmseg model of the conformance kit: a light FCN head on the deepest level."""

model = dict(
    type="EncoderDecoder",
    decode_head=dict(
        type="FCNHead",
        in_channels="auto",
        in_index=-1,
        channels=16,
        num_convs=1,
        concat_input=False,
        dropout_ratio=0.1,
        norm_cfg=dict(type="SyncBN", requires_grad=True),
        align_corners=False,
        loss_decode=dict(type="CrossEntropyLoss", use_sigmoid=False, loss_weight=1.0, avg_non_ignore=True),
    ),
)
