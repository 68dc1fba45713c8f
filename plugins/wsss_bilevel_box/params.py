"""Parameters of method and generator, and the stages and rounds that follow from them; free of numpy and torch."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any, Literal

from harness.contract import BOXES, ConfigError, Need, Round, SharedStage, Supervision, Use


@dataclass(frozen=True)
class BilevelBoxParams:
    """Parameters of ``bilevel_box``."""

    preset: Literal["intended", "official"] = field(
        default="intended", metadata={"help": "what the paper means, or the released code with its defects"}
    )
    rounds: int = field(default=3, metadata={"help": "rounds on the target; 1 = no iteration"})
    scheme: Literal["alternation", "unrolled"] = field(
        default="alternation", metadata={"help": "S fixed while G is fitted, or the hypergradient of one unrolled step"}
    )
    network: Literal["backbone", "small", "hourglass"] = field(
        default="backbone",
        metadata={"help": "on the protocol's backbone, a small hourglass, or the paper's (12.1 M parameters)"},
    )
    probability: bool = field(default=True, metadata={"help": "G sees the segmenter of the round before"})
    round1_uses_prob: bool = field(
        default=False, metadata={"help": "as the paper's figure draws it: a segmenter of filled boxes comes first"}
    )
    inflate: bool | None = field(
        default=None, metadata={"help": "G_2 begins from G_1 with a zero channel more; null = as the preset"}
    )
    prob_cache: bool = field(
        default=False, metadata={"help": "probabilities of the auxiliary images computed once per round (approximate)"}
    )
    overlap: Literal["preset", "smallest_box", "first", "max_logit"] = field(
        default="preset", metadata={"help": "who gets a pixel that two classes claim"}
    )
    min_fill: float | None = field(
        default=None,
        metadata={"help": "a box with a smaller share of foreground is filled; null = 0.05 as box_grabcut, official 0"},
    )
    canvas: int = field(
        default=512,
        metadata={"help": "largest side of the square that images are padded to; one more on convolutional backbones"},
    )
    iterations: int | None = field(
        default=None, metadata={"help": "steps of G per round; null = those of the protocol's segmenter"}
    )
    batch_size: int | None = field(
        default=None, metadata={"help": "(image, class) pairs per step; null = the protocol's segmenter's"}
    )
    lr: float = field(default=0.002, metadata={"help": "initial rate of Adam; the paper's 100,000 steps use 0.0001"})
    weight_decay: float = field(default=0.0005, metadata={"help": "L2 decay of G"})
    inner_lr: float = field(default=0.01, metadata={"help": "rate of the unrolled step of the auxiliary segmenter"})
    auxiliary_iterations: int | None = field(
        default=None, metadata={"help": "steps of the auxiliary segmenter; null = those of the protocol's segmenter"}
    )

    def __post_init__(self) -> None:
        if self.min_fill is not None and not 0.0 <= self.min_fill <= 1.0:
            raise ConfigError(f"bilevel_box: min_fill must lie in [0, 1] or be null, got {self.min_fill}")

    @property
    def overlap_rule(self) -> Literal["smallest_box", "first", "max_logit"]:
        """The overlap rule with the preset's default filled in."""
        if self.overlap != "preset":
            return self.overlap
        return "first" if self.preset == "official" else "smallest_box"

    @property
    def inflates(self) -> bool:
        """Whether G_2 begins from G_1."""
        return self.preset != "official" if self.inflate is None else self.inflate

    @property
    def least_fill(self) -> float:
        """The share of foreground below which a box is filled; 0 fills nothing."""
        if self.min_fill is None:
            return 0.0 if self.preset == "official" else 0.05
        return self.min_fill

    @property
    def uses_backbone(self) -> bool:
        """Whether the generator sits on the protocol's backbone."""
        return self.network == "backbone"

    @property
    def unit_pixels(self) -> bool:
        """Pixels at the scale of mask and probability."""
        return self.preset != "official" or self.uses_backbone

    def sees_probability(self, number: int) -> bool:
        """Whether G of that round sees a segmenter."""
        return self.probability and (number > 1 or self.round1_uses_prob)


@dataclass(frozen=True)
class GeneratorParams(BilevelBoxParams):
    """Parameters of one round's generator."""

    round: int = field(default=1, metadata={"help": "which of the generators G_1, G_2, ... makes the labels"})


_SEGMENTER_ONLY = (
    "scheme",
    "probability",
    "inflate",
    "prob_cache",
    "overlap",
    "min_fill",
    "inner_lr",
    "auxiliary_iterations",
)
"""Parameters that mean nothing to a generator without a segmenter."""

AUXILIARY = (Need(Supervision.MASKS, auxiliary=True), Need(Supervision.BOXES, auxiliary=True))
"""Supervision of the auxiliary data set."""

NEEDS = (BOXES, *AUXILIARY)


def _stage(params: BilevelBoxParams, number: int) -> SharedStage:
    """Round ``number`` on the auxiliary data set, after the rounds before it."""
    sees = params.sees_probability(number)
    if number == 1 and not sees:  # alike for every variant: one artifact serves them all
        defaults: dict[str, Any] = {f.name: f.default for f in fields(params) if f.name in _SEGMENTER_ONLY}
        params = replace(params, **defaults)
    return SharedStage(
        f"bilevel_{number}",
        run="wsss_bilevel_box.auxiliary:learn",
        params={**asdict(params), "round": number},
        needs=AUXILIARY,
        reads=("backbone", "segmenter") if sees or params.uses_backbone else ("segmenter",),
        after=(_stage(params, number - 1),) if number > 1 else (),
    )


def uses(params: GeneratorParams) -> tuple[SharedStage, ...]:
    """What the generator of a round has learned on the auxiliary data set."""
    kept = {name: value for name, value in asdict(params).items() if name not in ("round", "rounds")}
    return (_stage(BilevelBoxParams(**kept), params.round),)


def rounds(params: BilevelBoxParams) -> tuple[Round, ...]:
    """Round r: labels of G_r, the segmenter beginning from that of round r - 1."""
    first = (Round(Use("box_fill")),) if params.sees_probability(1) else ()
    later = tuple(
        Round(Use("bilevel_box", {**asdict(params), "round": number}), warm_start=bool(first) or number > 1)
        for number in range(1, params.rounds + 1)
    )
    return first + later
