"""Folders in place of tags: ``cat/001.jpg`` shows a cat."""

from __future__ import annotations

from pathlib import PurePosixPath

from harness.data.formats.source import Record, Source


class FolderNames(Source):
    """Tags from the names of the folders that hold the images."""

    def failure(self) -> str | None:
        """Nothing can fail here."""
        return None

    def silent(self, image_id: str) -> str | None:
        """Says that the image lies in no folder of its own."""
        if "/" in image_id:
            return None
        return f"{self.path}: image {image_id!r} lies in no folder of a class"

    def _record(self, image_id: str) -> Record:
        return Record(f"{self.path}: image {image_id!r}", (PurePosixPath(image_id).parent.name,))
