"""Tags with mistakes, in known shares: what tags of people are like, and nobody measures.

Every data set takes the parameter ``tag_noise: {drop: 0.1, add: 0.05, seed: 0}``. Only tags of training images change,
and never a mask, a box or anything that is scored. Whether a tag changes depends on seed, image and class name alone:
not on the method, the split or the other images, and what a small share changes a larger one changes too.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

from harness.contract import Dataset, Supervision
from harness.contract.run_record import TagNoise
from harness.data.configuration import validate
from harness.data.digests import combine
from harness.data.wrapped import WrappedDataset

FIELD = "tag_noise"


def without_noise(
    params: Mapping[str, Any], model: type | None, *, where: str
) -> tuple[Mapping[str, Any], TagNoise | None]:
    """The parameters of a reader, and the noise that stands among them.

    Args:
        params: As a file gives them.
        model: The reader's own parameters; a reader with a field of this name keeps it.
        where: What the parameters are called in messages.

    Raises:
        ConfigError: The noise is malformed.
    """
    own = model is not None and issubclass(model, BaseModel) and FIELD in model.model_fields
    if own or params.get(FIELD) is None:
        return params if own else {name: value for name, value in params.items() if name != FIELD}, None
    noise = validate(TagNoise, params[FIELD], where=f"{where}.{FIELD}")
    rest = {name: value for name, value in params.items() if name != FIELD}
    return rest, noise if noise.drop or noise.add else None


class NoisyTags(WrappedDataset):
    """``dataset`` with mistakes in the tags of its training images.

    Args:
        dataset: The original.
        noise: Shares and seed.
    """

    def __init__(self, dataset: Dataset, noise: TagNoise) -> None:
        super().__init__(dataset)
        self._noise = noise
        self._training = frozenset(dataset.ids("train"))
        for name in ("absent", "defects", "explain_masks"):  # what a check asks of readers that have it
            if hasattr(dataset, name):
                setattr(self, name, getattr(dataset, name))

    @property
    def tag_noise(self) -> TagNoise:
        """Shares and seed."""
        return self._noise

    def read(self, kind: Supervision, image_id: str) -> Any:
        """The original's labels; tags of training images with mistakes."""
        labels = super().read(kind, image_id)
        if kind is not Supervision.TAGS or image_id not in self._training:
            return labels
        return tuple(cls for cls in range(1, len(self.classes)) if self._says(image_id, cls, shown=cls in labels))

    def _says(self, image_id: str, cls: int, *, shown: bool) -> bool:
        """Whether the image is tagged with a class, which it shows or not."""
        share = self._noise.drop if shown else self._noise.add
        text = f"{FIELD}:{self._noise.seed}:{image_id}:{self.classes[cls]}"
        drawn = int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") / 2**64
        return shown != (drawn < share)

    def digests(self, split: str) -> Mapping[str, str]:
        """The original's; that of training tags tells the noise too."""
        found = dict(self._dataset.digests(split))
        if split == "train" and "tags" in found:
            found["tags"] = combine([found["tags"], self._noise.model_dump_json()])
        return found
