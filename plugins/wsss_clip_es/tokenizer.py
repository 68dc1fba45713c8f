"""CLIP's tokenizer (Sennrich et al., ACL 2016): byte pairs in the order of the published list of merges.

Tokens are numbered as the weights expect it: the 256 bytes, the same at the end of a word, the merges, start, end.
Prompts are short texts of names, so the cleaning of HTML and of broken Unicode that the original does first is left
out, and a word is a run of letters, a digit, or a run of anything else but blanks.
"""

from __future__ import annotations

import gzip
import io
import re
import zlib
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import torch
from torch import Tensor

from harness.contract import DataError
from harness.data import read_bytes

_WORDS = re.compile(r"'s|'t|'re|'ve|'m|'ll|'d|[^\W\d_]+|\d|(?:[^\s\w]|_)+")
_END = "</w>"
_MOST_BYTES = 1 << 26
Pair = tuple[str, str]


def _byte_letters() -> dict[int, str]:
    """A visible letter for each byte, in the order in which the vocabulary counts them."""
    visible = [*range(ord("!"), ord("~") + 1), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    hidden = [byte for byte in range(256) if byte not in visible]
    letters = {byte: chr(byte) for byte in visible}
    return letters | {byte: chr(256 + place) for place, byte in enumerate(hidden)}


class Tokenizer:
    """Turns texts into numbers.

    Args:
        merges: Pairs in the order of their rank.
    """

    def __init__(self, merges: Sequence[Pair]) -> None:
        self._letters = _byte_letters()
        letters = self._letters.values()
        names = [*letters, *(letter + _END for letter in letters), *map("".join, merges)]
        self._numbers = {name: number for number, name in enumerate(names)}
        self._ranks = {pair: rank for rank, pair in enumerate(merges)}
        self.start, self.end = len(names), len(names) + 1

    def numbers(self, text: str) -> list[int]:
        """Tokens of a text, without start and end."""
        words = _WORDS.findall(" ".join(text.lower().split()))
        return [self._numbers[part] for word in words for part in self._parts(word)]

    def _parts(self, word: str) -> list[str]:
        """The word's bytes, joined by the merge of the lowest rank until none applies."""
        parts = [self._letters[byte] for byte in word.encode()]
        parts[-1] += _END
        while True:
            pairs = [pair for pair in pairwise(parts) if pair in self._ranks]
            if not pairs:
                return parts
            best, joined = min(pairs, key=self._ranks.__getitem__), []
            while parts:
                count = 2 if tuple(parts[:2]) == best else 1
                joined.append("".join(parts[:count]))
                parts = parts[count:]
            parts = joined

    def batch(self, texts: Sequence[str], length: int) -> Tensor:
        """(N, length) int64: start, tokens, end, zeros.

        Raises:
            DataError: A text is too long.
        """
        batch = torch.zeros(len(texts), length, dtype=torch.int64)
        for row, text in zip(batch, texts, strict=True):
            numbers = [self.start, *self.numbers(text), self.end]
            if len(numbers) > length:
                raise DataError(f"the text {text!r} has {len(numbers)} tokens, this CLIP reads {length}")
            row[: len(numbers)] = torch.tensor(numbers)
        return batch


def read_tokenizer(path: Path, vocabulary: int) -> Tokenizer:
    """Read OpenAI's ``bpe_simple_vocab_16e6.txt.gz``, packed or not.

    Args:
        path: The file: a line of its version, then a pair a line.
        vocabulary: Different tokens of the weights; as many merges are read as that takes.

    Raises:
        DataError: One sentence: no such file, or too few or malformed lines.
    """
    data = read_bytes(path, error=DataError)
    try:
        if data[:2] == b"\x1f\x8b":
            data = gzip.GzipFile(fileobj=io.BytesIO(data)).read(_MOST_BYTES)
        lines = data.decode("utf-8").split("\n")[1:]
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        raise DataError(f"{path}: no vocabulary of byte pairs ({error})") from None
    count = vocabulary - 2 * 256 - 2
    merges = [(left, right) for left, _, right in (line.partition(" ") for line in lines[:count])]
    if count < 0 or len(merges) < count or not all(left and right and " " not in right for left, right in merges):
        raise DataError(f"{path}: {count} lines of two parts are needed behind the first one, for these weights")
    return Tokenizer(merges)
