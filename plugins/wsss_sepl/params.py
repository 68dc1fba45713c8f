"""Parameters of SEPL, and what follows from them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from harness.contract import ConfigError, InputFolder, Pretrained


@dataclass(frozen=True, kw_only=True)
class SeplParams:
    """Parameters of the refiner ``sepl``."""

    folder: InputFolder = field(
        metadata={"help": "masks of each training image: ID.npz, ID.npy, ID.json, ID.pkl, or a folder ID of PNG"}
    )
    share: float = field(
        default=0.5, metadata={"help": "a class takes a mask of which it covers more than this share ..."}
    )
    cover: float = field(default=0.85, metadata={"help": "... or which holds at least this share of the class"})
    ignored: Literal["keep", "background"] = field(
        default="keep", metadata={"help": "what pixels of 255 become that no class takes; background = as published"}
    )
    missing: Literal["refuse", "keep"] = field(
        default="refuse", metadata={"help": "what an image without masks means: an error, or its label stays as it is"}
    )
    made_by: str | None = field(
        default="SAM", metadata={"help": "the network that made the masks, which tables show; null = none did"}
    )
    trained_on: str = field(
        default="11 million photographs with 1.1 billion masks (SA-1B)", metadata={"help": "what that network saw"}
    )

    def __post_init__(self) -> None:
        pretrained(self)
        for name in ("share", "cover"):
            if not 0 <= getattr(self, name) <= 1:
                raise ConfigError(f"sepl: {name} must lie between 0 and 1, got {getattr(self, name)}")


def pretrained(params: SeplParams) -> tuple[Pretrained, ...]:
    """What made the masks: class-free pixel masks of other images taught it."""
    return () if params.made_by is None else (Pretrained(params.made_by, params.trained_on, "F"),)
