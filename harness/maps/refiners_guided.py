"""The guided filter as a refiner, and its record. Importing this module loads neither numpy nor torch."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from harness.contract import Card, ConfigError, Context, PseudoLabel, Refiner, RefinerRecord, View

if TYPE_CHECKING:
    from harness.maps.refining import Floats


@dataclass(frozen=True)
class GuidedFilterParams:
    """Parameters of ``guided_filter``."""

    radius: int = field(default=8, metadata={"help": "radius of a window in pixels; 0 leaves labels as they are"})
    eps: float = field(default=1e-3, metadata={"help": "variance of the image, 0 to 1, below which edges are ignored"})
    subsample: int = field(default=1, metadata={"help": "fit at a size this many times smaller; 4 is fast"})
    alpha: float = field(default=4.0, metadata={"help": "soft scores: background score (1 - max)^alpha"})
    certainty: float = field(default=0.7, metadata={"help": "labels without soft scores: probability of the label"})

    def __post_init__(self) -> None:
        if self.radius < 0 or self.subsample < 1:
            raise ConfigError(
                f"guided_filter: radius must be 0 or more and subsample 1 or more, got {self.radius}, {self.subsample}"
            )
        for name in ("eps", "alpha"):
            if not getattr(self, name) > 0:
                raise ConfigError(f"guided_filter: {name} must be positive, got {getattr(self, name)}")
        if not 0 < self.certainty < 1:
            raise ConfigError(f"guided_filter: certainty must lie between 0 and 1, got {self.certainty}")


class GuidedFilterRefiner(Refiner):
    """Scores of the background and all present classes, filtered with the image as guide; the largest is the label."""

    def __init__(self, params: GuidedFilterParams) -> None:
        self._params = params

    def refine(self, labels: Iterable[PseudoLabel], view: View, ctx: Context) -> Iterator[PseudoLabel]:
        """Refine label by label; an image with background alone stays as it is."""
        import numpy as np
        import torch

        from harness.maps.guided_filter import apply_guided_filter
        from harness.maps.refining import refine_probabilities

        params = self._params
        torch.set_num_threads(ctx.threads)

        def filtered(image_id: str, planes: Floats) -> Floats:
            image = torch.from_numpy(np.array(view.image(image_id))).to(ctx.device)
            guide = image.permute(2, 0, 1)[None].float() / 255
            maps = torch.from_numpy(np.ascontiguousarray(planes))[None].to(ctx.device)
            found = apply_guided_filter(guide, maps, radius=params.radius, eps=params.eps, subsample=params.subsample)
            result: Floats = found[0].clamp(0, 1).cpu().numpy()
            return result

        return refine_probabilities(labels, filtered, alpha=params.alpha, certainty=params.certainty)


GUIDED_FILTER = RefinerRecord(
    "guided_filter",
    factory="harness.maps.refiners_guided:GuidedFilterRefiner",
    params=GuidedFilterParams,
    card=Card("Guided image filtering", paper="He, Sun and Tang, Guided Image Filtering, ECCV 2010", year=2010),
    summary="gives labels the structure of the image; works on soft scores, else on the labels",
)
