"""The all-MLP head of SegFormer (arXiv 2105.15203) on four levels with few channels, for small images and networks."""

model = dict(
    type="EncoderDecoder",
    decode_head=dict(
        type="SegformerHead",
        in_channels="auto",
        in_index=[0, 1, 2, 3],
        channels=96,
        dropout_ratio=0.1,
        norm_cfg=dict(type="SyncBN", requires_grad=True),
        align_corners=True,  # features lie at multiples of the stride: crops of 32 k + 1
        loss_decode=dict(type="CrossEntropyLoss", use_sigmoid=False, loss_weight=1.0, avg_non_ignore=True),
    ),
)
