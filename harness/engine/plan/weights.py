"""The initial weights of a benchmark: found and checked before anything is computed, and named by their content."""

from __future__ import annotations

from pathlib import Path

from harness.common.files import file_problem, file_sha256
from harness.common.text import printable
from harness.contract.errors import ConfigError
from harness.engine.plan.catalogue import hint
from harness.modelling.weight_sources import check_format, check_sha256, find_download, is_address, local_path


def find_weights(source: str, sha256: str | None, *, base: Path, where: str) -> tuple[str, str]:
    """Initial weights as a stage reads them, and the checksum that enters its key.

    Args:
        source: A path, a URL or a scheme such as ``torchvision://resnet50``.
        sha256: What the benchmark or the backbone's record states.
        base: Folder that a relative path begins at.
        where: File and field, for messages.

    Returns:
        (absolute path, SHA-256 of the file) or (address, SHA-256 or those of its first digits that pin the download).

    Raises:
        ConfigError: The file is missing, no regular file, damaged or not the stated one; an address is unknown or
            nothing pins what lies there.
    """
    try:
        if is_address(source):
            download = find_download(source, sha256)
            return download.url, download.sha256
        path = base / local_path(source)
        if problem := file_problem(path):
            raise ConfigError(f"{printable(path)}: {problem}{hint(path.name)}")
        check_format(path)
        if sha256 is not None:
            check_sha256(path, sha256)
    except ConfigError as error:
        raise ConfigError(f"{where}: {error}") from None
    return str(path.resolve()), file_sha256(path)
