"""A plugin written for contract 1. It is never edited: hosts that support contract 1 must load it as it is."""

from dataclasses import dataclass, field

from harness.contract import (
    BOXES,
    CAMS,
    CLASSIFIER,
    MASKS,
    SALIENCY,
    TAGS,
    BackboneRecord,
    Card,
    DatasetRecord,
    ExecutorRecord,
    GeneratorRecord,
    MethodRecord,
    MetricRecord,
    NoParams,
    RefinerRecord,
    RendererRecord,
    Reported,
    Round,
    SegmenterRecord,
    SharedStage,
    Use,
    hookimpl,
    masks,
)


@dataclass(frozen=True)
class Params:
    share: float = field(default=0.25, metadata={"help": "share of pixel masks"})
    rounds: int = 2


CARD = Card(
    title="A method",
    paper="Somebody et al., 2021",
    year=2021,
    licence="MIT",
    reconstruction=True,
    reported=(
        Reported(
            value=0.6,
            metric="val mIoU",
            dataset="voc2012",
            split="val",
            source="Table 1",
            backbone="ResNet-101",
            init="ImageNet",
            crf=True,
        ),
    ),
    notes="none",
)
EDGES = SharedStage(
    name="edges",
    run="golden_method:edges",
    params={"sigma": 1.0},
    needs=(SALIENCY,),
    reads=("cam",),
    after=(CLASSIFIER,),
    code=("golden_method",),
)


@hookimpl
def wsss_generators():
    yield GeneratorRecord(
        name="golden",
        factory="golden_method:Golden",
        params=Params,
        card=CARD,
        summary="everything a generator can declare",
        contract=1,
        needs=lambda params: (TAGS, BOXES, masks(params.share)),
        uses=lambda params: (CAMS, EDGES),
        reads=("cam", "classifier"),
        uses_previous=True,
        fits=True,
    )


@hookimpl
def wsss_refiners():
    yield RefinerRecord("golden", factory="golden_method:Refine", contract=1, needs=(TAGS,), uses=(EDGES,), reads=())


@hookimpl
def wsss_segmenters():
    yield SegmenterRecord("golden", factory="golden_method:Segment", contract=1, needs=(MASKS,), uses=(), reads=())


@hookimpl
def wsss_methods():
    yield MethodRecord(
        name="golden",
        rounds=lambda params: (
            Round(Use("golden"), (Use("golden"),), Use("golden")),
            *(Round(Use("golden", {"share": 0.5}), warm_start=True, segmenter=Use("golden")),) * (params.rounds - 1),
        ),
        params=Params,
        card=CARD,
        summary="a method of two rounds",
        contract=1,
        reference=False,
    )


@hookimpl
def wsss_datasets():
    yield DatasetRecord("golden", factory="golden_method:Data", params=NoParams, contract=1, show_images=True)


@hookimpl
def wsss_backbones():
    yield BackboneRecord(
        "golden",
        factory="golden_method:backbone",
        contract=1,
        channels=(16, 32),
        output_strides=(8, 16),
        init="golden.pth",
        trained_on="ImageNet-1k",
        size_rule="any",
    )


@hookimpl
def wsss_metrics():
    yield MetricRecord("golden", factory="golden_method:metric", contract=1, column="golden")


@hookimpl
def wsss_renderers():
    yield RendererRecord("golden", factory="golden_method:render", contract=1, suffix=".golden")


@hookimpl
def wsss_executors():
    yield ExecutorRecord("golden", factory="golden_method:Executor", contract=1)


@hookimpl
def wsss_run_started(run):
    assert run.benchmark
    assert run.fingerprint
    assert run.cells
    assert run.failed == 0


@hookimpl
def wsss_stage_finished(stage):
    assert stage.name
    assert stage.key
    assert stage.status == "done"
    assert (stage.seconds, stage.peak_mib, stage.error) == (1.0, 2.0, None)


@hookimpl
def wsss_run_finished(run):
    wsss_run_started(run)
