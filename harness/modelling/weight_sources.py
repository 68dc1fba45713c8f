"""Where initial weights come from: a name becomes an address with a checksum, an address becomes a file. No torch.

What to know:

* Every download is pinned: by a SHA-256 that was stated, or by the first digits of it that torchvision and OpenMMLab
  write into the file's name (``resnet50-0676ba61.pth``). Another address is refused until its SHA-256 is stated.
* A file is looked for in the folder ``WSSS_WEIGHTS``, then where torch keeps its downloads; it is downloaded into the
  first of the two that is set. Its checksum is compared every time.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import tempfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from http.client import HTTPException
from importlib.util import find_spec
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import unquote, urlparse
from urllib.request import Request, url2pathname, urlopen

from filelock import FileLock

from harness.common.files import file_problem, file_sha256, open_file
from harness.common.text import printable
from harness.contract.errors import ConfigError, PluginError
from harness.registry import did_you_mean

VARIABLE = "WSSS_WEIGHTS"
"""Environment variable that names the folder of weights."""

SAFETENSORS = ".safetensors"
"""How the name of a file of tensors ends that is no file of torch's."""

_TIMEOUT = 60
_CHUNK = 1 << 20
_PINNED = re.compile(r"-([0-9a-f]{8,64})\.[A-Za-z0-9]+$")
_LISTS = {
    "torchvision": "torchvision_0.12.json",
    "modelzoo": "torchvision_0.12.json",
    "open-mmlab": "openmmlab.json",
    "openmmlab": "openmmlab.json",
    "mmcls": "mmcls.json",
}
"""Schemes whose names mmengine knows, and its list of their addresses."""


@dataclass(frozen=True)
class Download:
    """An address and what lies there.

    Attributes:
        url: http or https.
        sha256: The file's SHA-256 in hexadecimal, all of it or its first digits.
    """

    url: str
    sha256: str

    @property
    def name(self) -> str:
        """Name of the file in the folder of weights; carries the checksum, so that equal names are equal files."""
        name = PurePosixPath(unquote(urlparse(self.url).path)).name or "weights.pth"
        if _PINNED.search(name):
            return name
        path = PurePosixPath(name)
        return f"{path.stem}-{self.sha256[:8]}{path.suffix or '.pth'}"


def is_address(source: str) -> bool:
    """Whether ``source`` is a URL or a scheme rather than a path; ``file://`` is a path."""
    return "://" in source and not source.startswith("file://")


def is_pinned(url: str) -> bool:
    """Whether the file name at the end of ``url`` carries the first digits of the file's SHA-256."""
    return _PINNED.search(urlparse(url).path) is not None


def local_path(source: str) -> Path:
    """The path that ``source`` is, ``file://`` and ``~`` included."""
    return Path(url2pathname(urlparse(source).path) if source.startswith("file://") else source).expanduser()


def find_download(source: str, sha256: str | None = None) -> Download:
    """The address behind a URL or a scheme, and its checksum.

    Args:
        source: ``https://...`` or a scheme such as ``torchvision://resnet50``.
        sha256: What the user or the backbone's record states.

    Raises:
        ConfigError: An unknown scheme or name, or nothing pins what lies at the address.
    """
    scheme, _, name = source.partition("://")
    if scheme in ("http", "https"):
        url = source
    elif scheme in _LISTS:
        url = _listed(scheme, name)
    elif scheme == "timm":
        url = _of_timm(name)
    else:
        known = ", ".join(f"{known}://" for known in ("https", "http", "file", "timm", *_LISTS))
        raise ConfigError(
            f"{printable(source)}: weights cannot be read from {printable(scheme)}:// (known are {known})"
        )
    pinned = _PINNED.search(urlparse(url).path)
    if sha256 is None and pinned is None:
        raise ConfigError(
            f"{printable(source)}: nothing says which file lies there; write its sha256 beside weights "
            f"(`wsss weights fetch {printable(url)}` prints it)"
        )
    return Download(url, sha256 or (pinned[1] if pinned else ""))


def _listed(scheme: str, name: str) -> str:
    addresses = _addresses(_LISTS[scheme])
    if name not in addresses and scheme in ("torchvision", "modelzoo"):
        addresses = {**addresses, **_torchvision()}
        name = name if name in addresses else name.lower().replace("_weights", "")
    if name not in addresses:
        close = did_you_mean(name, addresses)
        raise ConfigError(f"{printable(scheme)}://{printable(name)}: there are no weights of that name{close}")
    return addresses[name]


def _of_timm(name: str) -> str:
    """Where timm's weights of a network lie; imports timm, which takes seconds."""
    from harness.modelling.timm_networks import address

    try:
        return address(name)
    except PluginError as error:
        raise ConfigError(str(error)) from None


@cache
def _addresses(file: str) -> dict[str, str]:
    """A list that mmengine ships, read without importing it."""
    spec = find_spec("mmengine")
    if spec is None or not spec.submodule_search_locations:
        raise ConfigError("weights: mmengine is not installed; see `wsss doctor`")
    path = Path(spec.submodule_search_locations[0]) / "hub" / file
    found: dict[str, str] = json.loads(path.read_text(encoding="utf-8"))
    return found


@cache
def _torchvision() -> dict[str, str]:
    """``resnet50.imagenet1k_v2`` for ``ResNet50_Weights.IMAGENET1K_V2``; imports torchvision, which takes seconds."""
    from torchvision.models import get_model_weights, list_models

    kinds: list[Any] = [get_model_weights(name) for name in list_models()]
    return {f"{kind.__name__.replace('_Weights', '').lower()}.{w.name.lower()}": w.url for kind in kinds for w in kind}


def folders() -> list[Path]:
    """Where weights are looked for; the first takes downloads."""
    named = os.environ.get(VARIABLE)
    cache_home = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser()
    torch_home = Path(os.environ.get("TORCH_HOME") or cache_home / "torch").expanduser()
    return [*([Path(named).expanduser()] if named else []), torch_home / "hub" / "checkpoints"]


def present(download: Download) -> Path | None:
    """The file of a download where it is there already; its content is not looked at."""
    paths = (folder / download.name for folder in folders())
    return next((path for path in paths if file_problem(path) is None), None)


def fetch(download: Download, tick: Callable[[int, int], None] = lambda done, total: None) -> Path:
    """The file of a download, from the folder of weights or from the network, its checksum compared.

    Args:
        download: What to fetch.
        tick: Called with (bytes, bytes in all or 0) while it is downloaded.

    Raises:
        ConfigError: It is not there and cannot be downloaded, or it is another file.
    """
    path = present(download)
    if path is None:
        path = folders()[0] / download.name
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with FileLock(f"{path}.lock"):
                if file_problem(path) is not None:
                    receive(download.url, path, sha256=download.sha256, tick=tick)
        except (OSError, HTTPException, ValueError) as error:
            raise ConfigError(
                f"{printable(download.url)}: cannot be downloaded ({printable(error)}); on a machine with a network "
                f"say `wsss weights fetch {printable(download.url)}`, or put the file there as {path}"
            ) from None
    check_sha256(path, download.sha256)
    return path


def receive(
    url: str, path: Path, *, sha256: str = "", tick: Callable[[int, int], None] = lambda done, total: None
) -> str:
    """Download ``url`` to ``path``, which appears when it is complete and its checksum right.

    Returns:
        The SHA-256 of the content.

    Raises:
        ConfigError: It has another checksum.
        OSError: The connection or the disk failed, as do ``HTTPException`` and ``ValueError`` of a malformed address.
    """
    digest = hashlib.sha256()
    with tempfile.NamedTemporaryFile(
        dir=path.parent, prefix=f"{path.name[:40]}.", suffix=".part", delete=False
    ) as file:
        part = Path(file.name)
        try:
            with urlopen(Request(url, headers={"User-Agent": "wsss-harness"}), timeout=_TIMEOUT) as response:
                total = int(response.headers.get("Content-Length") or 0)
                while chunk := response.read(_CHUNK):
                    digest.update(chunk)
                    file.write(chunk)
                    tick(file.tell(), total)
            if file.tell() < total:
                raise OSError(f"the connection ended after {file.tell():,} of {total:,} bytes")
            found = digest.hexdigest()
            if not found.startswith(sha256):
                raise ConfigError(f"{printable(url)}: has sha256 {found}, not {sha256}; nothing was kept")
            file.close()
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)
    return found


def check_sha256(path: Path, sha256: str) -> None:
    """Compare a file with its checksum.

    Args:
        path: The file.
        sha256: All of the SHA-256 or its first digits.

    Raises:
        ConfigError: It differs.
    """
    found = file_sha256(path)
    if not found.startswith(sha256):
        raise ConfigError(f"{printable(path)}: has sha256 {found}, not {sha256}: it is another file, or it is damaged")


def file_of(source: str, sha256: str | None = None) -> Path:
    """The file that ``source`` names, downloaded where that is needed, its checksum compared where there is one.

    Args:
        source: A path, a URL or a scheme.
        sha256: All of the SHA-256 or its first digits.

    Raises:
        ConfigError: It is missing, is no regular file, cannot be downloaded or is another file.
    """
    if is_address(source):
        return fetch(find_download(source, sha256))
    path = local_path(source)
    if problem := file_problem(path):
        raise ConfigError(f"{printable(path)}: {problem}")
    if sha256:
        check_sha256(path, sha256)
    return path


def check_format(path: Path) -> None:
    """Refuse a file that cannot be PyTorch weights, or whose end is missing, without reading its tensors.

    Raises:
        ConfigError: It is none, names the reason.
    """
    with open_file(path) as file:
        head = file.read(4)
        if head.startswith(b"\x80"):  # the format before torch 1.6, a row of pickles: only torch can tell
            from harness.modelling.weights import read_state

            read_state(str(path))
            return
        if path.suffix == SAFETENSORS:
            _check_safetensors(head + file.read(4), path)
            return
        if head != b"PK\x03\x04":
            what = "is empty" if not head else "is no file of PyTorch weights"
            raise ConfigError(f"{printable(path)}: {what}")
        file.seek(0)
        try:
            with zipfile.ZipFile(file) as archive:
                held = {PurePosixPath(name).name for name in archive.namelist()}
        except (zipfile.BadZipFile, ValueError, NotImplementedError):
            raise ConfigError(f"{printable(path)}: is damaged, its end is missing; copy or download it again") from None
        if "data.pkl" not in held:
            raise ConfigError(f"{printable(path)}: is an archive, but holds no PyTorch weights")


def _check_safetensors(head: bytes, path: Path) -> None:
    """The first 8 bytes say how long the list of tensors is that follows.

    Raises:
        ConfigError: The file ends before its list does.
    """
    length = int.from_bytes(head, "little")
    if len(head) < 8 or length + 8 > path.stat().st_size:
        raise ConfigError(f"{printable(path)}: is no file of safetensors, or its end is missing; copy it again")
