"""The HTML page in a real browser: `pytest -m browser`; needs chromium and its driver, and the package selenium."""

import json

import pytest

from harness.leaderboard.page.page import to_html
from tests.leaderboard.html_board import make_board
from tests.leaderboard.html_browser import open_browser, size

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def driver():
    yield from open_browser()


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    folder = tmp_path_factory.mktemp("page")
    path = folder / "page.html"
    path.write_text(to_html(make_board(folder)), encoding="utf-8")
    return path.as_uri()


@pytest.fixture
def page(driver, address):
    driver.get_log("performance")
    driver.get_log("browser")
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size(1280))
    driver.get(address)
    yield driver
    assert driver.get_log("browser") == [], "nothing is written to the console"
    events = [json.loads(entry["message"])["message"] for entry in driver.get_log("performance")]
    asked = {event["params"]["request"]["url"] for event in events if event["method"] == "Network.requestWillBeSent"}
    assert {url for url in asked if not url.startswith("data:")} <= {address}, "no request leaves the page"


def methods(page):
    return page.execute_script(
        "return [...document.querySelectorAll('.results tbody tr')]"
        ".filter(r => r.checkVisibility()).map(r => r.dataset.method)"
    )


def heading(page, text):
    return next(e for e in page.find_elements("css selector", ".results thead button") if e.text.startswith(text))


def direction(page, text):
    return heading(page, text).find_element("xpath", "..").get_attribute("aria-sort")


def choose(page, name, value):
    page.execute_script(
        "const e = document.querySelector(`[name=${arguments[0]}]`); e.value = arguments[1];"
        "e.dispatchEvent(new Event('input', {bubbles: true}))",
        name,
        value,
    )


def test_a_click_sorts_and_another_turns_the_order_round(page):
    assert methods(page) == ["full", "cam_new", "box_fill", "broken"]
    heading(page, "method").click()
    assert methods(page) == ["box_fill", "broken", "cam_new", "full"]
    assert direction(page, "method") == "ascending"
    assert direction(page, "rank") is None
    heading(page, "method").click()
    assert methods(page) == ["full", "cam_new", "broken", "box_fill"]
    assert direction(page, "method") == "descending"


def test_numbers_sort_as_numbers_best_first_and_rows_without_one_stay_last(page):
    heading(page, "val mIoU").click()
    assert methods(page) == ["full", "cam_new", "box_fill", "broken"]
    heading(page, "val mIoU").click()
    assert methods(page) == ["box_fill", "cam_new", "full", "broken"]
    heading(page, "labels, h").click()
    assert methods(page)[-1] == "full", "the dearest comes last"


def test_the_keyboard_sorts_too(page):
    from selenium.webdriver.common.keys import Keys

    heading(page, "method").send_keys(Keys.ENTER)
    assert methods(page)[0] == "box_fill"


def test_filters_combine_and_hide_a_row_everywhere(page):
    choose(page, "supervision", "I")
    assert methods(page) == ["cam_new", "broken"]
    assert page.find_element("id", "count").text == "2 of 4 rows"
    choose(page, "text", "CAM")
    assert methods(page) == ["cam_new"]
    visible = page.execute_script(
        "return [...document.querySelectorAll('.plot g[data-row], .heat tr[data-row]')]"
        ".filter(e => getComputedStyle(e).display !== 'none').map(e => e.dataset.row)"
    )
    assert set(visible) == {"1"}
    page.find_element("css selector", "#filters button[type=reset]").click()
    page.execute_async_script("setTimeout(arguments[0], 20)")
    assert len(methods(page)) == 4


def test_reference_rows_can_be_left_out(page):
    page.find_element("name", "references").click()
    assert methods(page) == ["cam_new", "box_fill", "broken"]


def test_the_images_of_another_row_can_be_chosen(page):
    shown = "return [...document.querySelectorAll('[data-shows]')].filter(e => !e.hidden).map(e => e.dataset.shows)"
    assert set(page.execute_script(shown)) == {"1"}
    page.execute_script(
        "const e = document.getElementById('shown'); e.value = '0'; e.dispatchEvent(new Event('change'))"
    )
    assert set(page.execute_script(shown)) == {"0"}
    assert page.execute_script("return [...document.images].every(i => i.naturalWidth > 0 || i.closest('[hidden]'))")


@pytest.mark.parametrize("width", [390, 1280])
def test_the_page_never_scrolls_sideways(page, width):
    page.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size(width))
    assert page.execute_script("return document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_is_legible_in_both_schemes(page, scheme):
    media = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
    page.execute_cdp_cmd("Emulation.setEmulatedMedia", media)
    colours = page.execute_script(
        "const s = getComputedStyle(document.body), c = getComputedStyle(document.querySelector('caption, small, dt'));"
        "return [s.backgroundColor, s.color, c.color]"
    )
    paper, *inks = ([int(part) for part in colour.strip("rgb()").split(",")] for colour in colours)
    assert (sum(paper) < 300) == (scheme == "dark")
    for ink in inks:
        assert contrast(paper, ink) >= 4.5


def contrast(one, two):
    """WCAG contrast of two sRGB colours."""
    linear = [[v / 3294.6 if v <= 10 else ((v / 255 + 0.055) / 1.055) ** 2.4 for v in colour] for colour in (one, two)]
    low, high = sorted(0.2126 * r + 0.7152 * g + 0.0722 * b for r, g, b in linear)
    return (high + 0.05) / (low + 0.05)


def test_paper_gets_every_section_but_no_controls(page):
    page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    visible = "return getComputedStyle(document.querySelector(arguments[0])).display !== 'none'"
    assert not page.execute_script(visible, "#filters")
    for section in ("#table", "#cost", "#classes", "#pairs", "#failures", "#images", "#settings", "#notes"):
        assert page.execute_script(visible, section)
    page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})
