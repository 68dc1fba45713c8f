"""A small head with image context on frozen or trained features from stride 8 on: costs little on a CPU."""

model = dict(
    type="EncoderDecoder",
    decode_head=dict(
        type="harness.modelling.heads.ContextHead",
        in_channels="auto",
        in_index=[1, 2, 3],
        channels=128,
        dropout_ratio=0.1,
        norm_cfg=dict(type="SyncBN", requires_grad=True),
        align_corners=True,
        loss_decode=dict(type="CrossEntropyLoss", use_sigmoid=False, loss_weight=1.0, avg_non_ignore=True),
    ),
)
