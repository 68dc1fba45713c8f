"""Plugins are found in one order, listed with where they come from, and looked up by kind and name."""

import os
import pickle
import subprocess
import sys

import pytest

from harness.contract import ConfigError, Need, PluginError, Supervision
from harness.registry import BUILTINS, PluginSpec, manager, manager_from_spec

METRIC = "@hookimpl\ndef wsss_metrics():\n    yield MetricRecord({name!r}, factory='nowhere:f')\n"


def names(manager):
    return [state.name for state in manager.plugins()]


def test_load_order_is_builtins_entry_points_beside_config_files(site, good):
    site.write("packaged.py", METRIC.format(name="packaged"))
    site.install("packaged-dist", "1.0", {"zz_packaged": "packaged"})
    site.write("config/wsss_plugin.py", METRIC.format(name="beside"))
    named = site.write("named.py", METRIC.format(name="named"))
    loaded = site.manager(named, builtins=(good,), env=None, config_dir=site.folder / "config").plugins()
    ours = [state for state in loaded if state.name in {good, "zz_packaged", "wsss_plugin", "named"}]
    assert [(state.name, state.source) for state in ours] == [
        (good, "builtin"),
        ("zz_packaged", "entry point"),
        ("wsss_plugin", "file"),
        ("named", "file"),
    ]
    assert (ours[1].distribution, ours[1].version) == ("packaged-dist", "1.0")
    assert ours[1].file == str(site.folder / "packaged.py")


def test_an_empty_list_loads_builtins_and_named_files_only(site, good):
    site.write("packaged.py", METRIC.format(name="packaged"))
    site.install("packaged-dist", "1.0", {"packaged": "packaged"})
    site.write("config/wsss_plugin.py", METRIC.format(name="beside"))
    named = site.write("named.py", METRIC.format(name="named"))
    assert names(site.manager(named, builtins=(good,), env="", config_dir=site.folder / "config")) == [good, "named"]


def test_a_list_loads_only_those_entry_points(site):
    for name in ("alpha", "beta"):
        site.write(f"{name}_module.py", METRIC.format(name=name))
    site.install("both", "1.0", {"alpha": "alpha_module", "beta": "beta_module"})
    assert names(site.manager(env=" beta ")) == ["beta"]


def test_a_listed_entry_point_that_is_not_installed_is_quarantined(site):
    site.write("alpha_module.py", METRIC.format(name="alpha"))
    site.install("one", "1.0", {"alpha": "alpha_module"})
    (state,) = site.manager(env="alpa").plugins()
    assert state.status == "quarantined"
    assert "WSSS_PLUGINS names 'alpa', which is not installed; did you mean 'alpha'?" in state.reason


def test_an_entry_point_may_name_an_object_of_a_module(site):
    site.write(
        "objects.py",
        "class Plugin:\n    @hookimpl\n    def wsss_metrics(self):\n        yield MetricRecord('x', factory='a:b')\n"
        "plugin = Plugin()",
    )
    site.install("objects-dist", "1.0", {"objects": "objects:plugin"})
    loaded = site.manager(env="objects")
    assert list(loaded.records("metric")) == ["x"]
    assert loaded.module_of("objects")


def test_a_builtin_that_is_also_an_entry_point_is_loaded_once(site, good):
    site.install("same", "1.0", {"again": good})
    assert names(site.manager(builtins=(good,), env="again")) == [good]


def test_a_file_beside_the_config_that_is_also_named_is_loaded_once(site):
    file = site.write("config/wsss_plugin.py", METRIC.format(name="x"))
    assert names(site.manager(file, env=None, builtins=(), config_dir=file.parent)).count("wsss_plugin") == 1


def test_two_files_of_one_name_are_told_apart(site):
    one = site.write("a/mine.py", METRIC.format(name="one"))
    two = site.write("b/mine.py", METRIC.format(name="two"))
    first, second = site.manager(one, two).plugins()
    assert first.status == "ok"
    assert second.name == "mine#2"
    assert second.reason == f"a plugin of this name is already loaded: mine ({one})"


def test_a_missing_plugin_file_is_a_usage_error(tmp_path):
    with pytest.raises(ConfigError, match=r"plugin file .*absent\.py: no such file"):
        manager(plugin_files=[tmp_path / "absent.py"])


def test_a_file_edited_within_the_same_second_is_read_anew(site):
    file = site.write("mine.py", METRIC.format(name="aaa"))
    assert list(site.manager(file).records("metric")) == ["aaa"]
    site.write("mine.py", METRIC.format(name="bbb"))
    assert list(site.manager(file).records("metric")) == ["bbb"]


def test_a_file_plugin_has_an_importable_module_of_its_own(site):
    file = site.write(
        "my-method.py",
        "class Mine:\n    pass\n@hookimpl\ndef wsss_metrics():\n    yield MetricRecord('x', factory=Mine)",
    )
    factory = site.manager(file).get("metric", "x").factory
    assert factory.__module__.startswith("wsss_file_my_method_")
    assert pickle.loads(pickle.dumps(factory)) is factory
    assert site.manager(file).get("metric", "x").factory is factory


def test_unknown_names_get_the_nearest_ones_and_the_list(site, good):
    loaded = site.manager(builtins=(good,))
    with pytest.raises(PluginError, match=r"unknown generator 'god'; did you mean 'good'\? \(known: good\)"):
        loaded.get("generator", "god")
    with pytest.raises(PluginError, match=r"unknown kind of record 'generators'; did you mean 'generator'\?"):
        loaded.get("generators", "good")
    with pytest.raises(PluginError, match="unknown plugin 'godbuiltin'; did you mean 'good_builtin'"):
        loaded.module_of("godbuiltin")


def test_records_and_providers_are_served_by_kind(site, good):
    loaded = site.manager(builtins=(good,))
    assert loaded.get("method", "good") is loaded.records("method")["good"]
    provider = loaded.provider("generator", "good")
    assert (provider.name, provider.source, provider.status) == (good, "builtin", "ok")
    assert provider.hooks == ("wsss_generators", "wsss_methods")
    assert provider.records == {"generator": ("good",), "method": ("good",)}


def test_needs_of_a_method_are_those_of_all_parts_and_shared_stages(site):
    file = site.write(
        "mine.py",
        """
        saliency = SharedStage("saliency", run="a:b", needs=(SALIENCY,))
        refined = SharedStage("refined", run="a:b", after=(saliency,))

        @hookimpl
        def wsss_generators():
            yield GeneratorRecord("g", factory="a:b", needs=(TAGS,), uses=(refined,))

        @hookimpl
        def wsss_refiners():
            yield RefinerRecord("r", factory="a:b", needs=lambda params: (masks(0.25),))

        @hookimpl
        def wsss_segmenters():
            yield SegmenterRecord("s", factory="a:b", needs=(BOXES,))

        @hookimpl
        def wsss_methods():
            yield MethodRecord("m", rounds=(Round(Use("g"), (Use("r"),), Use("s")),))
        """,
    )
    kinds = Supervision.TAGS, Supervision.BOXES, Supervision.SALIENCY
    assert site.manager(file).needs("method", "m") == (*map(Need, kinds), Need(Supervision.MASKS, 0.25))


def test_the_default_manager_is_shared_and_follows_the_environment(monkeypatch):
    monkeypatch.setenv("WSSS_PLUGINS", "")
    first = manager()
    assert manager() is first
    assert first.spec == PluginSpec(env="")
    assert first.spec.builtins == BUILTINS


def test_a_spec_builds_the_same_manager_in_another_process(site, good):
    file = site.write("mine.py", METRIC.format(name="mine"))
    first = site.manager(file, builtins=(good,), config_dir=site.folder)
    spec = pickle.loads(pickle.dumps(first.spec))
    assert spec == first.spec
    second = manager_from_spec(spec)
    assert manager_from_spec(spec) is second
    assert second.plugins() == first.plugins()
    code = (
        "import pickle, sys; from harness.registry import manager_from_spec\n"
        "loaded = manager_from_spec(pickle.load(sys.stdin.buffer))\n"
        "print([s.name for s in loaded.plugins()], loaded.module_of('mine'))"
    )
    path = os.pathsep.join([str(site.folder), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, "-c", code],
        input=pickle.dumps(spec),
        capture_output=True,
        env=os.environ | {"PYTHONPATH": path},
        check=True,
    )
    assert done.stdout.decode().strip() == f"{names(first)} {first.module_of('mine')}"


def test_discovery_imports_nothing_heavy():
    code = (
        "import sys, harness.registry; harness.registry.PluginManager(env='')\n"
        "heavy = {'torch', 'numpy', 'pandas', 'mmengine', 'scipy', 'cv2', 'numba', 'matplotlib'} & set(sys.modules)\n"
        "sys.exit(f'heavy: {heavy}' if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_an_odd_escape_in_a_plugin_file_is_the_file_s_own_business(tmp_path):
    (tmp_path / "mine.py").write_text(
        "from harness.contract import hookimpl\npattern = '\\d'\n@hookimpl\ndef wsss_run_started(run): ...\n"
    )
    code = "from harness.registry import manager; print(manager(plugin_files=['mine.py']).plugins()[-1].status)"
    command = [sys.executable, "-W", "always", "-c", code]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "ok"
    assert "escape" not in done.stderr
