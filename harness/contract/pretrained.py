"""Networks that a component uses and that were trained elsewhere, as facts of its record."""

from __future__ import annotations

import re
from dataclasses import dataclass

from harness.contract.errors import ConfigError

NAME, LETTER = r"[A-Za-z0-9][A-Za-z0-9 ._/-]{0,39}", r"[A-Z][a-z]{0,3}"
"""What can stand in a supervision column, for example ``L(CLIP)``."""


@dataclass(frozen=True)
class Pretrained:
    """A network that was trained elsewhere, with labels that no image of the benchmark has.

    The supervision column of its row shows it, for example ``I+L(CLIP)``; annotation hours leave it out.

    Attributes:
        name: Of the network, for example ``CLIP`` or ``SAM ViT-B``.
        trained_on: Data and labels, as a reader should know them, for example ``400 million images with captions``.
        letter: Of the labels that it was trained with: one of ``Supervision``, or another, such as ``L`` (language).

    Raises:
        ConfigError: Name or letter cannot stand in a supervision column, or nothing says what it was trained on.
    """

    name: str
    trained_on: str
    letter: str

    def __post_init__(self) -> None:
        if not re.fullmatch(NAME, self.name) or self.name == "aux":
            raise ConfigError(f"Pretrained: name {self.name!r} must be at most 40 letters, digits, blanks and . _ / -")
        if not re.fullmatch(LETTER, self.letter):
            raise ConfigError(f"Pretrained: letter {self.letter!r} must be a capital, perhaps with small letters")
        if not self.trained_on.strip():
            raise ConfigError(f"Pretrained {self.name!r}: trained_on must say what the network was trained on")

    @property
    def mark(self) -> str:
        """What the supervision column shows of it."""
        return f"{self.letter}({self.name})"
