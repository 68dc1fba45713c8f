"""The source hash follows what a plugin's code says, not where it lies."""

import shutil
import sys

from harness.plugins._sources import source_sha256

METRIC = "@hookimpl\ndef wsss_metrics():\n    yield MetricRecord('x', factory='a:b')\n"


def package(site, root="pack"):
    site.write(f"{root}/__init__.py", METRIC)
    site.write(f"{root}/sub/__init__.py", "")
    site.write(f"{root}/sub/method.py", "x = 1")
    (site.folder / root / "notes.txt").write_text("not code")


def fresh(site, **kwargs):
    for name in [name for name in sys.modules if name.split(".")[0] == "pack"]:
        del sys.modules[name]
    return site.manager(builtins=("pack",), **kwargs).source_sha256("pack")


def test_the_hash_of_a_package_covers_all_its_python_files(site):
    package(site)
    first = fresh(site)
    assert fresh(site) == first
    (site.folder / "pack/notes.txt").write_text("changed")
    assert fresh(site) == first
    site.write("pack/sub/method.py", "x = 2")
    assert fresh(site) != first


def test_the_hash_changes_when_a_file_is_renamed(site):
    package(site)
    first = fresh(site)
    (site.folder / "pack/sub/method.py").rename(site.folder / "pack/sub/other.py")
    assert fresh(site) != first


def test_the_hash_of_a_package_does_not_depend_on_its_place(site, tmp_path, monkeypatch):
    package(site)
    first = fresh(site)
    shutil.move(site.folder / "pack", tmp_path / "elsewhere" / "pack")
    monkeypatch.syspath_prepend(tmp_path / "elsewhere")
    assert fresh(site) == first


def test_a_module_deep_in_a_package_is_hashed_with_the_whole_package(site):
    package(site)
    site.write("pack/hooks.py", METRIC.replace("'x'", "'y'"))
    loaded = site.manager(builtins=("pack", "pack.hooks"))
    assert loaded.source_sha256("pack.hooks") == loaded.source_sha256("pack")


def test_a_part_of_the_harness_is_hashed_with_its_sub_package_only():
    import harness.contract.records  # noqa: F401

    assert source_sha256("harness.contract.records") == source_sha256("harness.contract")
    assert source_sha256("harness.contract") != source_sha256("harness.plugins")


def test_the_hash_of_a_file_plugin_is_that_of_its_content(site):
    one = site.write("a/mine.py", METRIC)
    two = site.write("b/renamed.py", METRIC)
    other = site.write("c/other.py", METRIC + "# changed")
    hashes = [site.manager(file).source_sha256(file.stem) for file in (one, two, other)]
    assert hashes[0] == hashes[1] != hashes[2]
