"""The LaTeX table compiles: `pytest -m latex`; needs pdflatex with booktabs."""

import subprocess

import pytest

from harness.leaderboard import build_board, load_runs
from harness.leaderboard.render import to_latex
from tests.leaderboard.board_records import Records, fill

SPECIAL = r"50% & #1 $x$ ~ ^ _ { } \ a_b"
ESCAPED = (r"\%", r"\&", r"\#", r"\$", r"\_", r"\{", r"\}", r"\textasciitilde{}", r"\^{}", r"\textbackslash{}")
DOCUMENT = r"""\documentclass{article}
\usepackage[T1]{fontenc}
\usepackage[utf8]{inputenc}
\usepackage[a0paper,landscape]{geometry}
\usepackage{booktabs}
\begin{document}
%s
\end{document}
"""


@pytest.fixture
def hostile(records):
    fill(records)
    records.add("a_b", backbone=SPECIAL, supervision="B+F18%", seed=0)
    records.add("[1cm]", backbone="*", init=r"^^M \input{x}", seed=0)
    return build_board(load_runs(records.runs))


@pytest.mark.latex
def test_chosen_columns_fit_a_page_and_compile_whatever_the_first_one_is(hostile, tmp_path):
    table = to_latex(hostile.model_copy(update={"columns": ["method", "backbone", "val_miou"]}))
    (tmp_path / "table.tex").write_text(DOCUMENT.replace("a0paper,landscape", "a4paper") % table, encoding="utf-8")
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "table.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout
    assert "Overfull" not in done.stdout


def test_the_file_says_what_it_needs(hostile):
    assert "\n% Needs \\usepackage{booktabs} in the preamble" in to_latex(hostile)


@pytest.mark.latex
def test_the_table_compiles_in_a_booktabs_document(hostile, tmp_path):
    (tmp_path / "table.tex").write_text(DOCUMENT % to_latex(hostile), encoding="utf-8")
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "table.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout
    assert (tmp_path / "table.pdf").read_bytes().startswith(b"%PDF")
    assert "Overfull" not in done.stdout


def test_no_special_character_reaches_latex_unescaped(hostile):
    body = to_latex(hostile).split(r"\begin{tabular}")[1]
    cells = body.split(r"\midrule")[1].split(r"\bottomrule")[0].replace(r"\\", "")
    for escaped in (
        r"\%",
        r"\&",
        r"\#",
        r"\$",
        r"\_",
        r"\{",
        r"\}",
        r"\textasciitilde{}",
        r"\^{}",
        r"\textbackslash{}",
    ):
        assert escaped in cells
        cells = cells.replace(escaped, "")
    lines = [line for line in cells.splitlines() if line.strip()]
    assert {line.count("&") for line in lines} == {lines[0].count("&")}
    assert not set("%#$_~^\\") & set(cells), "what is left has no meaning for LaTeX"


def test_a_rendering_is_the_same_for_any_order_of_the_records(tmp_path):
    runs = fill(Records(tmp_path / "runs")).runs
    one, two = (to_latex(build_board(load_runs(runs)[::step])) for step in (1, -1))
    assert one == two
