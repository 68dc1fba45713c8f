"""What a protocol that freezes the backbone asks of a benchmark, and how large its stored features will be."""

from __future__ import annotations

import ast
import math
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.common.files import read_bytes
from harness.contract.errors import ConfigError
from harness.engine.plan.segmenter_file import segmenter_files

if TYPE_CHECKING:
    from harness.contract.protocol import BackboneSettings, FreezeSettings, TestSettings
    from harness.contract.records import BackboneRecord
    from harness.engine.plan.config import Benchmark

_FLOAT16, _FLOAT32 = 2, 4
_LONG_SIDE = 500
_DEEPEST = 5
"""The deepest level of a network halves the image so many times, each level above it once less."""


def check_freeze(
    benchmark: Benchmark, records: Sequence[BackboneRecord], backbones: Sequence[BackboneSettings]
) -> None:
    """The backbones have weights worth keeping, and the levels that classifier and segmenter read are stored.

    Args:
        benchmark: With or without a frozen backbone.
        records: Of its backbones.
        backbones: The same, with their weights found.

    Raises:
        ConfigError: They do not; names file and field.
    """
    freeze, path = benchmark.protocol.freeze, benchmark.path
    if freeze is None:
        return
    for record, backbone in zip(records, backbones, strict=True):
        if backbone.weights is None:
            raise ConfigError(
                f"{path}: protocol.freeze: backbone {record.name!r} has random initial weights, which are not worth "
                "keeping; give it weights, or take freeze away (-o protocol.freeze=null)"
            )
        _check_levels(benchmark, freeze, record)


def _check_levels(benchmark: Benchmark, freeze: FreezeSettings, record: BackboneRecord) -> None:
    path, count = benchmark.path, len(record.channels)
    wrong = [level for level in freeze.levels or () if not -count <= level < count]
    if wrong or not count:
        raise ConfigError(
            f"{path}: protocol.freeze.levels: backbone {record.name!r} has {count} levels, "
            + (f"{wrong[0]} is none of {-count} to {count - 1}" if wrong else "nothing can be stored of it")
        )
    stored = freeze.stored(count)
    config = Path(benchmark.protocol.segmenter.config)
    asked = {
        "protocol.classifier.levels": benchmark.protocol.classifier.levels,
        f"protocol.segmenter.config: {config.name}": tuple(levels_of_heads(segmenter_files(config))),
    }
    for where, levels in asked.items():
        missing = [level for level in levels if -count <= level < count and range(count)[level] not in stored]
        if missing:
            raise ConfigError(
                f"{path}: {where} reads level {missing[0]} of backbone {record.name!r}, which protocol.freeze does not "
                f"store; set protocol.freeze.levels to {sorted({*stored, range(count)[missing[0]]})}"
            )


def levels_of_heads(files: Collection[Path]) -> Iterator[int]:
    """Levels that the heads of an mmseg configuration read, as far as its Python source tells without being run.

    These are the literal values of ``in_index``, and level 0 where a head has ``c1_in_channels``.
    """
    for file in files:
        for node in ast.walk(ast.parse(read_bytes(file))):
            for name, value in _named(node):
                if name == "c1_in_channels":
                    yield 0
                if name == "in_index":
                    yield from _numbers(value)


def _named(node: ast.AST) -> Iterator[tuple[str | None, ast.expr]]:
    """The keyword arguments of a call, or the items of a dictionary whose keys are written out."""
    if isinstance(node, ast.Call):
        yield from ((keyword.arg, keyword.value) for keyword in node.keywords)
    if isinstance(node, ast.Dict):
        for key, value in zip(node.keys, node.values, strict=True):
            if isinstance(key, ast.Constant) and isinstance(key.value, str):
                yield key.value, value


def _numbers(value: ast.expr) -> list[int]:
    try:
        found: Any = ast.literal_eval(value)
    except (ValueError, TypeError):  # computed when the file runs
        return []
    return [level for level in (found if isinstance(found, list | tuple) else [found]) if isinstance(level, int)]


def feature_bytes(freeze: FreezeSettings, channels: Sequence[int], images: int) -> int:
    """Size on disk of the stored features, from the backbone's record.

    Level l of n is taken to have the stride 2^(6 + l - n), or the output stride where that is smaller.

    Args:
        freeze: Views, levels, crop and output stride.
        channels: Of the backbone's levels.
        images: Training images.
    """
    side = freeze.augment.crop
    return _FLOAT16 * _numbers_of(freeze, channels, (side, side)) * freeze.views * images


def predicted_bytes(freeze: FreezeSettings, test: TestSettings, channels: Sequence[int], images: int) -> int:
    """About the size on disk of the features of predicted images, which are taken as 4:3.

    Args:
        freeze: Levels and output stride.
        test: Scales, flip and base size; without a base size images are taken as 500 pixels long.
        channels: Of the backbone's levels.
        images: Scored validation images.
    """
    long = test.base or _LONG_SIDE
    sides = [(long * scale, 0.75 * long * scale) for scale in test.scales]
    numbers = sum(_numbers_of(freeze, channels, side) for side in sides)
    return _FLOAT32 * numbers * (2 if test.flip else 1) * images


def _numbers_of(freeze: FreezeSettings, channels: Sequence[int], sides: tuple[float, float]) -> int:
    """Numbers in the stored levels of one view."""
    count = len(channels)
    strides = {level: min(2 ** (_DEEPEST + 1 + level - count), freeze.output_stride) for level in freeze.stored(count)}
    return sum(channels[k] * math.prod(math.ceil(side / stride) for side in sides) for k, stride in strides.items())
