"""Parameters of the refiner; free of numpy and torch."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from harness.contract import CLASSIFIER, ConfigError, Round, SharedStage, Use

PAPER_CAM = 0.15
"""The score at which the paper's own class activation maps begin to be objects."""
PAPER_SEEDS, PAPER_BACKGROUND = (0.30, 0.05), 0.25
"""Background scores of its seeds, strict and loose, and of its labels behind the walk."""

Preset = Literal["intended", "official"]
MOST_RADIUS = 100
"""In cells; at this reach each cell is in 15,000 pairs."""

PRESET_HELP = "'official' repeats the released code, see the plugin's README"


def _help(text: str, default: Any) -> Any:
    return field(default=default, metadata={"help": text})


@dataclass(frozen=True)
class IrnParams:
    """Parameters of ``irn``; lengths are in cells of the boundary map, whose stride is that of the first tap."""

    preset: Preset = field(default="intended", metadata={"help": PRESET_HELP})
    foreground: float | None = _help(
        "seeds: pixels above this score are objects; null = as far above the protocol's cam.threshold as the paper's "
        "0.30 is above its 0.15, in log odds; 'official': 0.30",
        None,
    )
    background: float | None = _help(
        "seeds: pixels below this score are background; null = as the paper's 0.05; 'official': 0.05", None
    )
    crf: bool = _help("seeds: a dense CRF behind both thresholds", True)
    crf_side: int | None = _help(
        "seeds: long side to which larger images are reduced for the CRF; null and 'official' = as they are", 160
    )
    features: Literal["initial", "classifier"] = _help(
        "whose backbone the branches stand on: with its initial weights, or as the shared classifier has trained it",
        "initial",
    )
    taps: tuple[int, ...] | None = _help(
        "backbone levels that the branches read, shallow to deep; null = all, and of a frozen backbone the stored ones",
        None,
    )
    displacement: bool = _help("train the displacement branch too, which semantic labels do not need", False)
    radius: int = _help("training: pairs are nearer than this", 10)
    schedule: float = _help("training steps as a share of the classifier's; the paper has 3 epochs to 5", 0.6)
    lr: float = _help("learning rate of the boundary branch; that of displacements is 10 times higher", 0.1)
    momentum: float | None = _help("null = 0.9; 'official': 0.0001, the weight decay, through a slip", None)
    side: int | None = _help(
        "long side at which the network sees images and scores walk; null = as the protocol's CAMs at scale 1", None
    )
    walk_radius: int = _help("walk: cells nearer than this are joined", 5)
    beta: float = _help("walk: exponent of the affinity; larger values respect weaker boundaries", 10.0)
    steps: int = _help("walk: steps; 0 = scores off the boundaries", 256)
    threshold: float | None = _help(
        "labels behind the walk: score of the background; null = as the paper's 0.25; 'official': 0.25", None
    )

    def __post_init__(self) -> None:
        for name in ("foreground", "background", "threshold"):
            value = getattr(self, name)
            if value is not None and not 0 < value < 1:
                raise ConfigError(f"irn: {name} must lie between 0 and 1, got {value}")
        if None not in (self.foreground, self.background) and self.seeds(0.5)[0] < self.seeds(0.5)[1]:
            raise ConfigError(
                f"irn: foreground must not lie below background, got {self.foreground}, {self.background}"
            )
        for name in ("radius", "walk_radius"):
            if not 2 <= getattr(self, name) <= MOST_RADIUS:
                raise ConfigError(f"irn: {name} must lie in [2, {MOST_RADIUS}], got {getattr(self, name)}")
        for name in ("schedule", "lr", "beta"):
            if not getattr(self, name) > 0:
                raise ConfigError(f"irn: {name} must be positive, got {getattr(self, name)}")
        if self.momentum is not None and not 0 <= self.momentum < 1:
            raise ConfigError(f"irn: momentum must lie in [0, 1), got {self.momentum}")
        if self.steps < 0:
            raise ConfigError(f"irn: steps must be 0 or more, got {self.steps}")
        for name in ("side", "crf_side"):
            value = getattr(self, name)
            if value is not None and value < 32:
                raise ConfigError(f"irn: {name} must be 32 or more, or null, got {value}")
        if self.taps is not None and (not self.taps or len(set(self.taps)) < len(self.taps)):
            raise ConfigError(f"irn: taps must name at least one level and none twice, got {list(self.taps)}")

    def seeds(self, cam: float) -> tuple[float, float]:
        """Strict and loose background score of the seeds, where the protocol's CAMs have ``cam``."""
        given = (self.foreground, self.background)
        return tuple(self._score(*pair, cam) for pair in zip(given, PAPER_SEEDS, strict=True))  # type: ignore[return-value]

    def walked_background(self, cam: float) -> float:
        """Background score of the labels behind the walk, where the protocol's CAMs have ``cam``."""
        return self._score(self.threshold, PAPER_BACKGROUND, cam)

    @property
    def seeds_side(self) -> int | None:
        """The long side to which larger images are reduced for the CRF of the seeds, ``None`` = as they are."""
        return None if self.preset == "official" else self.crf_side

    @property
    def sgd_momentum(self) -> float:
        """The momentum of the training."""
        if self.momentum is not None:
            return self.momentum
        return WEIGHT_DECAY if self.preset == "official" else 0.9

    def _score(self, given: float | None, paper: float, cam: float) -> float:
        if given is not None:
            return given
        return paper if self.preset == "official" else shifted(paper, cam)


WEIGHT_DECAY = 1e-4
"""Of the training, as in the paper."""


def shifted(paper: float, cam: float) -> float:
    """The score that is as far from ``cam`` in log odds as ``paper`` is from the paper's own CAM threshold."""
    odds = paper / (1 - paper) * cam / (1 - cam) * (1 - PAPER_CAM) / PAPER_CAM
    return odds / (1 + odds)


def uses(params: IrnParams) -> tuple[SharedStage, ...]:
    """The shared classifier, where the branches stand on its backbone."""
    return (CLASSIFIER,) if params.features == "classifier" else ()


def rounds(params: IrnParams) -> tuple[Round, ...]:
    """CAMs, the refiner, the protocol's segmenter."""
    return (Round(Use("cam"), refiners=(Use("irn", asdict(params)),)),)
