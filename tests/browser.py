"""A browser without a screen: Debian's chromium with its own driver. Nothing is fetched from the network."""

import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from selenium import webdriver
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webdriver import WebDriver
from selenium.webdriver.remote.webelement import WebElement

CHROMIUM, DRIVER = Path("/usr/bin/chromium"), Path("/usr/bin/chromedriver")
_OPTIONS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update", "--hide-scrollbars",
)  # fmt: skip


@contextmanager
def browser(
    width: int = 1280, height: int = 900, *, dark: bool = False, insecure: bool = False, more: Sequence[str] = ()
) -> Iterator[WebDriver]:
    """A fresh browser, with a window of this size; `insecure`: it takes certificates that nobody vouches for.

    `more` are further options of Chromium.
    """
    options, home = Options(), tempfile.mkdtemp()
    options.binary_location = str(CHROMIUM)
    options.accept_insecure_certs = insecure
    for option in (*_OPTIONS, *more, f"--user-data-dir={home}", f"--window-size={width},{height}"):
        options.add_argument(option)
    if dark:
        options.add_argument("--blink-settings=preferredColorScheme=0")
    driver = webdriver.Chrome(options, Service(str(DRIVER)))
    try:
        driver.execute_cdp_cmd(
            "Emulation.setDeviceMetricsOverride",
            {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600},
        )
        if dark:
            media = [{"name": "prefers-color-scheme", "value": "dark"}]
            driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": media})
        yield driver
    finally:
        driver.quit()
        shutil.rmtree(home, ignore_errors=True)


def all_of(driver: WebDriver, selector: str) -> list[WebElement]:
    return driver.find_elements(By.CSS_SELECTOR, selector)


def one(driver: WebDriver, selector: str) -> WebElement:
    return driver.find_element(By.CSS_SELECTOR, selector)
