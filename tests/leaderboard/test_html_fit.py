"""The page on screens of three widths, in a real browser: `pytest -m browser`; needs chromium and its driver."""

from pathlib import Path

import pytest

from harness.leaderboard import build_board, load_runs
from harness.leaderboard.metrics import usual_metrics
from harness.leaderboard.page.page import to_html
from harness.registry import manager
from tests.leaderboard.html_board import make_board
from tests.leaderboard.html_browser import open_browser, size

pytestmark = pytest.mark.browser

ROOT = Path(__file__).parent.parent.parent
COMMITTED = sorted(path.parent.name for path in ROOT.glob("leaderboards/*/records"))

TOO_WIDE = """
const wide = [], width = document.documentElement.clientWidth;
if (document.documentElement.scrollWidth > width) wide.push('page');
for (const e of document.querySelectorAll('main *, header *')) {
  if (!e.checkVisibility() || e.closest('.unseen')) continue;
  const style = getComputedStyle(e);
  if (['auto', 'scroll', 'hidden'].includes(style.overflowX) && e.scrollWidth > e.clientWidth + 1)
    wide.push(e.getAttribute('aria-label') ?? e.getAttribute('aria-labelledby') ?? e.tagName);
  if (e.getBoundingClientRect().right > width + 1) wide.push(`${e.tagName} ${e.textContent.slice(0, 40)}`);
}
return wide"""

BROKEN_WORDS = """
const broken = [], walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
for (let node; (node = walker.nextNode()); ) {
  if (!node.parentElement.checkVisibility() || node.parentElement.closest('script, style, .unseen')) continue;
  for (const word of node.data.matchAll(/[\\p{L}\\p{N}]+/gu)) {
    if (word[0].length > 30) continue;  // no name: a hash
    const range = document.createRange();
    range.setStart(node, word.index);
    range.setEnd(node, word.index + word[0].length);
    if (range.getClientRects().length > 1) broken.push(word[0]);
  }
}
return broken"""


@pytest.fixture(scope="module")
def driver():
    yield from open_browser()


@pytest.fixture(scope="module")
def addresses(tmp_path_factory):
    """Address of the page of every committed table, and of one with everything that a page can show."""
    folder = tmp_path_factory.mktemp("pages")
    metrics = usual_metrics(manager())
    folders = {name: ROOT / "leaderboards" / name / "records" for name in COMMITTED}
    boards = {name: build_board(load_runs(path), metrics=metrics) for name, path in folders.items()}
    boards["everything"] = make_board(folder)
    for name, board in boards.items():
        (folder / f"{name}.html").write_text(to_html(board), encoding="utf-8")
    return {name: (folder / f"{name}.html").as_uri() for name in boards}


def opened(driver, address, width):
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size(width))
    driver.get(address)
    return driver


@pytest.mark.parametrize("width", [1280, 1024])
@pytest.mark.parametrize("name", [*COMMITTED, "everything"])
def test_nothing_is_cut_and_nothing_scrolls_sideways_on_a_screen(driver, addresses, name, width):
    assert opened(driver, addresses[name], width).execute_script(TOO_WIDE) == []


@pytest.mark.parametrize("width", [1280, 1024, 400])
@pytest.mark.parametrize("name", [*COMMITTED, "everything"])
def test_no_word_is_broken_inside(driver, addresses, name, width):
    assert opened(driver, addresses[name], width).execute_script(BROKEN_WORDS) == []


@pytest.mark.parametrize("name", [*COMMITTED, "everything"])
def test_a_telephone_scrolls_tables_and_never_the_page(driver, addresses, name):
    page = opened(driver, addresses[name], 400)
    beyond = "const e = document.documentElement; return e.scrollWidth - e.clientWidth"
    assert page.execute_script(beyond) == 0
