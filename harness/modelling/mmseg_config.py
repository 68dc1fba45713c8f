"""What an mmsegmentation configuration says about its data: files, ids and classes, as mmseg itself would read them.

Read from the configuration: ``train_dataloader.dataset`` and ``val_dataloader.dataset``, or ``data.train`` and
``data.val`` of mmsegmentation 0.x. Suffixes, classes and ``reduce_zero_label`` that a data set leaves out are those of
its class in mmseg. Pipelines are not read: the protocol says how images are augmented.
"""

from __future__ import annotations

import inspect
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from harness.common.files import read_text
from harness.common.text import one_line, printable
from harness.contract import IGNORE, ConfigError, DataError
from harness.contract.arrays import Mask
from harness.modelling import mm

UNKNOWN = 254
"""In a table of ids: no class."""

_WRAPPERS = {"RepeatDataset": "dataset", "ConcatDataset": "datasets"}
_READ = {
    "type", "data_root", "data_prefix", "ann_file", "img_suffix", "seg_map_suffix", "metainfo", "reduce_zero_label",
    "ignore_index", "img_dir", "ann_dir", "split", "classes", "palette",
}  # fmt: skip
_WITHOUT_MEANING = {"pipeline", "test_mode", "serialize_data", "lazy_init", "max_refetch", "times"}
"""Fields that say nothing about which images there are and what their masks mean."""


@dataclass(frozen=True)
class Pair:
    """An image and its mask; ``mask`` is ``None`` where the configuration names no folder of masks."""

    image_id: str
    image: Path
    mask: Path | None


@dataclass(frozen=True)
class SplitConfig:
    """One split.

    Attributes:
        classes: Names by class index.
        table: (256,) uint8, id in a mask -> class index, ``IGNORE`` or ``UNKNOWN``.
        pairs: Its images in order.
    """

    classes: tuple[str, ...]
    table: Mask
    pairs: tuple[Pair, ...]


def read_config(path: Path, root: Path | None) -> dict[str, SplitConfig]:
    """Training and validation images of the configuration ``path``.

    Args:
        path: A ``.py`` file; it is run.
        root: In place of every ``data_root``.

    Raises:
        ConfigError: The file cannot be read, or a field says what is not supported.
        DataError: A list is missing.
    """
    config = _loaded(path)
    splits = {}
    for split in ("train", "val"):
        field, stated = _stated(config, split, path)
        parts = [_Part(f"{printable(path)}: {name}", fields, root) for name, fields in _unwrapped(field, stated, path)]
        first = parts[0]
        for part in parts[1:]:
            if part.classes != first.classes or not np.array_equal(part.table, first.table):
                raise ConfigError(f"{part.where}: classes and ids must be those of {first.where}")
        splits[split] = SplitConfig(first.classes, first.table, tuple(pair for part in parts for pair in part.pairs()))
    train, val = splits["train"], splits["val"]
    if train.classes != val.classes or not np.array_equal(train.table, val.table):
        raise ConfigError(f"{printable(path)}: training and validation images must have the same classes and ids")
    return splits


def _loaded(path: Path) -> dict[str, Any]:
    read_text(path)  # refuses what is no text file, in one sentence
    if path.suffix != ".py":
        raise ConfigError(f"{printable(path)}: an mmsegmentation configuration is a .py file")
    try:
        with mm.quiet():
            config = mm.plain(mm.Config.fromfile(path, format_python_code=False).to_dict())
    except (Exception, SystemExit) as error:  # a configuration is a program, which may raise anything
        with mm.quiet():
            error.__traceback__ = None  # mmengine leaves a file open in these frames
        reason = f"{type(error).__name__}: {one_line(error)}"
        raise ConfigError(f"{printable(path)}: cannot be read by mmengine ({reason})") from None
    assert isinstance(config, dict)
    return config


def _stated(config: Mapping[str, Any], split: str, path: Path) -> tuple[str, Mapping[str, Any]]:
    """Dotted name and content of the data set of ``split``."""
    for outer, inner in ((f"{split}_dataloader", "dataset"), ("data", split)):
        value = config.get(outer)
        found = value.get(inner) if isinstance(value, Mapping) else None
        if isinstance(found, Mapping):
            return f"{outer}.{inner}", found
    raise ConfigError(f"{printable(path)}: {split}_dataloader.dataset: required field is missing")


def _unwrapped(field: str, stated: Any, path: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The plain data sets inside repetitions and concatenations."""
    if not isinstance(stated, Mapping):
        raise ConfigError(f"{printable(path)}: {field}: a data set is a dict, got {type(stated).__name__}")
    kind = _type_name(stated)
    inner = _WRAPPERS.get(kind)
    if inner is None:
        yield field, stated
        return
    value = stated.get(inner)
    for index, part in enumerate(value if isinstance(value, list) else [value]):
        yield from _unwrapped(f"{field}.{inner}" + (f".{index}" if isinstance(value, list) else ""), part, path)


def _type_name(stated: Mapping[str, Any]) -> str:
    kind = stated.get("type")
    return kind.rpartition(".")[2] if isinstance(kind, str) else getattr(kind, "__name__", "")


class _Part:
    """One plain data set."""

    def __init__(self, where: str, stated: Mapping[str, Any], root: Path | None) -> None:
        self.where, self._stated = where, stated
        self._class, self._defaults = self._known()
        for name, value in stated.items():
            if name not in _READ | _WITHOUT_MEANING and value not in (None, {}, []):
                self._refuse(name, f"is not supported, only {', '.join(sorted(_READ - {'type'}))} are")
        if self._value("ignore_index", IGNORE) != IGNORE:
            self._refuse("ignore_index", f"only {IGNORE} is supported, got {self._value('ignore_index', IGNORE)!r}")
        self._root = root if root is not None else Path(self._text("data_root", ""))
        self.classes = self._classes()
        self.table = self._table()

    def _known(self) -> tuple[type, dict[str, Any]]:
        """The class in mmseg, and the defaults of its constructor, those of its parent last."""
        name = _type_name(self._stated)
        name = {"CustomDataset": "BaseSegDataset"}.get(name, name)
        known = mm.DATASETS.get(name)
        base = mm.DATASETS.get("BaseSegDataset")
        if known is None or not issubclass(known, base):
            self._refuse("type", f"{name!r} is no data set of images and masks that mmseg registers")
        defaults: dict[str, Any] = {}
        for cls in (known, *known.__mro__):
            for field, parameter in inspect.signature(cls.__init__).parameters.items():
                if parameter.default is not parameter.empty:
                    defaults.setdefault(field, parameter.default)
        return known, defaults

    def _refuse(self, name: str, problem: str) -> None:
        raise ConfigError(f"{self.where}.{name}: {problem}")

    def _value(self, name: str, default: Any) -> Any:
        value = self._stated.get(name)
        return self._defaults.get(name, default) if value is None else value

    def _text(self, name: str, default: str) -> str:
        value = self._value(name, default)
        if value is None:
            return default
        if not isinstance(value, str):
            self._refuse(name, f"text is needed, got {type(value).__name__}")
        return str(value)

    def _classes(self) -> tuple[str, ...]:
        metainfo = self._value("metainfo", {}) or {}
        stated = metainfo.get("classes") if isinstance(metainfo, Mapping) else None
        stated = stated or self._stated.get("classes") or self._own()
        if not stated or not isinstance(stated, list | tuple) or not all(isinstance(name, str) for name in stated):
            self._refuse("metainfo.classes", "a list of class names is needed, for this type has none of its own")
        classes = tuple(stated)
        if len(set(classes)) < len(classes) or not 2 <= len(classes) < UNKNOWN:
            self._refuse("metainfo.classes", f"2 to {UNKNOWN - 1} different names are possible, got {len(classes)}")
        own = self._own()
        if own and not set(classes) <= set(own):
            lacking = next(name for name in classes if name not in own)
            self._refuse("metainfo.classes", f"{lacking!r} is none of the classes of {self._class.__name__}")
        return classes

    def _own(self) -> tuple[str, ...]:
        return tuple(getattr(self._class, "METAINFO", {}).get("classes") or ())

    def _table(self) -> Mask:
        """As mmseg's ``LoadAnnotations``: first the zero is ignored, then the type's own classes become the chosen."""
        own = self._own() or self.classes
        index = {
            number: self.classes.index(name) if name in self.classes else IGNORE for number, name in enumerate(own)
        }
        reduced = self._value("reduce_zero_label", False)
        if not isinstance(reduced, bool):
            self._refuse("reduce_zero_label", f"True or False is needed, got {reduced!r}")
        table: Mask = np.full(256, UNKNOWN, np.uint8)
        for stored in range(256):
            number = (stored - 1 if stored else IGNORE) if reduced and stored != IGNORE else stored
            table[stored] = IGNORE if number == IGNORE else index.get(number, UNKNOWN)
        return table

    def pairs(self) -> Iterator[Pair]:
        """The images of the list, or of the folder where there is no list."""
        images, masks = self._folders()
        suffix, mask_suffix = self._text("img_suffix", ".jpg"), self._text("seg_map_suffix", ".png")
        listed = self._text("ann_file", "") or self._text("split", "")
        for name in self._listed(listed) if listed else self._found(images, suffix):
            mask = None if masks is None else masks / f"{name}{mask_suffix}"
            yield Pair(name, images / f"{name}{suffix}", mask)

    def _folders(self) -> tuple[Path, Path | None]:
        prefix = self._value("data_prefix", {})
        if not isinstance(prefix, Mapping):
            self._refuse("data_prefix", "a dict with img_path and seg_map_path is needed")
        images = prefix.get("img_path") or self._stated.get("img_dir") or ""
        masks = prefix.get("seg_map_path") or self._stated.get("ann_dir")
        for name, value in (("data_prefix.img_path", images), ("data_prefix.seg_map_path", masks)):
            if value is not None and not isinstance(value, str):
                self._refuse(name, f"the path of one folder is needed, got {type(value).__name__}")
        return self._path(images), None if masks is None else self._path(masks)

    def _path(self, relative: str) -> Path:
        return (self._root / relative).expanduser().absolute()

    def _listed(self, name: str) -> list[str]:
        path = self._path(name)
        names = [line.strip() for line in read_text(path, error=DataError).splitlines() if line.strip()]
        if not names:
            raise DataError(f"{printable(path)}: the list is empty")
        return names

    def _found(self, folder: Path, suffix: str) -> list[str]:
        found = []
        for parent, below, names in os.walk(folder):
            below.sort()
            inner = Path(parent).relative_to(folder)
            found += [(inner / name).as_posix().removesuffix(suffix) for name in names if name.endswith(suffix)]
        if not found:
            raise DataError(f"{printable(folder)}: holds no image *{printable(suffix)} ({self.where}.data_prefix)")
        return sorted(found)
