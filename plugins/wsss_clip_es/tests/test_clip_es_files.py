"""Weights, vocabulary and vectors that a user brings are read without running anything, or refused in one sentence."""

from __future__ import annotations

import gzip
import os
import pickle
import re
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from harness.contract import ConfigError, DataError
from wsss_clip_es.network import ImageTower, TextTower
from wsss_clip_es.params import BACKGROUND, SYNONYMS, ClipEsParams
from wsss_clip_es.tests.clip_toy import MERGES, random_state, write_vocabulary
from wsss_clip_es.text import installed_vocabulary, named, read_texts, texts_for, tokens_for
from wsss_clip_es.tokenizer import Tokenizer, read_tokenizer
from wsss_clip_es.weights import load_clip, read_state

CLASSES = ("background", "bird", "car")


def block_names(prefix: str) -> dict[str, tuple[int, ...]]:
    """What a block of 768 or 512 channels has in OpenAI's state dictionary."""
    width = 768 if prefix.startswith("visual") else 512
    return {
        f"{prefix}attn.in_proj_weight": (3 * width, width),
        f"{prefix}attn.in_proj_bias": (3 * width,),
        f"{prefix}attn.out_proj.weight": (width, width),
        f"{prefix}attn.out_proj.bias": (width,),
        f"{prefix}ln_1.weight": (width,),
        f"{prefix}ln_1.bias": (width,),
        f"{prefix}mlp.c_fc.weight": (4 * width, width),
        f"{prefix}mlp.c_fc.bias": (4 * width,),
        f"{prefix}mlp.c_proj.weight": (width, 4 * width),
        f"{prefix}mlp.c_proj.bias": (width,),
        f"{prefix}ln_2.weight": (width,),
        f"{prefix}ln_2.bias": (width,),
    }


VIT_B_16 = {
    "positional_embedding": (77, 512),
    "text_projection": (512, 512),
    "logit_scale": (),
    "visual.class_embedding": (768,),
    "visual.positional_embedding": (197, 768),
    "visual.proj": (768, 512),
    "visual.conv1.weight": (768, 3, 16, 16),
    "visual.ln_pre.weight": (768,),
    "visual.ln_pre.bias": (768,),
    "visual.ln_post.weight": (768,),
    "visual.ln_post.bias": (768,),
    "token_embedding.weight": (49408, 512),
    "ln_final.weight": (512,),
    "ln_final.bias": (512,),
    **{
        name: shape
        for tower in ("visual.transformer", "transformer")
        for layer in range(12)
        for name, shape in block_names(f"{tower}.resblocks.{layer}.").items()
    },
}
"""Names and shapes of the 302 parameters of ViT-B/16, written down from the published network's description."""


def test_names_and_shapes_are_those_of_the_published_vit_b_16():
    with torch.device("meta"):
        image = ImageTower(width=768, layers=12, patch=16, grid=14, embedding=512)
        text = TextTower(width=512, layers=12, length=77, vocabulary=49408, embedding=512)
    ours = {f"visual.{name}": tuple(value.shape) for name, value in image.state_dict().items()}
    ours |= {name: tuple(value.shape) for name, value in text.state_dict().items()} | {"logit_scale": ()}
    assert ours == VIT_B_16
    assert len(VIT_B_16) == 302
    assert sum(int(np.prod(shape)) for shape in VIT_B_16.values()) == 149_620_737


class Holder(nn.Module):
    """A module that has parameters and other modules, as TorchScript needs them to be declared."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x


def as_modules(state: dict[str, torch.Tensor]) -> nn.Module:
    """Nested modules whose state dictionary is ``state``."""
    root = Holder()
    for name, value in state.items():
        *path, last = name.split(".")
        at: nn.Module = root
        for part in path:
            if part not in at._modules:
                at.add_module(part, Holder())
            at = at.get_submodule(part)
        at.register_parameter(last, nn.Parameter(value, requires_grad=False))
    root.register_buffer("input_resolution", torch.tensor(32))
    return root


def archive(path: Path, state: dict[str, torch.Tensor]) -> None:
    torch.jit.script(as_modules(state)).save(str(path))


def half_state(path: Path, state: dict[str, torch.Tensor]) -> None:
    torch.save({"state_dict": {name: value.half() for name, value in state.items()}}, path)


@pytest.mark.parametrize(
    ("name", "write", "tolerance"),
    [
        ("clip.pt", lambda path, state: torch.save(state, path), 0),
        ("clip.safetensors", lambda path, state: save_file(state, path), 0),
        ("archive.pt", archive, 0),
        ("half.pt", half_state, 1e-2),
    ],
)
@pytest.mark.filterwarnings("ignore:.torch.jit:FutureWarning", "ignore:.torch.jit:DeprecationWarning")
def test_weights_in_every_form_are_the_same_network(tmp_path, name, write, tolerance):
    state = random_state()
    write(tmp_path / name, state)
    clip = load_clip(tmp_path / name)
    assert clip.text is not None
    found = {f"visual.{key}": value for key, value in clip.image.state_dict().items()} | clip.text.state_dict()
    assert {*found, "logit_scale"} == set(state)
    assert all(value.dtype == torch.float32 for value in found.values())
    assert max(float((value - state[key]).abs().max()) for key, value in found.items()) <= tolerance
    assert clip.scale == 2.0


def changed(**changes: Any) -> Any:
    def write(path: Path) -> None:
        state = {**random_state(), **changes}
        torch.save({name: value for name, value in state.items() if value is not None}, path)

    return write


class Attack:
    def __reduce__(self) -> Any:
        return os.system, ("touch owned",)


def hostile_archive(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("x/constants.pkl", b"")
        file.writestr("x/data.pkl", pickle.dumps(Attack()))


def empty_archive(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("x/constants.pkl", b"")


@pytest.mark.parametrize(
    ("write", "sentence"),
    [
        (lambda path: path.write_bytes(b"nothing"), "cannot be read as weights"),
        (lambda path: path.write_bytes(b"hello"), "cannot be read as weights (no file of torch.save, or one"),
        (lambda path: path.write_bytes(pickle.dumps(Attack())), "or one that only running code in it could read"),
        (empty_archive, "cannot be read as weights (an archive without data.pkl)"),
        (lambda path: torch.save([1], path), "holds no state dictionary"),
        (lambda path: torch.save({"a": Attack()}, path), "cannot be read as weights (no file of torch.save, or one"),
        (hostile_archive, "cannot be read as weights (names posix.system, which is not read)"),
        (changed(logit_scale=None), "lacks 'logit_scale'; OpenAI's state dictionary of a ViT"),
        (changed(**{"visual.ln_post.bias": None}), "lacks 'visual.ln_post.bias'"),
        (changed(**{"visual.attnpool.q_proj.weight": torch.zeros(1)}), "has the unexpected 'visual.attnpool.q_proj"),
        (changed(**{"visual.proj": torch.zeros(64, 16)}), "has 'visual.proj' of shape (64, 16), not (128, 16)"),
        (changed(**{"visual.proj": torch.zeros(64)}), "has 'visual.proj' of shape (64,)"),
        (changed(**{"visual.positional_embedding": torch.zeros(19, 128)}), "has 128 channels, 19 positions"),
    ],
)
@pytest.mark.filterwarnings("error")
def test_a_file_without_these_weights_is_one_sentence_and_nothing_is_run(tmp_path, monkeypatch, write, sentence):
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "clip.pt")
    with pytest.raises(DataError) as caught:
        load_clip(tmp_path / "clip.pt")
    assert sentence in str(caught.value)
    assert str(tmp_path / "clip.pt") in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "owned").exists()


def test_safetensors_that_are_damaged_are_one_sentence(tmp_path):
    (tmp_path / "clip.safetensors").write_bytes(b"\xff" * 64)
    with pytest.raises(DataError, match=r"clip\.safetensors: cannot be read as weights"):
        read_state(tmp_path / "clip.safetensors")


def test_words_become_the_longest_merges_in_the_order_of_their_rank(tmp_path):
    tokenizer = read_tokenizer(write_vocabulary(tmp_path / "bpe.gz"), 514 + len(MERGES))
    token = {"".join(merge.split()): 512 + rank for rank, merge in enumerate(MERGES)}
    assert tokenizer.numbers("clean") == [token["clean</w>"]]
    assert tokenizer.numbers("  Clean ONE ") == [token["clean</w>"], token["one</w>"]]
    assert tokenizer.numbers("the") == [token["the</w>"]]
    assert tokenizer.numbers("a.") == [320, 269]  # the published numbers, because bytes come before merges
    (row,) = tokenizer.batch(["clean"], 5).tolist()
    assert row == [512 + len(MERGES), token["clean</w>"], 513 + len(MERGES), 0, 0]
    with pytest.raises(DataError, match="the text 'clean one' has 4 tokens, this CLIP reads 3"):
        tokenizer.batch(["clean one"], 3)


def test_tokens_of_the_published_vocabulary_are_those_of_mmsegs_tokenizer():
    from mmseg.utils.tokenizer import SimpleTokenizer

    theirs, ours = SimpleTokenizer(), read_tokenizer(installed_vocabulary(), 49408)
    assert (ours.start, ours.end) == (49406, 49407)
    assert ours.numbers("a photo of a cat") == [320, 1125, 539, 320, 2368]
    names = [
        *BACKGROUND,
        *SYNONYMS,
        *SYNONYMS.values(),
        "aeroplane",
        "diningtable",
        "it's 42 na\u00efve_words, (really)",
    ]
    for name in names:
        assert ours.numbers(f"a clean origami {name}.") == theirs.encode(f"a clean origami {name}."), name


def test_a_machine_without_that_copy_is_told_to_name_one(monkeypatch):
    monkeypatch.setattr("wsss_clip_es.text.find_spec", lambda name: None)
    with pytest.raises(DataError, match=r"mmseg has no copy of .*; name one by `vocabulary`"):
        installed_vocabulary()


def test_any_text_has_tokens():
    tokenizer = Tokenizer([])
    assert len(tokenizer.numbers("pott\u00e9d_plant 12,x")) == len("pott\u00e9d_plant12,x".encode())


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"", "8 lines of two parts are needed behind the first one"),
        (gzip.compress(b"#\n" + b"a b\n" * 7 + b"ab\n", mtime=0), "8 lines of two parts are needed"),
        (gzip.compress(b"#\n" + b"a b\n" * 9, mtime=0)[:-9], "no vocabulary of byte pairs"),
        (b"\xff\xfe\n", "no vocabulary of byte pairs"),
    ],
)
def test_a_file_that_is_no_vocabulary_is_one_sentence(tmp_path, data, sentence):
    (tmp_path / "bpe.gz").write_bytes(data)
    with pytest.raises(DataError, match=sentence):
        read_tokenizer(tmp_path / "bpe.gz", 514 + len(MERGES))


def test_the_text_tower_is_causal_and_a_text_is_its_last_token(tmp_path):
    torch.save(random_state(), tmp_path / "clip.pt")
    tower = load_clip(tmp_path / "clip.pt").text
    assert tower is not None
    tokens = Tokenizer([tuple(merge.split()) for merge in MERGES]).batch(["clean", "clean"], 77)  # type: ignore[misc]
    tokens[1, 3:] = 7  # behind the end: other padding
    first, second = tower(tokens)
    torch.testing.assert_close(first, second)
    assert float(first.norm()) == pytest.approx(1)
    tokens[1, 1] = 8
    assert not torch.allclose(tower(tokens)[1], first, atol=1e-3)


def params(folder: Path, **changes: Any) -> ClipEsParams:
    """Toy weights and vocabulary in a folder."""
    torch.save(random_state(), folder / "clip.pt")
    given: dict[str, Any] = {"weights": folder / "clip.pt", "vocabulary": write_vocabulary(folder / "bpe.gz")}
    return ClipEsParams(**{**given, **changes})


def test_vectors_of_a_file_are_those_that_the_prompts_give(tmp_path):
    given = params(tmp_path)
    clip = load_clip(given.weights)
    made = texts_for(given, clip, CLASSES)
    assert made.foreground.shape == (2, 16)
    assert made.background.shape == (len(BACKGROUND), 16)
    np.savez(
        tmp_path / "text.npz",
        classes=np.array(["car", "dog", "bird"]),
        foreground=3 * np.stack([made.foreground[1], made.background[0], made.foreground[0]]),
        background=made.background,
    )
    read = texts_for(params(tmp_path, vocabulary=None, text=tmp_path / "text.npz"), clip, CLASSES)
    torch.testing.assert_close(read.foreground, made.foreground)
    torch.testing.assert_close(read.background, made.background)


def test_other_braces_of_a_template_are_text(tmp_path):
    given = params(tmp_path, template="a {x} {} {", background=())
    tokens = tokens_for(given, ("background", "cat"), 514 + len(MERGES), length=77)
    tokenizer = read_tokenizer(tmp_path / "bpe.gz", 514 + len(MERGES))
    assert tokens.tolist() == tokenizer.batch(["a {x} cat {"], 77).tolist()


def test_classes_are_called_as_the_user_says_or_as_the_authors_do(tmp_path):
    assert named(["bird", "car", "dining_table"], {}) == [SYNONYMS["bird"], "car", "dining table"]
    assert named(["bird", "car"], {"car": "car, automobile"}) == ["bird avian", "car, automobile"]
    given = params(tmp_path)
    clip = load_clip(given.weights)
    assert len(texts_for(given, clip, ("background", "sky", "car")).background) == len(BACKGROUND) - 1


@pytest.mark.parametrize(
    ("arrays", "sentence"),
    [
        ({"classes": None}, "lacks 'classes'"),
        ({"classes": np.array(["car", "cat"])}, "has no class 'bird'; it has car, cat"),
        ({"classes": np.array(["car"])}, "1 classes and 2 vectors of foreground"),
        ({"background": np.ones((3, 8))}, r"background: is \(3, 8\), \(N, 16\) fractions are needed"),
        ({"foreground": np.full((2, 16), np.nan)}, "foreground: holds NaN or infinity"),
    ],
)
def test_a_file_of_vectors_that_does_not_fit_is_one_sentence(tmp_path, arrays, sentence):
    sound = {"classes": np.array(["car", "bird"]), "foreground": np.ones((2, 16)), "background": np.ones((3, 16))}
    np.savez(tmp_path / "text.npz", **{k: v for k, v in {**sound, **arrays}.items() if v is not None})
    with pytest.raises(DataError, match=sentence):
        read_texts(tmp_path / "text.npz", CLASSES[1:], 16)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"text": Path("x")}, "give vocabulary (prompts are read by the weights), or text, and not both"),
        ({"template": "a photo"}, "template needs one {}, got 'a photo'"),
        ({"last_layers": 0}, "last_layers must be 1 or more, got 0"),
        ({"confidence": 1.5}, "confidence must lie between 0 and 1, got 1.5"),
        ({"background_exponent": 0.0}, "background_exponent must be positive, got 0"),
    ],
)
def test_parameters_that_make_no_sense_are_one_sentence(changes, sentence):
    with pytest.raises(ConfigError, match=re.escape(sentence)):
        ClipEsParams(**{"weights": Path("w"), "vocabulary": Path("v"), **changes})
