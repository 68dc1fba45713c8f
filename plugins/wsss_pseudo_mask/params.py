"""Parameters of the components; defaults are the paper's for VOC. Free of numpy and torch."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any, Literal, TypeVar

from harness.contract import CAMS, CLASSIFIER, TAGS, ConfigError, Need, Round, SharedStage, Use

Preset = Literal["intended", "official"]
PRESET_HELP = "'official' repeats the arithmetic of the released code, see the plugin's README"
PCM_HELP = "pixel correlation of the scores by the shared classifier's features, before anything else"
ALPHA_HELP = (
    "background score (1 - s)^alpha; null = begins the foreground at the protocol's cam.threshold, 'official': 11"
)
CRF_SIDE_HELP = (
    "long side of the images for which the CRF's kernels are meant, with which they scale; null = pixels of any image"
)
_T = TypeVar("_T")


def _help(text: str, default: Any) -> Any:
    return field(default=default, metadata={"help": text})


def _check_side(name: str, side: float | None) -> None:
    if side is not None and not side > 0:
        raise ConfigError(f"{name}: crf_side must be positive or null, got {side}")


@dataclass(frozen=True)
class CvsPmgParams:
    """Parameters of ``cvs_pmg``."""

    preset: Preset = field(default="intended", metadata={"help": PRESET_HELP})
    cvs: bool = _help("coefficient of variation smoothing", True)
    pmg: bool = _help("proportional pseudo-mask generation; off = strongest of background and classes", True)
    pcm: bool = _help(PCM_HELP, False)
    crf: bool = _help("dense CRF: two labels for each class with pmg, background and all classes without", True)
    tau: float = _help("scores of at least tau are active", 0.05)
    smoothing: float = _help("CVS: lambda, the strength", 0.3)
    alpha: float | None = _help(ALPHA_HELP, None)
    crf_side: float | None = _help(CRF_SIDE_HELP, 500.0)

    @property
    def kernel_side(self) -> float | None:
        """The side that kernels are meant for; the released code takes them in pixels of any image."""
        return None if self.preset == "official" else self.crf_side

    def __post_init__(self) -> None:
        _check_side("cvs_pmg", self.crf_side)
        if not 0 <= self.tau < 1:
            raise ConfigError(f"cvs_pmg: tau must lie in [0, 1), got {self.tau}")
        if not self.smoothing >= 0:
            raise ConfigError(f"cvs_pmg: smoothing must be 0 or more, got {self.smoothing}")
        if self.alpha is not None and not self.alpha > 0:
            raise ConfigError(f"cvs_pmg: alpha must be positive, got {self.alpha}")


@dataclass(frozen=True)
class GeneratorParams(CvsPmgParams):
    """Parameters of the generator ``cvs_pmg``, which starts from correlated maps as the paper does."""

    pcm: bool = _help(PCM_HELP, True)


@dataclass(frozen=True)
class PcmParams(CvsPmgParams):
    """Parameters of the refiner ``pcm``: as ``cvs_pmg``, by default nothing but the correlation."""

    cvs: bool = _help("coefficient of variation smoothing too", False)
    pmg: bool = _help("proportional pseudo-mask generation too", False)
    pcm: bool = _help(PCM_HELP, True)
    crf: bool = _help("dense CRF too", False)


@dataclass(frozen=True)
class CvsParams(CvsPmgParams):
    """Parameters of the refiner ``cvs``: as ``cvs_pmg``, by default without what is not CVS."""

    pmg: bool = _help("proportional pseudo-mask generation too", False)
    crf: bool = _help("dense CRF too", False)


@dataclass(frozen=True)
class PmgParams(CvsPmgParams):
    """Parameters of the refiner ``pmg``: as ``cvs_pmg``, by default without smoothing."""

    cvs: bool = _help("coefficient of variation smoothing too", False)


@dataclass(frozen=True)
class PufParams:
    """Parameters of ``pretended_underfitting``; COCO: beta = k = 0.8."""

    preset: Preset = field(default="intended", metadata={"help": PRESET_HELP})
    puf: Literal["clamp", "ignore", "pow"] = _help("what happens to the loss of a pixel", "clamp")
    beta: float = _help("only while the mean loss of the batch is below beta", 0.5)
    k: float = _help("largest loss of a pixel (pow: exponent)", 0.5)
    gate_scope: Literal["local", "global"] = _help("mean over the images of one device, or of all", "local")

    def __post_init__(self) -> None:
        for name in ("beta", "k"):
            if not getattr(self, name) > 0:
                raise ConfigError(f"pretended_underfitting: {name} must be positive, got {getattr(self, name)}")


@dataclass(frozen=True)
class CyclicParams:
    """Parameters of ``cyclic``."""

    crf: bool = _help("dense CRF over all classes", True)
    filter_by_tags: bool = _help("only classes that the image is tagged with", False)
    crf_side: float | None = _help(CRF_SIDE_HELP, 500.0)

    def __post_init__(self) -> None:
        _check_side("cyclic", self.crf_side)


@dataclass(frozen=True)
class MethodParams:
    """Parameters of ``pseudo_mask_matters``, handed on to its components."""

    preset: Preset = field(default="intended", metadata={"help": PRESET_HELP})
    cvs: bool = _help("coefficient of variation smoothing", True)
    pmg: bool = _help("proportional pseudo-mask generation", True)
    pcm: bool = _help(PCM_HELP, True)
    crf: bool = _help("dense CRF in the making of masks, and in relabelling", True)
    tau: float = _help("CVS: scores of at least tau are active", 0.05)
    smoothing: float = _help("CVS: lambda, the strength", 0.3)
    alpha: float | None = _help(ALPHA_HELP, None)
    puf: Literal["clamp", "ignore", "pow"] = _help("PUF: what happens to the loss of a pixel", "clamp")
    beta: float = _help("PUF: gate", 0.5)
    k: float = _help("PUF: largest loss of a pixel", 0.5)
    cycles: int = _help("rounds of relabelling; the paper has 1 on VOC and 0 on COCO", 1)
    filter_by_tags: bool = _help("relabelling: only classes that the image is tagged with", False)
    crf_side: float | None = _help(CRF_SIDE_HELP, 500.0)

    def __post_init__(self) -> None:
        if self.cycles < 0:
            raise ConfigError(f"pseudo_mask_matters: cycles must be 0 or more, got {self.cycles}")

    def masks(self) -> GeneratorParams:
        """Those of the generator."""
        return self._part(GeneratorParams)

    def puf_loss(self) -> PufParams:
        """Those of the first segmenter."""
        return self._part(PufParams)

    def relabelling(self) -> CyclicParams:
        """Those of the later generators."""
        part = self._part(CyclicParams)
        return replace(part, crf_side=None) if self.preset == "official" else part

    def _part(self, kind: type[_T]) -> _T:
        names = {item.name for item in fields(kind)} & {item.name for item in fields(self)}  # type: ignore[arg-type]
        return kind(**{name: getattr(self, name) for name in names})


def cyclic_needs(params: CyclicParams) -> tuple[Need, ...]:
    """Tags, where they filter."""
    return (TAGS,) if params.filter_by_tags else ()


def classifier(params: CvsPmgParams) -> tuple[SharedStage, ...]:
    """The shared classifier, whose features correlate pixels."""
    return (CLASSIFIER,) if params.pcm else ()


def cams(params: GeneratorParams) -> tuple[SharedStage, ...]:
    """The shared CAMs, and the classifier where it is needed."""
    return (CAMS, *classifier(params))


def rounds(params: MethodParams) -> tuple[Round, ...]:
    """PMG masks with PUF, then fresh segmenters on the predictions of the one before, with plain cross entropy."""
    first = Round(
        Use("cvs_pmg", asdict(params.masks())), segmenter=Use("pretended_underfitting", asdict(params.puf_loss()))
    )
    again = Round(Use("cyclic", asdict(params.relabelling())))
    return (first, *[again] * params.cycles)
