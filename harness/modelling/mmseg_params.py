"""Parameters of the data set ``mmseg``. Light: loads pydantic and nothing else."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class MmsegParams(BaseModel):
    """A data set as an mmsegmentation configuration describes it; the file is a program, which mmengine runs."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    name: str = Field(description="name of the data set in tables")
    config: str = Field(description="configuration, .py; a relative path begins where the command is called")
    root: str | None = Field(
        None, description="folder in place of data_root of the configuration, which begins where the command is called"
    )
    absent: list[str] = Field([], description="classes that no training mask shows, on purpose")
    min_box_pixels: int = Field(1, ge=1, description="smaller components of a mask are specks and make no box")
    exif: Literal["refuse", "stored"] = Field(
        "refuse", description="photographs that EXIF turns or mirrors; 'stored' where masks are of the stored pixels"
    )
    show_images: bool = Field(False, description="the licence allows its pictures in a published page")
