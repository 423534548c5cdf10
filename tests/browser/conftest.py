"""A browser and a JupyterLab for the tests of this folder; they skip where there is no Chromium."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, sync_playwright

from medsynth_lib.course.chromium import find_chromium
from tests.browser.lab import Lab, running_lab


@pytest.fixture(scope="session")
def browser():
    path = find_chromium()
    if path is None:
        pytest.skip("no Chromium here (Debian: apt install chromium), or name one in MEDSYNTH_CHROMIUM")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def page(browser) -> Iterator[Page]:
    context = browser.new_context(viewport={"width": 1280, "height": 1400})
    yield context.new_page()
    context.close()


@pytest.fixture(scope="session")
def lab(tmp_path_factory) -> Iterator[Lab]:
    root = tmp_path_factory.mktemp("lab")
    for name in ("notebooks", "scratch"):
        (root / name).mkdir()
    with running_lab(root / "notebooks", root / "scratch") as running:
        yield running


@pytest.fixture(scope="session")
def pictures(tmp_path_factory) -> Path:
    """Where screenshots go: MEDSYNTH_SCREENSHOTS, to look at them, else a folder that is thrown away."""
    folder = Path(os.environ.get("MEDSYNTH_SCREENSHOTS") or tmp_path_factory.mktemp("pictures"))
    folder.mkdir(parents=True, exist_ok=True)
    return folder
