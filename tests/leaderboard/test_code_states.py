"""A table says when its rows were computed by different states of the code, and ``--strict`` refuses it."""

import json
from types import SimpleNamespace

import pytest
from rich.console import Console

from harness.contract import ConfigError
from harness.leaderboard import build_board, load_runs, to_rich
from harness.leaderboard.page.page import to_html
from harness.leaderboard.render import to_csv, to_json, to_latex, to_markdown
from harness.records.code_states import Cell, code_of, mixtures, sentence

OLD, NEW = "a" * 64, "b" * 64


def plugin(source, name="wsss_mine"):
    return {"name": name, "distribution": None, "version": "1", "source_sha256": source}


def board_of(records, **options):
    return build_board(load_runs(records.runs), **options)


def texts_of(board):
    console = Console(width=100, no_color=True)
    with console.capture() as captured:
        console.print(to_rich(board))
    terminal = " ".join(captured.get().split())
    return {"md": to_markdown(board), "tex": to_latex(board), "html": to_html(board), "terminal": terminal}


@pytest.fixture
def mixed(records):
    """``one`` by an old plugin; of ``two`` seed 1 by the new one; ``other`` by another plugin alone."""
    for seed in (0, 1):
        records.add("one", seed=seed, plugins=[plugin(OLD)], environment={"numpy": "2.4", "commit": "c1"})
        source = NEW if seed else OLD
        records.add("two", seed=seed, plugins=[plugin(source)], environment={"numpy": "2.4", "commit": "c2"})
        records.add("other", seed=seed, plugins=[plugin(NEW, "wsss_other")], environment={"numpy": "2.4"})
    return records


SENTENCE = (
    "Mixed code: rows of different states of the code may differ for that alone: "
    "plugin wsss_mine is aaaaaaaa in one, seed 0 of two; bbbbbbbb in seed 1 of two."
)


def test_every_rendering_names_the_rows_of_another_state_of_the_code_under_its_table(mixed):
    board = board_of(mixed)
    assert board.warnings == [SENTENCE]
    texts = texts_of(board)
    assert SENTENCE in texts["html"]
    assert SENTENCE in texts["terminal"]
    assert SENTENCE.replace("_", r"\_") in texts["tex"].split("bottomrule")[1], "a comment would not be printed"
    assert texts["md"].index("Mixed code") > texts["md"].index("| two ")
    assert texts["md"].index("Mixed code") < texts["md"].index("## Validation IoU by class")
    assert json.loads(to_json(board))["warnings"] == [SENTENCE]
    header, *lines = to_csv(board).splitlines()
    place = header.split(",").index("code")
    assert {line.split(",")[1]: line.split(",")[place] for line in lines} == {
        "one": "plugin wsss_mine aaaaaaaa",
        "two": "plugin wsss_mine aaaaaaaa and bbbbbbbb",
        "other": "",
    }


def test_a_table_of_one_state_says_nothing(records):
    records.add("one", plugins=[plugin(OLD)], environment={"numpy": "2.4", "commit": "c1", "device": "cpu"})
    records.add("two", plugins=[plugin(OLD)], environment={"numpy": "2.4", "commit": "c2+", "device": "cuda"})
    records.add("failed", plugins=[plugin(NEW)], status="failed")
    board = board_of(records, strict=True)
    assert board.warnings == []
    assert "code" not in to_csv(board).splitlines()[0].split(",")
    assert "warnings" not in json.loads(to_json(board))


def test_strict_refuses_a_mixture_in_one_sentence(mixed):
    with pytest.raises(ConfigError, match=r"^--strict: Mixed code: .* seed 1 of two$"):
        board_of(mixed, strict=True)


def test_versions_of_libraries_count_also_when_one_cell_has_several(records):
    records.add("one", environment={"numpy": ["2.4", "2.5"], "torch": "2.15"})
    records.add("two", environment={"numpy": "2.5", "torch": "2.15"})
    (warning,) = board_of(records).warnings
    assert warning.endswith("numpy is 2.5 in one, two; 2.4 in one.")


def test_seeds_of_a_row_with_other_parameters_are_named(records):
    records.add("one", seed=0, params={"threshold": 0.3})
    records.add("one", seed=1, params={"threshold": 0.5})
    records.add("two", seed=0, params={"threshold": 0.9})
    (warning,) = board_of(records).warnings
    assert "seeds of row one" in warning
    assert "params.threshold: 0.3 in seed 0, 0.5 in seed 1" in warning
    with pytest.raises(ConfigError, match="--strict"):
        board_of(records, strict=True)


def test_rows_of_one_label_are_told_apart_by_their_backbone(records):
    records.add("one", backbone="a_net", plugins=[plugin(OLD)])
    records.add("one", backbone="b_net", plugins=[plugin(NEW)])
    (warning,) = board_of(records).warnings
    assert "aaaaaaaa in one (a_net); bbbbbbbb in one (b_net)" in warning


def test_names_that_fall_apart_alike_are_one_mixture_and_a_name_that_a_cell_lacks_says_nothing():
    names = [f"file{number}.py" for number in range(5)]
    cells = {
        Cell("old", 0): dict.fromkeys(names, ("1",)),
        Cell("new", 0): dict.fromkeys(names, ("2",)),
        Cell("bare", 0): {"numpy": ("2.4",)},
    }
    (found,) = mixtures(cells)
    assert found.names == tuple(names)
    assert sentence(found, cells).endswith(
        "file0.py, file1.py, file2.py and 2 more are 2, 2, 2, ... in new; 1, 1, 1, ... in old."
    )


def test_the_code_of_a_record_is_a_name_and_its_state(records):
    path = records.add(
        "one", plugins=[plugin(OLD)], environment={"numpy": "2.4", "scipy": None, "commit": "c", "platform": "Linux"}
    )
    (run,) = load_runs([path])
    found = {"plugin wsss_mine": ("aaaaaaaa",), "record of code": ("by plugin",), "numpy": ("2.4",)}
    assert code_of(run.record) == found


def test_a_record_that_names_its_code_file_by_file_is_told_from_one_of_the_older_form():
    plugin = SimpleNamespace(name="wsss_mine", source_sha256=None)
    by_file = code_of(SimpleNamespace(code={"harness/maps/cam.py": "c" * 64}, plugins=[plugin], environment={}))
    assert by_file == {"harness/maps/cam.py": ("cccccccc",), "record of code": ("by file",)}
    old = code_of(SimpleNamespace(plugins=[SimpleNamespace(name="m", source_sha256=OLD)], environment={}))
    (found,) = mixtures({Cell("new", 0): by_file, Cell("old", 0): old})
    assert found.names == ("record of code",)
