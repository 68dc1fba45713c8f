"""The hooks, one screen. Registration hooks yield frozen records and do no work.

The smallest plugin is one file::

    from harness.contract import GeneratorRecord, MethodRecord, Round, Use, hookimpl

    @hookimpl
    def wsss_generators():
        yield GeneratorRecord("mine", factory="my_plugin.method:Mine")

    @hookimpl
    def wsss_methods():
        yield MethodRecord("mine", rounds=(Round(Use("mine")),))

Observers (``wsss_run_started`` and the rest) are told what happens; what they raise is logged once
and changes no result.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import pluggy

if TYPE_CHECKING:
    from harness.contract import records
    from harness.contract.events import RunEvent, StageEvent

PROJECT = "wsss"
hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


@hookspec
def wsss_generators() -> Iterable[records.GeneratorRecord]:  # type: ignore[empty-body]
    """``yield GeneratorRecord("box_fill", factory="wsss_baselines.generator:BoxFill", needs=(BOXES,))``."""


@hookspec
def wsss_refiners() -> Iterable[records.RefinerRecord]:  # type: ignore[empty-body]
    """``yield RefinerRecord("dense_crf", factory="my_plugin.crf:DenseCRF")``."""


@hookspec
def wsss_segmenters() -> Iterable[records.SegmenterRecord]:  # type: ignore[empty-body]
    """``yield SegmenterRecord("plain", factory="wsss_baselines.segmenter:Plain")``."""


@hookspec
def wsss_methods() -> Iterable[records.MethodRecord]:  # type: ignore[empty-body]
    """``yield MethodRecord("box_fill", rounds=(Round(Use("box_fill")),))``."""


@hookspec
def wsss_datasets() -> Iterable[records.DatasetRecord]:  # type: ignore[empty-body]
    """``yield DatasetRecord("voc", factory="harness.data.voc:VocDataset", params=VocParams)``."""


@hookspec
def wsss_backbones() -> Iterable[records.BackboneRecord]:  # type: ignore[empty-body]
    """``yield BackboneRecord("resnet18", factory="harness.modelling.backbones:resnet18", ...)``."""


@hookspec
def wsss_metrics() -> Iterable[records.MetricRecord]:  # type: ignore[empty-body]
    """``yield MetricRecord("worst_class", factory="my_plugin.metrics:worst_class", column="worst class IoU")``."""


@hookspec
def wsss_renderers() -> Iterable[records.RendererRecord]:  # type: ignore[empty-body]
    """``yield RendererRecord("md", factory="harness.leaderboard.render:Markdown", suffix=".md")``."""


@hookspec
def wsss_executors() -> Iterable[records.ExecutorRecord]:  # type: ignore[empty-body]
    """``yield ExecutorRecord("local", factory="harness.engine.executors.local:LocalExecutor")``."""


@hookspec
def wsss_run_started(run: RunEvent) -> None:
    """Called once before the first stage of a benchmark."""


@hookspec
def wsss_stage_finished(stage: StageEvent) -> None:
    """Called after each stage, also a cached or failed one."""


@hookspec
def wsss_run_finished(run: RunEvent) -> None:
    """Called once after the last record was written."""
