"""From what lies in a folder to the fields of a data set file."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Any

from harness.common.text import printable
from harness.contract import DataError
from harness.data.propose import published
from harness.data.propose.classes import Ask, Classes, Held, is_background, look_at_masks, name_classes
from harness.data.propose.labels import Finder, Labels, listed_names
from harness.data.propose.marked import add, set_aside
from harness.data.propose.pictures import ENDINGS, Match, ids_below, match, sort_pictures
from harness.data.propose.proposal import Proposal
from harness.data.propose.splits import SHARE, Part, find_splits, hold_out
from harness.data.propose.tree import Tree, look

_MOST_FOLDERS = 253


@dataclass
class Chosen:
    """What describes one split.

    Attributes:
        part: Its images.
        masks: Pictures of masks.
        drawn: A source whose outlines are masks.
        boxes: A source of boxes.
        tags: A source of tags, or ``folders``.
    """

    part: Part
    masks: Match | None = None
    drawn: Labels | None = None
    boxes: Labels | None = None
    tags: Labels | str | None = None

    def sources(self) -> list[Labels]:
        """The sources in use, each once."""
        used = [one for one in (self.boxes, self.tags, self.drawn) if isinstance(one, Labels)]
        return list({one.path: one for one in used}.values())

    @property
    def labelled(self) -> bool:
        """Whether anything is known about its images."""
        return bool(self.masks or self.drawn or self.boxes or self.tags)


@dataclass
class Looked:
    """What was found, split by split, with what is to be said about each field."""

    tree: Tree
    splits: dict[str, Chosen] = field(default_factory=dict)
    notes: dict[str, list[str]] = field(default_factory=dict)

    def note(self, name: str, *texts: str) -> None:
        """Say something about a field."""
        self.notes.setdefault(name, []).extend(texts)


def propose(folder: Path, name: str, root: str, list_path: Callable[[str], str], ask: Ask) -> Proposal:
    """Look at ``folder`` and describe it.

    Args:
        folder: The data set.
        name: What it is to be called.
        root: The folder as the file names it.
        list_path: Split -> path of the list that would be written for it, as the file names it.
        ask: Asked what nothing tells, see ``Ask``.

    Raises:
        DataError: There is no such folder, or it holds fewer than two images.
    """
    tree, marked = set_aside(look(folder))
    if published.is_cityscapes(tree):
        return published.cityscapes(name, root)
    looked, masks = _look(tree)
    _choose(looked, masks, ask)
    names = list(dict.fromkeys(label for chosen in looked.splits.values() for label in _names(chosen)))
    held = _held(looked, masks, several=sum(not is_background(label) for label in names) > 1)
    classes = name_classes(tree, held, names, _listed(looked), ask)
    looked.note("classes", *classes.notes)
    if not classes.masks:
        for chosen in looked.splits.values():
            chosen.masks = None
    proposal = _write(looked, classes, held, name, root, list_path)
    add(proposal, marked, tree, looked.splits["train"].part.ids)
    return proposal


def _look(tree: Tree) -> tuple[Looked, tuple[str, ...]]:
    """The images of each split, and the pictures that are masks."""
    photographs, masks = sort_pictures(tree)
    fit = [path for path in photographs if printable(path) == path]
    if len(fit) < 2:
        raise DataError(f"{printable(tree.root)}: holds {len(fit)} images, a data set has at least two")
    looked = Looked(tree)
    if len(fit) < len(photographs):
        looked.note("", f"{len(photographs) - len(fit)} images are left out, no list can hold their names")
    found = find_splits(tree, fit)
    looked.note("", *found.notes)
    parts = {"train": found.train, **({"val": found.val} if found.val else {})}
    for split, part in _distinct(parts).items():
        looked.splits[split] = Chosen(part)
    return looked, masks


def _distinct(parts: dict[str, Part]) -> dict[str, Part]:
    """The parts with ids below one folder, where two folders hold images of the same name."""
    train, val = parts["train"], parts.get("val")
    if val is None or train.images == val.images or not set(train.ids) & set(val.ids):
        return parts
    common = _common_folder(train.images, val.images)
    return {
        split: Part(common, tuple(f"{_below(part.images, common)}{image_id}" for image_id in part.ids), whole=False)
        for split, part in parts.items()
    }


def _common_folder(first: str, second: str) -> str:
    same = []
    for one, other in zip(PurePosixPath(first).parts, PurePosixPath(second).parts, strict=False):
        if one != other:
            break
        same.append(one)
    return "/".join(same)


def _below(folder: str, common: str) -> str:
    inner = folder.removeprefix(common).strip("/")
    return f"{inner}/" if inner else ""


def _choose(looked: Looked, masks: Sequence[str], ask: Ask) -> None:
    """Find the labels of each split; make a validation split where there is none."""
    finder = Finder(looked.tree, _paths(looked))
    sources = finder.find()
    looked.note("", *finder.notes)
    for split, chosen in looked.splits.items():
        ids = set(chosen.part.ids)
        chosen.masks = match(masks, chosen.part.ids, ENDINGS)
        usable = [one for one in sources if one.split in (None, split) and one.tagged & ids]
        _choose_sources(chosen, usable)
        if not chosen.labelled:
            _by_folders(looked, chosen, ask)
    if "val" not in looked.splits:
        _hold_out(looked)
    for split in looked.splits:
        _complete(looked, split)
    for one in {one.path: one for chosen in looked.splits.values() for one in chosen.sources()}.values():
        looked.note("", *one.notes)


def _paths(looked: Looked) -> dict[str, str]:
    """Id -> path of the images of all splits."""
    paths: dict[str, str] = {}
    photographs, _ = sort_pictures(looked.tree)
    for chosen in looked.splits.values():
        below = ids_below(photographs, chosen.part.images)
        paths |= {image_id: below[image_id] for image_id in chosen.part.ids}
    return paths


def _choose_sources(chosen: Chosen, sources: Sequence[Labels]) -> None:
    ids = set(chosen.part.ids)
    boxed = [one for one in sources if one.boxed & ids]
    chosen.boxes = max(boxed, key=lambda one: len(one.boxed & ids), default=None)
    tagged = [one for one in sources if one.names and not one.boxed]
    chosen.tags = max(tagged, key=lambda one: len(one.tagged & ids), default=None)
    drawn = [one for one in sources if one.outlined and one.outlined >= one.tagged & ids]
    chosen.drawn = None if chosen.masks else max(drawn, key=lambda one: len(one.tagged & ids), default=None)


def _by_folders(looked: Looked, chosen: Chosen, ask: Ask) -> None:
    """Tags by the names of folders, where nothing else names a class."""
    parents = [PurePosixPath(image_id).parent.name for image_id in chosen.part.ids]
    names = sorted(set(parents))
    if not all(parents) or not 2 <= len(names) <= _MOST_FOLDERS:
        return
    shown = ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")
    if ask(f"Do the folders {shown} name the classes of their images? (yes or no)", "yes").strip().lower()[:1] != "n":
        chosen.tags = "folders"
        looked.note("tags", "taken from the names of the folders that hold the images")


def _hold_out(looked: Looked) -> None:
    """A fifth of the images validates; of those with masks, where some have."""
    train = looked.splits["train"]
    ids = set(train.part.ids)
    masked = train.masks.ids & ids if train.masks else train.drawn.tagged & ids if train.drawn else ids
    kept, held = hold_out(train.part, masked)
    looked.splits = {"train": replace(train, part=kept), "val": replace(train, part=held)}
    share = f"{len(held.ids)} of {len(ids)} images ({SHARE:.0%} are aimed at)"
    looked.note("val", f"no validation split was found: {share} were chosen by a hash of their names")


def _complete(looked: Looked, split: str) -> None:
    """Leave out what lacks a label that the others have, or the masks where labels of another kind cover more."""
    chosen = looked.splits[split]
    ids = set(chosen.part.ids)
    masked = chosen.masks.ids & ids if chosen.masks else ids
    others = bool(chosen.boxes or chosen.tags)
    if split == "train" and others and masked < ids:
        looked.note("train", f"{len(masked)} of {len(ids)} training images have masks, so none is used")
        chosen.masks = None
        masked = ids
    kept = masked
    for one in chosen.sources():
        if one.format != "yolo":
            kept = kept & one.tagged
    if kept < ids:
        looked.note(split, f"{len(ids - kept)} of {len(ids)} {split} images lack labels and are left out")
        chosen.part = chosen.part.only(kept)
    if not chosen.part.ids:
        raise DataError(f"{printable(looked.tree.root)}: no {split} image has all labels that others have")
    for one in chosen.sources():
        if one.format == "yolo" and ids - one.tagged:
            missing = len(ids - one.tagged)
            looked.note(
                split, f"{missing} {split} images have no file in {one.path}: they show no class, as YOLO means it"
            )


def _names(chosen: Chosen) -> Iterable[str]:
    for one in chosen.sources():
        yield from one.names
    if chosen.tags == "folders":
        yield from sorted({PurePosixPath(image_id).parent.name for image_id in chosen.part.ids})


def _listed(looked: Looked) -> tuple[str, ...]:
    """Names that a file lists in the order of numbers or ids."""
    sources = [one for chosen in looked.splits.values() for one in chosen.sources()]
    folders = [one.path for one in sources if one.format == "yolo"]
    for folder in [*folders, *(chosen.masks.folder for chosen in looked.splits.values() if chosen.masks), ""]:
        if names := listed_names(looked.tree, folder):
            return names
    numbered = [one.fields["classes"] for one in sources if "classes" in one.fields]
    return tuple(numbered[0]) if numbered else ()


def _held(looked: Looked, masks: Sequence[str], *, several: bool) -> Held | None:
    """What the masks of all splits hold; 0 and 1 are ids where labels name ``several`` classes."""
    wanted = {
        f"{chosen.masks.folder}/{image_id}{chosen.masks.ending}".lstrip("/")
        for chosen in looked.splits.values()
        if chosen.masks
        for image_id in chosen.masks.ids
    }
    paths = [path for path in masks if str(PurePosixPath(path).with_suffix("")) in wanted]
    held = look_at_masks(looked.tree, paths) if paths else None
    ids = held is not None and held.kind == "binary" and several and set(held.values) == {0, 1}
    return replace(held, kind="png") if held is not None and ids else held


def _write(
    looked: Looked,
    classes: Classes,
    held: Held | None,
    name: str,
    root: str,
    list_path: Callable[[str], str],
) -> Proposal:
    fields = {split: _fields(chosen, classes, held) for split, chosen in looked.splits.items()}
    params: dict[str, Any] = {"name": name, "root": root, "classes": classes.stated}
    other_names = {label for chosen in looked.splits.values() for label in _names(chosen) if is_background(label)}
    if renamed := {label: classes.names[0] for label in sorted(other_names) if label != classes.names[0]}:
        params["names"] = renamed
    for kind in ("images", "tags", "boxes", "masks"):
        values = [own.get(kind) for own in fields.values()]
        if values[0] is not None and all(value == values[0] for value in values):
            params[kind] = values[0]
            for own in fields.values():
                own.pop(kind)
    proposal = Proposal("folder", "", params, looked.notes)
    for split, chosen in looked.splits.items():
        params[split] = fields[split]
        if chosen.part.listed:
            params[split] = {"list": chosen.part.listed, **fields[split]}
        elif not chosen.part.whole:
            proposal.lists[split] = chosen.part.ids
            params[split] = {"list": list_path(split), **fields[split]}
    proposal.layout = f"recognised: {_summary(looked, held)}"
    if not any(chosen.labelled for chosen in looked.splits.values()):
        proposal.note("", "no labels were found: write where tags, boxes or masks lie, see docs/datasets.md")
    return published.as_known(proposal, looked.tree) or proposal


def _fields(chosen: Chosen, classes: Classes, held: Held | None) -> dict[str, Any]:
    """The fields of one split."""
    fields: dict[str, Any] = {"images": chosen.part.images or "."}
    if isinstance(chosen.tags, Labels):
        fields["tags"] = _source(chosen.tags, chosen)
    elif chosen.tags:
        fields["tags"] = chosen.tags
    if chosen.boxes:
        fields["boxes"] = _source(chosen.boxes, chosen)
    if chosen.masks and held is not None:
        masks: dict[str, Any] = {"path": chosen.masks.folder or ".", "format": held.kind}
        if chosen.masks.ending:
            masks["suffix"] = chosen.masks.ending
        if held.kind == "rgb":
            masks["colours"] = classes.colours
        fields["masks"] = masks
    elif chosen.drawn:
        fields["masks"] = _source(chosen.drawn, chosen)
    return fields


def _source(labels: Labels, chosen: Chosen) -> Mapping[str, Any]:
    stated = dict(labels.stated())
    if labels.format == "yolo" and set(chosen.part.ids) - labels.tagged:
        stated["missing"] = "empty"
    return stated


def _summary(looked: Looked, held: Held | None) -> str:
    """What was found, for example ``images with boxes (yolo: labels) and masks (png: masks)``."""
    found: dict[str, None] = {}
    for chosen in looked.splits.values():
        if chosen.tags:
            found[f"tags ({'names of folders' if isinstance(chosen.tags, str) else _called(chosen.tags)})"] = None
        if chosen.boxes:
            found[f"boxes ({_called(chosen.boxes)})"] = None
        if chosen.masks and held:
            found[f"masks ({held.kind}: {chosen.masks.folder or '.'})"] = None
        elif chosen.drawn:
            found[f"masks ({_called(chosen.drawn)})"] = None
    return "images with " + " and ".join(found) if found else "images without labels"


def _called(labels: Labels) -> str:
    return f"{labels.format}: {labels.path or '.'}"
