"""Keys: the name of an artifact is a hash of everything that may change it, and of nothing else.

* Keys are hashed from canonical JSON, never from ``repr`` or pickles. It sorts names, so a mapping whose order means
  something enters it by ``in_order``.
* Paths never enter a key or a fingerprint; the content of the files that they name does.
* Backbone and seed are axes of a benchmark: they enter stage keys, not the fingerprint.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.contract.errors import ConfigError
from harness.contract.supervision import Need, Supervision
from harness.data.views import share_size

if TYPE_CHECKING:
    from pydantic import BaseModel

    from harness.contract.interfaces import Dataset
    from harness.contract.protocol import Protocol
    from harness.contract.run_record import DatasetInfo

SPLITS = ("train", "val")


def canonical(value: Any) -> str:
    """JSON with sorted keys, without blanks, NaN or infinity; floats in their shortest exact form.

    Raises:
        ConfigError: ``value`` holds something that JSON cannot hold.
    """
    return _json(value, sort_keys=True)


def as_given(value: Any) -> str:
    """JSON like ``canonical``, but with every mapping in its own order: what may travel, and come back as it was.

    Raises:
        ConfigError: ``value`` holds something that JSON cannot hold.
    """
    return _json(value, sort_keys=False)


def _json(value: Any, *, sort_keys: bool) -> str:
    try:
        return json.dumps(value, sort_keys=sort_keys, separators=(",", ":"), allow_nan=False)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"a setting cannot be hashed: {error}") from None


def in_order(value: Any) -> Any:
    """``value`` with each mapping as ``{"in order": [[name, value], ...]}``, so that its order is part of a hash."""
    if isinstance(value, Mapping):
        return {"in order": [[name, in_order(item)] for name, item in value.items()]}
    return [in_order(item) for item in value] if isinstance(value, list | tuple) else value


def digest(value: Any) -> str:
    """SHA-256 of the canonical JSON of ``value``."""
    return hashlib.sha256(canonical(value).encode()).hexdigest()


def stage_key(inputs: Mapping[str, Any]) -> str:
    """Key of a stage: the hash of its key inputs (see ``harness.engine.plan.layout``)."""
    return digest(inputs)


def is_key_of(key: str, inputs: Mapping[str, Any]) -> bool:
    """Whether ``key`` is made of ``inputs``, in this way or as before the files of the code were part of it."""
    return key in (stage_key(inputs), *(digest({"version": version, **inputs}) for version in (1, 2)))


def settings_for_key(settings: Mapping[str, BaseModel]) -> dict[str, Any]:
    """Protocol sections as they enter a key: content hashes in place of paths."""
    return {name: _without_paths(section.model_dump(mode="json")) for name, section in settings.items()}


def _without_paths(section: dict[str, Any]) -> dict[str, Any]:
    hidden = {field.removesuffix("_sha256") for field, value in section.items() if field.endswith("_sha256") and value}
    return {field: value for field, value in section.items() if field not in hidden}


class Digests:
    """The digests of data sets, each data set and split asked once: a plan has many stages, which see the same data."""

    def __init__(self) -> None:
        self._known: dict[tuple[int, str], tuple[Dataset, Mapping[str, str]]] = {}

    def of(self, dataset: Dataset, split: str) -> Mapping[str, str]:
        """``dataset.digests(split)``, as it was when it was first asked for."""
        place = id(dataset), split
        if place not in self._known:
            self._known[place] = dataset, dataset.digests(split)  # the data set is kept, so that its id stays its own
        return self._known[place][1]


def data_for_key(dataset: Dataset, split: str, needs: Iterable[Need], digests: Digests | None = None) -> dict[str, Any]:
    """Digests of exactly what a stage may see of ``split``: ids, images, and the declared kinds.

    Args:
        dataset: The data set.
        split: ``train`` or ``val``.
        needs: What the stage declares.
        digests: Remembers what the data set said; by default it is asked anew.
    """
    auxiliary, digests = dataset.auxiliary, digests or Digests()
    found = digests.of(dataset, split)
    seen: dict[str, Any] = {"classes": list(dataset.classes), **_chosen(dataset, split, found, ("ids", "images"))}
    for need in needs:
        source = auxiliary if need.auxiliary else dataset
        if source is None:
            raise ConfigError(f"data set {dataset.name!r} has no auxiliary part, but {need.letters} is needed")
        kinds: tuple[str, ...] = (need.kind.value,)
        if need.fraction < 1.0:  # which images have them is stratified by the tags
            kinds = (*kinds, Supervision.TAGS.value)
        if need.auxiliary:
            kinds = ("ids", "images", *kinds)
            seen["auxiliary/classes"] = list(source.classes)
        prefix = "auxiliary/" if need.auxiliary else ""
        found = digests.of(source, split)
        if need.kind.value in found:
            _refuse_too_few(source, split, need)
        seen |= {prefix + kind: value for kind, value in _chosen(source, split, found, kinds, need.instead).items()}
        if need.fraction < 1.0:
            seen[f"{prefix}{need.kind.value}/fraction"] = need.fraction
    return seen


def _refuse_too_few(dataset: Dataset, split: str, need: Need) -> None:
    """Refuse a share of the images that is larger than the share that the data set has labels of."""
    images, carrying = len(dataset.ids(split)), len(dataset.carrying(split, need.kind))
    asked = share_size(need.fraction, images)
    if carrying < asked:
        most = math.floor(1000 * carrying / images) / 1000
        way_out = f"state a fraction of at most {most:g}" if need.fraction < 1.0 else "leave out what needs them all"
        has = f"data set {dataset.name!r} has {need.kind} for {carrying} of its {images} {split} images"
        raise ConfigError(f"{has}, and {asked} are needed; {way_out}")


def _chosen(
    dataset: Dataset, split: str, digests: Mapping[str, str], kinds: Iterable[str], instead: str = ""
) -> dict[str, str]:
    """The digests of ``kinds``; says what the data set lacks."""
    missing = [kind for kind in kinds if kind not in digests]
    if missing:
        text = instead or dataset.lacking(split, missing[0])
        way_out = f"; {text}" if text else ""
        raise ConfigError(f"data set {dataset.name!r} has no {missing[0]} for its {split} images{way_out}")
    return {f"{split}/{kind}": digests[kind] for kind in kinds}


def dataset_info(dataset: Dataset, digests: Digests | None = None) -> DatasetInfo:
    """The data set as records and the fingerprint show it."""
    from harness.contract.run_record import DatasetInfo

    known = digests or Digests()
    content = {f"{split}/{kind}": value for split in SPLITS for kind, value in sorted(known.of(dataset, split).items())}
    images = {split: len(dataset.ids(split)) for split in SPLITS}
    auxiliary = dataset.auxiliary
    if auxiliary is not None:
        content |= {f"auxiliary/{kind}": value for kind, value in sorted(known.of(auxiliary, "train").items())}
        content["auxiliary/classes"] = digest(list(auxiliary.classes))
        images["auxiliary"] = len(auxiliary.ids("train"))
    return DatasetInfo(
        name=dataset.name,
        classes=list(dataset.classes),
        images=images,
        digests=content,
        show_images=dataset.show_images,
        boxes_from_masks=list(dataset.boxes_from_masks),
        made_from_masks=[kind.value for kind in dataset.made_from_masks],
        tag_noise=getattr(dataset, "tag_noise", None),
        unmasked=list(dataset.unmasked),
    )


def fingerprint(protocol: Protocol, data: DatasetInfo) -> str:
    """Hash of everything that is alike for all rows of a table: protocol and data, without axes and paths."""
    return fingerprint_of(protocol.model_dump(mode="json"), data)


def fingerprint_of(protocol: Mapping[str, dict[str, Any]], data: DatasetInfo) -> str:
    """The fingerprint of a protocol as JSON, also of one that a record shows (``public_protocol``)."""
    sections = {name: _without_paths(section) for name, section in protocol.items()}
    return digest({"protocol": sections, "dataset": data.identity()})


def public_protocol(protocol: Protocol) -> dict[str, Any]:
    """The protocol as records show it: the segmenter's file by its name, without its folder."""
    sections: dict[str, Any] = protocol.model_dump(mode="json")
    sections["segmenter"]["config"] = Path(protocol.segmenter.config).name
    return sections
