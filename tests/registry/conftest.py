"""A throw-away folder of plugins: modules, single files and installed distributions."""

import sys
import textwrap

import pytest

from harness.registry import PluginManager

HEAD = """
from harness.contract import *
from harness.contract import hookimpl
"""

GOOD = """
@hookimpl
def wsss_generators():
    yield GeneratorRecord("good", factory="nowhere:Good", needs=(TAGS,))

@hookimpl
def wsss_methods():
    yield MethodRecord("good", rounds=(Round(Use("good")),))
"""


class Site:
    """Everything written here is importable until the test ends."""

    def __init__(self, folder):
        self.folder = folder

    def write(self, path, code):
        target = self.folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(HEAD + textwrap.dedent(code))
        return target

    def install(self, name, version, entry_points):
        """A distribution with entry points ``{name: "module[:attribute]"}``."""
        info = self.folder / f"{name}-{version}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        lines = "\n".join(f"{key} = {value}" for key, value in entry_points.items())
        (info / "entry_points.txt").write_text(f"[wsss]\n{lines}\n")

    def manager(self, *files, builtins=(), env="", **kwargs):
        return PluginManager(plugin_files=files, builtins=builtins, env=env, **kwargs)


@pytest.fixture
def site(tmp_path, monkeypatch):
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(folder)
    before = set(sys.modules)
    yield Site(folder)
    for name in set(sys.modules) - before:
        if not name.startswith(("harness", "pydantic")):
            del sys.modules[name]


@pytest.fixture
def good(site):
    site.write("good_builtin.py", GOOD)
    return "good_builtin"
