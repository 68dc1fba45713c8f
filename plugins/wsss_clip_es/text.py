"""Unit vectors of the prompts: made by the weights' own text tower, or read from a file that somebody made before."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from harness.contract import DataError
from harness.data import read_npz
from wsss_clip_es.params import SYNONYMS, ClipEsParams
from wsss_clip_es.tokenizer import read_tokenizer
from wsss_clip_es.weights import Clip


@dataclass(frozen=True, eq=False)
class Texts:
    """What images are compared with.

    Attributes:
        foreground: (C, E) float32 unit vectors of the classes 1, 2, ...
        background: (M, E) float32 unit vectors.
    """

    foreground: Tensor
    background: Tensor


def texts_for(params: ClipEsParams, clip: Clip, classes: Sequence[str]) -> Texts:
    """The vectors of a data set's classes.

    Args:
        params: Files, names and template.
        clip: The weights.
        classes: Of the data set, the background first.

    Raises:
        DataError: One sentence: the weights have no text tower, a text is too long, or the file lacks a class.
    """
    if params.text is not None:
        return read_texts(params.text, classes[1:], clip.image.proj.shape[1])
    if clip.text is None:
        raise DataError(f"{params.weights}: has no text tower, so the prompts must come from `text`")
    tokens = tokens_for(
        params, classes, clip.text.token_embedding.num_embeddings, length=len(clip.text.positional_embedding)
    )
    with torch.no_grad():
        vectors = clip.text(tokens)
    return Texts(vectors[: len(classes) - 1], vectors[len(classes) - 1 :])


def tokens_for(params: ClipEsParams, classes: Sequence[str], vocabulary: int, *, length: int) -> Tensor:
    """The prompts of the classes, then of the background, (N, length) int64.

    Args:
        params: Files, names and template.
        classes: Of the data set, the background first.
        vocabulary: Different tokens of the weights.
        length: Tokens of a text of the weights.

    Raises:
        DataError: One sentence: the vocabulary cannot be read, or a text is too long.
    """
    words = [word for word in params.background if word not in classes]
    prompts = [params.template.replace("{}", name) for name in (*named(classes[1:], params.names or {}), *words)]
    return read_tokenizer(params.vocabulary or installed_vocabulary(), vocabulary).batch(prompts, length)


def installed_vocabulary() -> Path:
    """The copy of OpenAI's vocabulary in the package mmseg, which is not imported.

    Raises:
        DataError: It has none.
    """
    spec = find_spec("mmseg")
    path = Path(spec.origin).parent / "utils" / "bpe_simple_vocab_16e6.txt.gz" if spec and spec.origin else None
    if path is None or not path.is_file():
        raise DataError("mmseg has no copy of bpe_simple_vocab_16e6.txt.gz; name one by `vocabulary`")
    return path


def named(classes: Sequence[str], names: Mapping[str, str]) -> list[str]:
    """What classes are called in a prompt: as the user says, as the authors do, or as they are."""
    return [names.get(name) or SYNONYMS.get(name) or name.replace("_", " ") for name in classes]


def read_texts(path: Path, classes: Sequence[str], embedding: int) -> Texts:
    """Read vectors by class name; the file may have more classes, in any order.

    Raises:
        DataError: One sentence: no such archive, another shape, a number that is not finite, or a class is missing.
    """
    arrays = read_npz(path)
    for name in ("classes", "foreground", "background"):
        if name not in arrays:
            raise DataError(
                f"{path}: lacks {name!r}; classes (names), foreground (C, E) and background (M, E) are needed"
            )
    there = [str(name) for name in np.ravel(arrays["classes"])]
    foreground = _vectors(arrays["foreground"], embedding, f"{path}: foreground")
    if len(foreground) != len(there):
        raise DataError(f"{path}: {len(there)} classes and {len(foreground)} vectors of foreground")
    missing = [name for name in classes if name not in there]
    if missing:
        raise DataError(f"{path}: has no class {missing[0]!r}; it has {', '.join(there[:8])}")
    places = [there.index(name) for name in classes]
    return Texts(foreground[places], _vectors(arrays["background"], embedding, f"{path}: background"))


def _vectors(array: Any, embedding: int, where: str) -> Tensor:
    """(N, E) float32 of unit length."""
    shape: tuple[int, ...] = getattr(array, "shape", ())
    if len(shape) != 2 or shape[1] != embedding or array.dtype.kind != "f":
        raise DataError(f"{where}: is {shape}, (N, {embedding}) fractions are needed for these weights")
    if not np.isfinite(array).all():
        raise DataError(f"{where}: holds NaN or infinity")
    return functional.normalize(torch.from_numpy(array.astype(np.float32)), dim=1)
