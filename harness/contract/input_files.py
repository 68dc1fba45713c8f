"""Files and folders as parameters of a component: types for the fields of a parameter class.

What a component reads from such a file is part of its result, so the plan finds the file, and its content becomes part
of the key in place of its path. ``Path`` alone is no such type: it enters a key as text.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal


class InputPath(str):
    """An absolute path in the parameters of a component as JSON, told apart from other texts.

    Attributes:
        sha256: Digest of the content; empty until the plan has computed it.
    """

    sha256: str = ""


@dataclass(frozen=True)
class Input:
    """Marks the type of a parameter that names a file or a folder to read from."""

    kind: Literal["file", "folder"]

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> Any:
        """A path whose place the context of a validation finds; dumped as ``InputPath``."""
        from pydantic_core import core_schema

        def found(path: Path, info: Any) -> Path:
            place: Path = info.context(self, path) if info.context else path
            return place

        return core_schema.with_info_after_validator_function(
            found,
            handler(source),
            serialization=core_schema.plain_serializer_function_ser_schema(InputPath),
        )


InputFile = Annotated[Path, Input("file")]
"""A file that a component reads: ``weights: InputFile``, or ``InputFile | None = None``. Its value is a ``Path``.

A relative path begins at the folder of the benchmark file. A missing file is an error of the plan. The digest of its
content enters the key of the stage, and records name the digest and the file's name without its folder.
"""

InputFolder = Annotated[Path, Input("folder")]
"""A folder that a component reads, as ``InputFile``; its content is that of all files in it and below.

Files and folders whose names begin with a dot are not part of it.
"""
