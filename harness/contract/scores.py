"""Names of a cell's scores and of the stages that count them; nothing else writes or reads these names.

A cell scores the pseudo labels of each of its rounds (``pseudo_r1``, ..., the last round ``pseudo``) on the training
images and, where its last round trains a segmenter, the predictions (``val``) on the validation images.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

VAL, PSEUDO = "val", "pseudo"
LABELS, PREDICTIONS = "score labels", "score predictions"


@dataclass(frozen=True)
class ScoreName:
    """One score of a cell.

    Attributes:
        round: Number of the round, from 1, whose pseudo labels are scored; ``None`` for the predictions.
        rounds: How many rounds the cell has.
    """

    round: int | None
    rounds: int

    def __str__(self) -> str:
        """The name in a record."""
        if self.round is None:
            return VAL
        return PSEUDO if self.round == self.rounds else f"{PSEUDO}_r{self.round}"

    @property
    def stage(self) -> str:
        """The name in a record of the stage that counts it; its input ``scored`` is what was counted."""
        return PREDICTIONS if self.round is None else f"r{self.round}/{LABELS}"

    @property
    def kind(self) -> str:
        """The kind of that stage, see ``harness.engine.stage.kinds``."""
        return self.stage.rpartition("/")[2].replace(" ", "_")

    @property
    def split(self) -> Literal["train", "val"]:
        """The images that are scored."""
        return "val" if self.round is None else "train"

    @classmethod
    def parse(cls, name: str, rounds: int) -> ScoreName:
        """The score of that name, of a cell with ``rounds`` rounds.

        Raises:
            ValueError: There is none; one sentence that lists those that there are.
        """
        scores = {str(score): score for score in score_names(rounds, segmenter=True)}
        if name not in scores:
            raise ValueError(f"no such score, a record of its rounds has {', '.join(scores)}")
        return scores[name]


def score_names(rounds: int, *, segmenter: bool) -> list[ScoreName]:
    """Every score of a cell: one per round, and the predictions where the last round trains a segmenter."""
    labels = [ScoreName(number, rounds) for number in range(1, rounds + 1)]
    return [*labels, ScoreName(None, rounds)] if segmenter else labels


def counts_score(stage: str) -> bool:
    """Whether the stage of that name in a record counts a score."""
    return stage.rpartition("/")[2] in (LABELS, PREDICTIONS)
