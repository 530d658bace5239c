"""Chromium for tests of pages."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Error, sync_playwright


def program() -> str | None:
    """Program to start, as in .ci/chromium; None: the one that Playwright has downloaded."""
    for name in ("chromium", "chromium-browser", "google-chrome"):
        path = shutil.which(name)
        # A snap does not see the tests' files; Ubuntu's package is a stub that asks for the snap.
        if path and "snap" not in str(Path(path).resolve()) and b"/snap/bin" not in Path(path).read_bytes():
            return os.environ.get("CHROMIUM", path)
    return os.environ.get("CHROMIUM")


@contextmanager
def started() -> Iterator[Browser]:
    """A browser without a window; where none starts the test fails and says how to install one."""
    with sync_playwright() as playwright:
        options = ["--no-sandbox", "--disable-dev-shm-usage"]
        try:
            browser = playwright.chromium.launch(executable_path=program(), args=options)
        except Error as error:
            pytest.fail(
                f"no Chromium starts ({error.message.splitlines()[0]}); `make chromium` installs one "
                "(apt-get install chromium, or python -m playwright install --with-deps chromium-headless-shell), "
                "and CHROMIUM names another"
            )
        yield browser
        browser.close()
