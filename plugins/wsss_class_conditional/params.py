"""Parameters of the plugin's components and what the presets and the records make of them; free of numpy and torch."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any, Literal

from harness.contract import MINIMUM_BARRIER, ConfigError, Need, Round, SharedStage, Supervision, Use

TARGET = "refined"
"""Name of the extra target map of the segmenter."""

_SALIENCY = Need(
    Supervision.SALIENCY,
    instead="set its parameter `amr: 'off'`, or `saliency: minimum_barrier` for maps made from the image",
)

PRESETS: dict[str, dict[str, Any]] = {
    "intended": {
        "mask_chain": "fixed",
        "mask_mirror": "fixed",
        "neg_slice": "fixed",
        "centre_errors": "raise",
        "lengths": "image",
        "geometry": "network",
        "scales": None,
        "amr": "on",
    },
    "official": {
        "mask_chain": "official",
        "mask_mirror": "official",
        "neg_slice": "official",
        "centre_errors": "swallow",
        "lengths": "pixels",
        "geometry": "pixels",
        "scales": (1.0, 0.5, 1.5, 2.0),
        "amr": "off",
    },
}
"""What a switch is that was left to the preset (``null``)."""


def _switch(default: Any, text: str) -> Any:
    return field(default=default, metadata={"help": text})


@dataclass(frozen=True)
class InferenceParams:
    """Parameters of the generator ``class_conditional``; ``null`` = as the preset says."""

    preset: Literal["intended", "official"] = _switch(
        "intended", "intended = what the paper means; official = numerically the released code"
    )
    split: bool = _switch(True, "look at four corner patches around the centres of mass (one and two classes)")
    iterate: bool = _switch(True, "look again after erasing what was found")
    passes: int = _switch(5, "most passes over a patch")
    erase_threshold: float = _switch(0.7, "regions where the merged map reaches this are erased")
    stop: float = _switch(0.02, "stop when a pass newly erases less than this share of the patch (0.01 until 2022)")
    erase_scope: Literal["union", "class"] = _switch("union", "erase all classes at once, or each by itself")
    renorm: Literal["patch", "image", "shared"] = _switch(
        "patch", "divide by the peak of patch and pass, of the whole image, or the larger of the two (shared)"
    )
    buffer: tuple[int, int] = _switch((10, 20), "pixels that patches reach beyond the centres: one class, two classes")
    lengths: Literal["image", "pixels"] | None = _switch(
        None, "buffer and CRF kernels are those of an image of 500 pixels and scale with it, or in pixels of any image"
    )
    mask_chain: Literal["fixed", "official"] | None = _switch(
        None, "fixed: a view's mask comes from full resolution; official: from the view before (D1)"
    )
    mask_mirror: Literal["fixed", "official"] | None = _switch(
        None, "fixed: mirrored views get the mirrored mask; official: the plain mask (D2)"
    )
    neg_slice: Literal["fixed", "official"] | None = _switch(
        None, "fixed: patches are cut at the border; official: a negative start wraps (D5)"
    )
    centre_errors: Literal["raise", "swallow"] | None = _switch(
        None, "a map without a centre of mass: an error, or silently the image's centre (D9)"
    )
    geometry: Literal["network", "pixels"] | None = _switch(
        None, "network: input sides and sampling of the protocol's CAMs; pixels: rounded sides, even sampling"
    )
    scales: tuple[float, ...] | None = _switch(None, "side factors of the views; null = preset, then cam.scales")
    labels: Literal["threshold", "power", "confident"] = _switch(
        "threshold", "background: a constant score, (1 - max)^a_low, or PSA's confident regions (dense CRF, rest 255)"
    )
    threshold: float | None = _switch(None, "labels=threshold: background score; null = the protocol's cam.threshold")
    a_low: float = _switch(4.0, "exponent of the background score: the stricter foreground")
    a_high: float = _switch(32.0, "labels=confident: exponent of the stricter background")

    def __post_init__(self) -> None:
        if self.passes < 1:
            raise ConfigError(f"passes must be 1 or more, got {self.passes}")
        if min(self.buffer) < 1:
            raise ConfigError(f"buffer must be 1 or more pixels, got {list(self.buffer)}")
        if self.scales is not None and (not self.scales or min(self.scales) <= 0):
            raise ConfigError(f"scales must be positive numbers, got {list(self.scales)}")
        for name in ("erase_threshold", "stop"):
            if not 0 < getattr(self, name) <= 1:
                raise ConfigError(f"{name} must lie in (0, 1], got {getattr(self, name)}")
        if self.threshold is not None and not 0 < self.threshold < 1:
            raise ConfigError(f"threshold must lie between 0 and 1, got {self.threshold}")
        if not 0 < self.a_low <= self.a_high:
            raise ConfigError(f"exponents need 0 < a_low <= a_high, got {self.a_low} and {self.a_high}")

    def chosen(self, name: str) -> Any:
        """The value of a switch, from the preset where it was left open."""
        value = getattr(self, name)
        return PRESETS[self.preset][name] if value is None else value


@dataclass(frozen=True)
class RefinementParams:
    """Parameters of the segmenter ``activation_aware``; the loss is a reconstruction."""

    amr: Literal["on", "off", "plain_saliency"] = _switch(
        "on", "on: saliency completed by strong activations; plain_saliency: saliency alone; off: cross entropy only"
    )
    saliency: Literal["dataset", "minimum_barrier"] = _switch(
        "dataset", "the data set's maps (supervision S), or a classical method that sees the image alone"
    )
    theta: float = _switch(0.5, "a pixel is salient above this")
    rank: float = _switch(0.9, "rank of a class's positive activations above which a pixel is strongly activated")
    weight: float = _switch(1.0, "lambda, weight of the loss")

    def __post_init__(self) -> None:
        for name in ("theta", "rank"):
            if not 0 <= getattr(self, name) < 1:
                raise ConfigError(f"{name} must lie in [0, 1), got {getattr(self, name)}")
        if self.weight < 0:
            raise ConfigError(f"weight must be 0 or more, got {self.weight}")


@dataclass(frozen=True)
class MethodParams(InferenceParams):
    """Parameters of the method: those of its generator, and those of its segmenter."""

    amr: Literal["on", "off", "plain_saliency"] | None = _switch(
        None, "mask refinement loss of the segmenter (reconstruction); null = preset: intended on, official off"
    )
    saliency: Literal["dataset", "minimum_barrier"] = _switch(
        "dataset", "saliency of the loss: the data set's (supervision S), or from the image alone"
    )
    theta: float = _switch(0.5, "a pixel is salient above this")
    rank: float = _switch(0.9, "rank of a class's positive activations above which a pixel is strongly activated")
    weight: float = _switch(1.0, "lambda, weight of the loss")

    def generator(self) -> dict[str, Any]:
        """Parameters of ``class_conditional``."""
        return {item.name: getattr(self, item.name) for item in fields(InferenceParams)}

    def segmenter(self) -> dict[str, Any]:
        """Parameters of ``activation_aware``."""
        named = {item.name: getattr(self, item.name) for item in fields(RefinementParams)}
        return named | {"amr": self.chosen("amr")}


def needs(params: RefinementParams) -> tuple[Need, ...]:
    """Saliency (S), where the loss uses that of the data set."""
    return (_SALIENCY,) if params.amr != "off" and params.saliency == "dataset" else ()


def uses(params: RefinementParams) -> tuple[SharedStage, ...]:
    """Saliency from the image, where the loss uses that."""
    return (MINIMUM_BARRIER,) if params.amr != "off" and params.saliency == "minimum_barrier" else ()


def rounds(params: MethodParams) -> tuple[Round, ...]:
    """One round."""
    generator = Use("class_conditional", params.generator())
    return (Round(generator, segmenter=Use("activation_aware", params.segmenter())),)
