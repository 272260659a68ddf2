"""A browser's window for tests of pages, and what axe-core objects to on a page."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

ARGUMENTS = [
    "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--no-first-run",
    "--renderer-process-limit=1", "--disable-site-isolation-trials",  # a process for each page costs more than the page
]  # fmt: skip
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
COLOURS = ["color-contrast", "link-in-text-block"]
"""The rules that a page's other colours can break."""

RUN = """async ([inside, options]) => {
  const { violations } = await axe.run(inside, options);
  return violations.map((one) => `${one.id}: ` + one.nodes.slice(0, 3).map((node) => node.html.slice(0, 120)));
}"""

TWO_FRAMES = "() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))"
"""Waits until what was done to a page shows."""


class Window:
    """A browser's window. Its tabs share a process, as to start one takes longer than most pages do; they keep nothing.

    Args:
        browser: That of playwright.
    """

    def __init__(self, browser: Any) -> None:
        self._browser = browser
        self._tabs = browser.new_context(viewport={"width": 1280, "height": 900})
        self._tabs.add_init_script("try { localStorage.clear(); } catch (e) { /* a page of no origin has none */ }")
        self._tabs.new_page()  # the process ends with its last tab

    def new_page(self, viewport: Any = None, color_scheme: str | None = None, *, scripts: bool = True) -> Any:
        """Opens a tab; one without scripts is in a window of its own."""
        context = self._tabs if scripts else self._browser.new_context(java_script_enabled=False)
        page = context.new_page()
        if viewport is not None:
            page.set_viewport_size(viewport)
        if color_scheme is not None:
            page.emulate_media(color_scheme=color_scheme)
        return page

    def close_tabs(self) -> None:
        """Closes all that has been opened."""
        for page in self._tabs.pages[1:]:
            page.close()
        for context in self._browser.contexts[1:]:
            context.close()


def violations(page: Any, rules: Sequence[str] = RULES, inside: str = "html") -> list[str]:
    """What axe-core objects to on a page, in the state and the colours that it is in.

    Args:
        page: A tab.
        rules: Names of rules, or tags of rules.
        inside: A selector of the element whose content is looked at.
    """
    from axe_playwright_python.base import AXE_SCRIPT

    if not page.evaluate("'axe' in window"):
        page.evaluate(AXE_SCRIPT)
    options = {"runOnly": list(rules), "resultTypes": ["violations"]}
    found: list[str] = page.evaluate(RUN, [inside, options])
    return found
