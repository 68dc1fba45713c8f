"""What is imported is declared, and what is declared is imported."""

import ast
import re
import sys
import tomllib
from functools import cache
from importlib.metadata import packages_distributions, requires
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
OWN = {"harness", *(path.name for path in (ROOT / "plugins").iterdir() if path.is_dir())}
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
COMPARED_WITH = {"pydensecrf"}
"""Imported where it happens to be installed; no index offers it for every Python that is supported."""


def name_of(requirement: str) -> str:
    """The normalised name of the distribution that a requirement asks for."""
    return re.sub(r"[-_.]+", "-", re.match(r"[\w.-]+", requirement)[0]).lower()


@cache
def imported() -> dict[str, Path]:
    """Top-level modules of others that the package and the plugins import, each with a file that does."""
    found = {}
    for path in sorted([*ROOT.glob("harness/**/*.py"), *ROOT.glob("plugins/**/*.py")]):
        if "tests" in path.relative_to(ROOT).parts:
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                found |= {alias.name.partition(".")[0]: path for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and not node.level:
                found[node.module.partition(".")[0]] = path
    return {name: path for name, path in found.items() if name not in sys.stdlib_module_names | OWN}


@cache
def installed() -> dict[str, set[str]]:
    """Installed distributions by the modules that they bring; reading their lists of files takes a second."""
    return {module: {name_of(name) for name in names} for module, names in packages_distributions().items()}


def providers(module: str) -> set[str]:
    """Distributions that bring a module; of an extra that is not installed the one of its name."""
    return installed().get(module, {name_of(module)})


@pytest.mark.parametrize("module", sorted(imported().keys() - COMPARED_WITH))
def test_what_is_imported_is_declared(module: str) -> None:
    extras = PROJECT["optional-dependencies"]
    options = [name for extra in extras if extra != "dev" for name in extras[extra]]
    declared = {name_of(requirement) for requirement in [*PROJECT["dependencies"], *options]}
    assert providers(module) & declared, f"{imported()[module].relative_to(ROOT)} imports {module}: declare it"


@pytest.mark.parametrize("requirement", PROJECT["dependencies"])
def test_what_is_declared_is_imported(requirement: str) -> None:
    assert any(name_of(requirement) in providers(module) for module in imported()), f"nothing imports {requirement}"


def test_the_wheel_of_opencv_is_the_one_that_mmcv_asks_for_so_no_second_one_is_installed() -> None:
    for distribution in ("onedl-mmcv", "onedl-mmsegmentation"):
        asked = {name_of(requirement) for requirement in requires(distribution) or ()}
        assert {name for name in asked if name.startswith("opencv")} == {"opencv-python"}
    assert [name_of(name) for name in PROJECT["dependencies"] if name.startswith("opencv")] == ["opencv-python"]
