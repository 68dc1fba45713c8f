"""Parameters of CLIP-ES, and what follows from them."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from harness.contract import ConfigError, InputFile, Pretrained, Round, Use

PRETRAINED = (Pretrained("CLIP", "400 million images with texts", "L"),)
"""Images and names like those of VOC and COCO are among them."""

SYNONYMS = {
    "bird": "bird avian",
    "chair": "chair seat",
    "person": "person with clothes,people,human",
    "tvmonitor": "tvmonitor screen",
    "backpack": "backpack,bag",
    "umbrella": "umbrella,parasol",
    "handbag": "handbag,purse",
    "tie": "necktie",
    "baseball glove": "glove",
    "spoon": "dessertspoon",
    "remote": "remote control",
    "hair drier": "hairdrier,blowdrier",
}
"""What the authors call some classes of VOC and COCO in a prompt; all others are called as they are."""

BACKGROUND = (
    *("ground", "land", "grass", "tree", "building", "wall", "sky", "lake", "water", "river", "sea", "railway"),
    *("railroad", "keyboard", "helmet", "cloud", "house", "mountain", "ocean", "road", "rock", "street", "valley"),
    *("bridge", "sign"),
)
"""The authors' words for the background of VOC; for COCO they leave out keyboard and sign."""


def _field(default: Any, text: str) -> Any:
    return field(default=default, metadata={"help": text})


@dataclass(frozen=True, kw_only=True)
class ClipEsParams:
    """Parameters of the generator ``clip_es``, and of the method."""

    weights: InputFile = field(
        metadata={"help": "OpenAI's ViT-B-16.pt as it is published, or its state dictionary as .pt or .safetensors"}
    )
    vocabulary: InputFile | None = field(
        default=None,
        metadata={"help": "OpenAI's bpe_simple_vocab_16e6.txt.gz, to read the prompts; null = the copy that mmseg has"},
    )
    text: InputFile | None = field(
        default=None,
        metadata={"help": "in place of vocabulary: .npz of classes (names), foreground (C, E), background (M, E)"},
    )
    template: str = _field("a clean origami {}.", "the prompt; {} = the name of the class")
    names: dict[str, str] | None = field(
        default=None, metadata={"help": "what classes are called in a prompt: {bird: bird avian}"}
    )
    background: tuple[str, ...] = _field(BACKGROUND, "what else the prompts name; classes of the data set are left out")
    last_layers: int = _field(8, "blocks whose attention is averaged, the last ones")
    box_threshold: float = _field(0.4, "boxes hold what exceeds this share of a map's maximum; the authors' COCO: 0.7")
    sinkhorn: int = _field(3, "how often columns and rows of the attention are balanced")
    squarings: int = _field(1, "how often the affinity is multiplied by itself")
    background_exponent: float = _field(1.0, "background score (1 - max)^exponent")
    softmax: bool = _field(True, "off: gradients of logits, without competition between classes and background")
    caa: bool = _field(True, "off: maps without the class-aware attention affinity")
    crf: bool = _field(True, "off: the strongest map, and no pixel ignored")
    confidence: float = _field(0.95, "behind the CRF, pixels whose largest marginal is smaller are 255")
    crf_image: Literal["true", "official"] = _field("true", "official: BGR minus mean, wrapped to uint8, as published")
    half_positions: bool = _field(True, "positions rounded to half precision, as published")

    def __post_init__(self) -> None:
        if self.vocabulary is not None and self.text is not None:
            raise ConfigError("clip_es: give vocabulary (prompts are read by the weights), or text, and not both")
        if self.template.count("{}") != 1:
            raise ConfigError(f"clip_es: template needs one {{}}, got {self.template!r}")
        least = {"last_layers": 1, "sinkhorn": 0, "squarings": 0}
        for name, low in least.items():
            if getattr(self, name) < low:
                raise ConfigError(f"clip_es: {name} must be {low} or more, got {getattr(self, name)}")
        for name in ("box_threshold", "confidence"):
            if not 0 <= getattr(self, name) <= 1:
                raise ConfigError(f"clip_es: {name} must lie between 0 and 1, got {getattr(self, name)}")
        if not self.background_exponent > 0:
            raise ConfigError(f"clip_es: background_exponent must be positive, got {self.background_exponent}")


def rounds(params: ClipEsParams) -> tuple[Round, ...]:
    """The maps' labels, the protocol's segmenter."""
    return (Round(Use("clip_es", asdict(params))),)
