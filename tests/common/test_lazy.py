from __future__ import annotations

import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

from harness.common.lazy import homes, lazy_face

ROOT = Path(__file__).parents[2]
FACES = ("api", "data", "engine", "leaderboard", "maps", "modelling", "scoring", "testing")


@pytest.mark.parametrize("name", FACES)
def test_a_face_lists_what_it_loads(name: str) -> None:
    package = import_module(f"harness.{name}")
    assert sorted(package.__all__) == sorted(homes(f"harness.{name}")) == dir(package)
    assert all(hasattr(package, public) for public in package.__all__)


@pytest.mark.parametrize("name", FACES)
def test_no_public_name_is_hidden_by_a_module_of_that_name(name: str) -> None:
    modules = {path.stem for path in (ROOT / "harness" / name).glob("*.py")}
    found = homes(f"harness.{name}")
    hidden = {public for public in modules & set(found) if ":" in found[public]}
    assert not hidden, "importing the module of that name puts it in place of the public one"


def test_an_unknown_name_is_an_attribute_error() -> None:
    load, _ = lazy_face("harness.testing")
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        load("nothing")


@pytest.mark.parametrize("name", FACES)
def test_importing_a_face_loads_none_of_its_modules(name: str) -> None:
    code = f"import sys, harness.{name}; print([m for m in sys.modules if m.startswith('harness.{name}.')])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
