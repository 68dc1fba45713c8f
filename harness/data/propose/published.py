"""Layouts that have a reader of their own: PASCAL VOC, COCO, Cityscapes."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Any

from harness.contract import DataError
from harness.data.instances import InstancesFile, read_instances
from harness.data.propose.proposal import Proposal
from harness.data.propose.tree import Tree


def is_cityscapes(tree: Tree) -> bool:
    """Whether the folder is Cityscapes as distributed and unpacked."""
    return all(
        any(folder.startswith(part) for folder in tree.folders) for part in ("leftImg8bit/train/", "gtFine/train/")
    )


def cityscapes(name: str, root: str) -> Proposal:
    """Cityscapes with the 19 classes of its benchmark."""
    proposal = Proposal("cityscapes", "recognised: Cityscapes", {"name": name, "root": root, "classes": "all"})
    proposal.note("classes", "the 19 classes of its benchmark; or vehicles_and_persons, or vehicle_person")
    return proposal


def as_known(proposal: Proposal, tree: Tree) -> Proposal | None:
    """The same data set in the form of its own reader, where it has one."""
    return _as_voc(proposal) or _as_coco(proposal, tree)


def _as_voc(proposal: Proposal) -> Proposal | None:
    """VOC layout: JPEGImages, masks of ids in SegmentationClass or none, XML in Annotations or no other label."""
    params = proposal.params
    images, masks = params.get("images", ""), params.get("masks")
    own = [{**params, **params[split]} for split in ("train", "val")]
    sources: list[Any] = [fields[kind] for fields in own for kind in ("tags", "boxes") if kind in fields]
    drawn = [fields.get("masks") for fields in own if fields.get("masks") is not None]
    if PurePosixPath(images).name != "JPEGImages" or (drawn and masks is None) or (masks and masks["format"] != "png"):
        return None
    if masks and (set(masks) != {"path", "format"} or not PurePosixPath(masks["path"]).name.startswith("Segm")):
        return None
    if any(not isinstance(one, dict) or one["format"] != "voc" or set(one) != {"path", "format"} for one in sources):
        return None
    if not (masks or sources) or (sources and len(sources) != 2) or len({one["path"] for one in sources}) > 1:
        return None
    return _voc(proposal, images, masks["path"] if masks else "none", sources[0]["path"] if sources else None)


def _voc(proposal: Proposal, images: str, masks: str, annotations: str | None) -> Proposal:
    params, labels = proposal.params, "xml" if annotations else "masks"
    classes = params["classes"]
    voc: dict[str, Any] = {"name": params["name"], "root": params["root"], "images": images, "masks": masks}
    voc |= {"annotations": annotations} if annotations else {}
    voc |= {split: params[split]["list"] for split in ("train", "val")}
    voc["classes"] = classes if isinstance(classes, dict) else {name: number for number, name in enumerate(classes)}
    voc |= {"names": params["names"]} if "names" in params else {}
    voc |= {"boxes": labels, "tags": labels}
    return Proposal("voc", f"{proposal.layout}, in the layout of PASCAL VOC", voc, proposal.notes, proposal.lists)


def _as_coco(proposal: Proposal, tree: Tree) -> Proposal | None:
    """COCO: one instances file for each split gives all labels, and its files lie where it says."""
    own = {split: {**proposal.params, **proposal.params[split]} for split in ("train", "val")}
    for fields in own.values():
        boxes, masks = fields.get("boxes"), fields.get("masks")
        if boxes is None or boxes != masks or set(boxes) != {"path", "format"} or boxes["format"] != "coco":
            return None
        if "tags" in fields:
            return None
    files = {split: read_instances(tree.root / fields["boxes"]["path"], split) for split, fields in own.items()}
    if files["train"].categories != files["val"].categories or not all(
        _in_place(files[split], tree, fields["images"]) for split, fields in own.items()
    ):
        return None
    params: dict[str, Any] = {"name": proposal.params["name"], "root": proposal.params["root"]}
    for split, fields in own.items():
        params |= {split: fields["boxes"]["path"], f"{split}_images": fields["images"]}
        params |= {f"{split}_list": fields["list"]} if "list" in fields else {}
    params["classes"] = [name for name in proposal.params["classes"] if name in files["train"].categories.values()]
    return Proposal("coco", f"{proposal.layout}, in the layout of COCO", params, proposal.notes, proposal.lists)


def _in_place(instances: InstancesFile, tree: Tree, images: str) -> bool:
    """Whether the photographs lie at their names below the folder of images."""
    folder = tree.root / images
    try:
        return all((folder / one.file_name).is_file() for one in instances.photographs.values())
    except OSError as error:
        raise DataError(f"{folder}: {error.strerror}") from error
