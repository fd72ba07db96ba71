"""Pages in a real browser, headless Chromium."""

import os
import shutil

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome")
CHROMIUM = next(filter(None, map(shutil.which, NAMES)), None)


@pytest.fixture(scope="module")
def chromium():
    driver = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed; make browser installs it")
    if CHROMIUM is None:
        pytest.skip("no Chromium is installed; make browser installs it")
    with driver.sync_playwright() as playwright:
        root = hasattr(os, "geteuid") and os.geteuid() == 0
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"] if root else [])
        yield browser
        browser.close()


@pytest.fixture
def view(chromium):
    """Opens a file; fails at the end where a script failed or something was asked of the network."""
    contexts, wrong = [], []

    def open_file(path, *, width=1280, **options):
        context = chromium.new_context(viewport={"width": width, "height": 844}, **options)
        context.set_default_timeout(10_000)
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("request", lambda request: request.url.startswith("file:") or wrong.append(request.url))
        page.goto(path.as_uri())
        return page

    yield open_file
    for context in contexts:
        context.close()
    assert wrong == []
