"""Writes a new plugin that passes the conformance kit: a package of the anatomy of those in ``plugins`` or one file."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from harness.contract import CONTRACT, ConfigError, StoreError

_NAME = re.compile(r"[a-z][a-z0-9]*([_-][a-z0-9]+)*")
_HERE = Path(__file__).parent

PACKAGE = {
    "pyproject.toml": "pyproject.toml.txt",
    "{package}/README.md": "readme.md.txt",
    "{package}/__init__.py": "init.py.txt",
    "{package}/params.py": "params.py.txt",
    "{package}/card.py": "card.py.txt",
    "{package}/method.py": "method.py.txt",
    "{package}/generator.py": "generator.py.txt",
    "{package}/py.typed": "py.typed.txt",
    "{package}/tests/test_{module}.py": "test.py.txt",
}
"""File of the new plugin -> template."""


@dataclass(frozen=True)
class Names:
    """What a plugin called ``name`` calls its parts."""

    name: str

    @property
    def module(self) -> str:
        """An identifier."""
        return self.name.replace("-", "_")

    @property
    def package(self) -> str:
        """Import package."""
        return f"wsss_{self.module}"

    @property
    def distribution(self) -> str:
        """Name for pip."""
        return f"wsss-{self.name.replace('_', '-')}"

    @property
    def type(self) -> str:
        """Class of the generator."""
        return "".join(part.capitalize() for part in self.module.split("_"))


def new_package(name: str, folder: Path) -> list[Path]:
    """Write a packaged plugin into ``folder / name``; returns the files.

    Raises:
        ConfigError: The name is not allowed, or the folder is there and not empty.
        StoreError: The folder cannot be written.
    """
    names, root = _names(name), folder / name
    if root.exists() and (not root.is_dir() or any(root.iterdir())):
        raise ConfigError(f"{root}: is there and not empty; choose another name or --dir")
    return _write({root / _filled(path, names): _filled(_text(template), names) for path, template in PACKAGE.items()})


def new_file(name: str, folder: Path) -> list[Path]:
    """Write a plugin of one file, ``folder / <name>.py``; returns it in a list.

    Raises:
        ConfigError: The name is not allowed, or the file is there.
        StoreError: The folder cannot be written.
    """
    names = _names(name)
    path = folder / f"{names.module}.py"
    if path.exists():
        raise ConfigError(f"{path}: is there; choose another name or --dir")
    return _write({path: _filled(_text("single.py.txt"), names)})


def _names(name: str) -> Names:
    if not _NAME.fullmatch(name):
        raise ConfigError(
            f"plugin name {name!r} is not allowed: lower case letters and digits in words joined by '_' or '-',"
            " beginning with a letter"
        )
    return Names(name)


def _text(template: str) -> str:
    return (_HERE / template).read_text(encoding="utf-8")


def _filled(text: str, names: Names) -> str:
    """``text`` with ``{name}`` and the other names, and ``{contract}``, filled in."""
    for part in ("name", "module", "package", "distribution", "type"):
        text = text.replace(f"{{{part}}}", getattr(names, part))
    return text.replace("{contract}", str(CONTRACT))


def _write(files: dict[Path, str]) -> list[Path]:
    for path, text in files.items():
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        except OSError as error:
            raise StoreError(f"{path}: cannot be written ({error.strerror})") from error
    return list(files)
