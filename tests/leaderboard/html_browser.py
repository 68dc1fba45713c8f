"""A headless browser for tests of the page."""

import shutil


def open_browser():
    """Yields a driver of headless Chromium that logs what the page asks for, and ends it."""
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium") or shutil.which("google-chrome") or "chromium"
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"):
        options.add_argument(argument)
    browser = webdriver.Chrome(options=options, service=Service(shutil.which("chromedriver") or "chromedriver"))
    yield browser
    browser.quit()


def size(width):
    return {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600}
