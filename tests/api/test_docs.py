"""The notebook and the page about Python run as they stand, one after the other, in a folder of nothing."""

import ast
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NOTEBOOK = ROOT / "docs" / "first_comparison.ipynb"
PAGE = ROOT / "docs" / "python.md"

SHELL = """
import ast, json, sys
names = {}
for source in json.load(open(sys.argv[1])):
    tree = ast.parse(source)
    last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
    exec(compile(tree, "cell", "exec"), names)
    shown = eval(compile(ast.Expression(last.value), "cell", "eval"), names) if last else None
    if shown is not None:
        print(repr(shown))
    print("-- end of cell --")
"""
"""Runs pieces of code one after the other as a notebook does: the value of a last expression is shown."""


def cells(kind):
    return [cell for cell in json.loads(NOTEBOOK.read_text())["cells"] if cell["cell_type"] == kind]


def code_of_notebook():
    return ["".join(cell["source"]) for cell in cells("code")]


def code_of_page():
    return re.findall(r"^```python\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def shown(tmp_path_factory):
    """What each piece showed, of the notebook and then of the page, in a process of its own."""
    folder = tmp_path_factory.mktemp("python")
    pieces = [*code_of_notebook(), *code_of_page()]
    (folder / "pieces.json").write_text(json.dumps(pieces))
    paths = os.pathsep.join([str(ROOT), str(ROOT / "plugins")])
    done = subprocess.run(
        [sys.executable, "-c", SHELL, "pieces.json"],
        cwd=folder, env=os.environ | {"PYTHONPATH": paths}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    printed = done.stdout.split("-- end of cell --\n")[:-1]
    assert len(printed) == len(pieces)
    return dict(zip(pieces, printed, strict=True))


def of(shown, text):
    (found,) = [printed for piece, printed in shown.items() if text in piece]
    return found


def test_the_cells_of_the_notebook_show_what_the_text_beside_them_says(shown):
    first, *_ = shown.values()
    assert first.startswith("Runs('runs/records/demo-")
    assert "box_grabcut" in of(shown, "runs.frame[")
    assert of(shown, "compared = runs.compare").startswith("A = box_fill, B = box_grabcut: pseudo-label mIoU: B - A = ")
    assert "image_id" in of(shown, "pd.DataFrame(compared")
    assert "size=192x192" in of(shown, "voc_palette")
    assert of(shown, "model.predict(data.image(name))") == "True\n"
    assert of(shown, 'runs.export("box_grabcut"').startswith("[Exported(what='labels', folder=PosixPath('my_labels')")
    assert "Losses of seed 0" in of(shown, 'runs.show("box_grabcut")')


def test_the_code_of_the_page_runs_and_its_errors_are_sentences(shown):
    assert "there is no row 'box_fil'; rows are: box_fill, box_grabcut" in of(shown, "except harness.WsssError")
    assert of(shown, "mask.shape").count("(") >= 8
    assert [name for piece in code_of_page() for name in ast.walk(ast.parse(piece)) if isinstance(name, ast.Try)]


def test_the_notebook_is_stripped_and_names_no_machine():
    text = NOTEBOOK.read_text()
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in cells("code"))
    assert not re.search(r"/(home|tmp|work|root|Users)/", text)
    assert f"({NOTEBOOK.name})" in PAGE.read_text()
    assert json.loads(text)["nbformat"] == 4
