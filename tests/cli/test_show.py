"""``wsss show --open``: a page of one row with its pictures."""

import pytest

from tests.cli.test_gallery import PARAMS, table  # noqa: F401
from tests.commands import wsss


@pytest.fixture
def opened(monkeypatch):
    """Paths that a browser would have been given."""
    paths = []
    monkeypatch.setattr("typer.launch", paths.append)
    return paths


def show(folder, *options):
    return wsss("show", "half", "--runs", folder / "runs", "--open", "--config", folder / "demo.yaml", *options)


def test_open_writes_a_page_of_the_row_beside_full_and_opens_it(table, tmp_path, opened):  # noqa: F811
    table()
    code, output = show(tmp_path)
    page = tmp_path / "runs" / "pages" / "half--tiny.html"
    assert code == 0
    assert opened == [str(page)]
    assert f"page: {page}" in output
    assert page.read_text().count("<img ") == 2 * 4 * (2 + 2 * 2)
    assert show(tmp_path, "--out", tmp_path / "here").code == 0
    assert (tmp_path / "here" / "half--tiny.html").read_bytes() == page.read_bytes()


def test_a_page_without_pictures_says_why(table, tmp_path, opened):  # noqa: F811
    table(show_images=False)
    code, output = show(tmp_path)
    assert code == 0
    assert "no pictures: the licence flag of the data set" in output
    assert "<img " not in (tmp_path / "runs" / "pages" / "half--tiny.html").read_text()


def test_a_data_set_that_is_not_there_leaves_the_page_without_pictures(table, tmp_path, opened):  # noqa: F811
    table(params=PARAMS)
    code, output = wsss("show", "half", "--runs", tmp_path / "runs", "--open")
    assert code == 0
    assert "no pictures: " in output
    assert "name the benchmark's file with --config" in output
    assert len(opened) == 1
