"""Names and messages that somebody else chose are shown in every rendering and obeyed in none."""

import csv
import html
import io
import json
import re

import pytest
from markdown_it import MarkdownIt
from rich.console import Console

from harness.cli.console import console, print_error, print_json, print_table, say
from harness.common.text import one_line
from harness.leaderboard import build_board, load_runs, to_rich
from harness.leaderboard.columns import class_columns, main_columns
from harness.leaderboard.page.page import to_html
from harness.leaderboard.render import to_csv, to_json, to_latex, to_markdown
from harness.leaderboard.terminal import claims_to_rich

ESCAPE = "\x1b[2J\x1b]0;owned\x07"
CONTROL = {chr(code) for code in (*range(0x20), *range(0x7F, 0xA0), 0x202E, 0x2066)} - {"\n"}
HOSTILE = [
    "=1+1",
    "+cmd|' /C calc'!A0",
    "-2+3",
    "@SUM(A1)",
    "\t=1",
    "\r=1",
    "\uff1d1+1",
    "[click](https://evil.example)",
    "![x](https://evil.example/x.png)",
    "<img src=x onerror=alert(1)>",
    "https://evil.example www.evil.example",
    "a|b",
    "`code` *bold* _under_ ~~gone~~ $x$",
    "&lt;b&gt;",
    "[red]red[/red]",
    "[link=https://evil.example]x[/link]",
    f"a{ESCAPE}b",
    "\u202egnp.exe",
    "\x9b31m",
    r"\input{/etc/passwd} & % # $ _ ^ ~ { }",
    "[1cm]",
    "*",
    "^^M\\end",
]


@pytest.fixture(params=HOSTILE, ids=lambda text: text.encode("unicode_escape").decode()[:24])
def name(request):
    return request.param


@pytest.fixture
def board(records, name):
    """A row whose every name is hostile, and one that failed with a hostile message."""
    path = records.add("cam", dataset={"name": name, "classes": [name, "b", "c", "d"], "images": {}, "digests": {}})
    number = {"value": -3.1, "metric": name, "dataset": name, "split": "val", "source": name, "backbone": name}
    shared = {"label": name, "backbone": name, "init": name, "reported": [number]}
    records.edit(path, **shared)
    failed = records.add("failed", dataset=json.loads(path.read_text())["dataset"], status="failed")
    error = {"stage": name, "kind": name, "message": name, "log": name}
    records.edit(failed, error=error, **{**shared, "label": f"{name} too"})
    return build_board(load_runs(records.runs))


@pytest.mark.parametrize("render", [to_markdown, to_csv, to_latex, to_json, to_html])
def test_no_control_character_is_in_a_rendering(board, render):
    assert not set(render(board)) & CONTROL


def test_no_cell_of_a_csv_file_begins_like_a_formula(board):
    rows = list(csv.reader(io.StringIO(to_csv(board))))
    assert len({len(row) for row in rows}) == 1
    assert len(rows) == 3
    for cell in (cell for row in rows for cell in row):
        assert not cell.lstrip().startswith(("=", "+", "@", "\uff1d")), cell
        assert not cell.lstrip().startswith("-") or float(cell)


def test_a_negative_number_of_a_csv_file_stays_a_number(board):
    assert {row["reported"] for row in csv.DictReader(io.StringIO(to_csv(board)))} == {"-3.1"}


def test_markdown_gets_no_link_picture_html_or_further_cell(board, name):
    text = to_markdown(board)
    tokens = MarkdownIt("commonmark").enable(["table", "strikethrough"]).parse(text)
    found = [child for token in tokens for child in (token, *(token.children or ()))]
    tags = {token.tag for token in found}
    assert tags <= {"", "h1", "h2", "ul", "li", "p", "table", "thead", "tbody", "tr", "th", "td"}
    assert not {token.type for token in found} & {"html_inline", "html_block", "link_open", "image"}
    assert not re.search(r"https?://|(?<![\\\w])www\.|(?<!\\)\$", text)
    heads = [token for token in tokens if token.type == "th_open"]
    assert len(heads) == len(main_columns(board)) + len(class_columns(board))
    cells = [token.content for token in tokens if token.type == "inline"]
    assert one_line(name) in [unescaped(cell) for cell in cells]


def unescaped(cell):
    """What a reader sees of a cell."""
    return html.unescape(re.sub(r"\\([^A-Za-z0-9\s])", r"\1", cell))


def test_a_name_that_is_an_entity_is_shown_as_it_is(records):
    records.add("cam", init="&lt;b&gt; a & b")
    assert "&amp;lt;b&amp;gt; a & b" in to_markdown(build_board(load_runs(records.runs)))


def test_no_row_of_a_latex_table_is_an_argument_of_the_line_before_it(board):
    text = to_latex(board.model_copy(update={"columns": ["backbone", "method"]}))
    body = text.split("\\midrule")[1].split("\\bottomrule")[0]
    assert not [line for line in body.splitlines() if line.lstrip().startswith(("[", "*"))]


def test_no_name_styles_or_moves_a_terminal(board):
    for shown in (to_rich(board), claims_to_rich(board)):
        terminal = Console(width=400, file=io.StringIO(), force_terminal=True, color_system="truecolor")
        terminal.print(shown)
        text = terminal.file.getvalue()
        assert "\x1b]" not in text
        assert "\x1b[2J" not in text
        assert not set(text) & (CONTROL - {"\x1b"})


def test_the_console_of_every_command_shows_what_it_is_given(capsys, name):
    console().print(name)
    print_table((name, "b"), [(name, name)])
    print_json({name: name})
    print_error(name)
    say(name)
    found = capsys.readouterr()
    assert not set(found.out + found.err) & CONTROL
    if name.startswith("[") and "\n" not in name:
        assert found.out.count(name) >= 4


def test_lines_of_a_message_stay_lines(capsys):
    say("one\ntwo")
    print_table(("a",), [("one\ntwo",)])
    assert capsys.readouterr().out.splitlines()[:2] == ["one", "two"]


def test_an_error_of_a_plugin_cannot_write_to_the_terminal(tmp_path, monkeypatch):
    from typer.testing import CliRunner

    from harness.cli.main import app

    plugin = tmp_path / "evil.py"
    plugin.write_text(f"raise RuntimeError({ESCAPE!r})\n")
    monkeypatch.setenv("WSSS_PLUGINS", "")
    for arguments in (["plugins", "list", "--plugin"], ["plugins", "check"]):
        result = CliRunner().invoke(app, [*arguments, str(plugin)])
        assert "\x1b" not in result.output
