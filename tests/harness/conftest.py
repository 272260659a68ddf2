"""A browser for the tests of pages; a lab, a provider and short waits for those that ask one."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from support.browser import ARGUMENTS, Window
from support.lab import Lab
from support.provider import Provider

CHROMIUM = Path("/usr/bin/chromium")


@pytest.fixture(scope="module")
def window() -> Iterator[Window]:
    """A browser of each module: as long as one is open, nothing else in its process can run an event loop."""
    if not CHROMIUM.exists():
        pytest.fail(f"{CHROMIUM} is missing: apt-get install -y chromium")
    from playwright.sync_api import expect, sync_playwright

    expect.set_options(timeout=30_000)  # as long as for whatever else of a page; 5 s are short beside other work
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=ARGUMENTS)
        yield Window(browser)
        browser.close()


@pytest.fixture
def browser(window: Window) -> Iterator[Window]:
    """The module's browser; tabs that a failed test leaves open are closed."""
    yield window
    window.close_tabs()


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    """A folder with 60 examples; a module that needs others has a fixture of its own by this name."""
    return Lab.make(tmp_path, 60)


@pytest.fixture
def provider(shared: Provider, monkeypatch: pytest.MonkeyPatch) -> Provider:
    """The provider of a module, its fixture `shared`, as new; its key stands where experiments of tests look for it."""
    monkeypatch.setenv("FAKE_KEY", shared.key)
    shared.renew()
    return shared


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hardly any wait between two looks at a training job, and before a request is tried again."""
    quick = SimpleNamespace(time=time.time, sleep=lambda seconds: time.sleep(min(seconds, 0.005)))
    monkeypatch.setattr("harness.training.time", quick)
    monkeypatch.setattr("harness.execution.faults.BACKOFF_S", 0.01)
    monkeypatch.setattr("harness.execution.faults.BACKOFF_MAX_S", 0.02)
