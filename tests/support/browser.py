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

UNLIKE = "data-unlike"
"""Of the texts that look alike one has this attribute; axe-core computes the contrast of those that have it."""
MARK_UNLIKE = """([within, mark]) => {
  const looks = ["color", "background-color", "background-image", "opacity", "font-size", "font-weight", "text-shadow",
    "-webkit-text-fill-color", "-webkit-text-stroke", "filter", "mix-blend-mode", "position", "overflow", "clip",
    "clip-path", "transform"];
  const numbers = new Map(), chains = new Map();
  const boxOf = (one) => { const { left, right, top, bottom } = one.getBoundingClientRect();
    return { one, left, right, top, bottom }; };
  const pseudo = (one) => ["::before", "::after"].map((name) => getComputedStyle(one, name))
    .map((its) => /^(none|normal)$/.test(its.content) ? "" : `${its.backgroundColor} ${its.backgroundImage}`).join("");
  const chain = (one) => {  // a number for an element's style and that of all around it
    if (!one) return { number: -1, scrolling: [] };
    if (chains.has(one)) return chains.get(one);
    const around = chain(one.parentElement), style = getComputedStyle(one);
    const look = [around.number, ...looks.map((name) => style.getPropertyValue(name)), pseudo(one)].join("|");
    if (!numbers.has(look)) numbers.set(look, numbers.size);
    const scrolling = style.overflow === "visible" ? around.scrolling : [...around.scrolling, boxOf(one)];
    chains.set(one, { number: numbers.get(look), scrolling });
    return chains.get(one);
  };
  // To axe-core an svg is a picture: it passes no judgement on a text in it.
  const shown = [...document.querySelectorAll("body, body :not(svg *)")]
    .filter((one) => one.checkVisibility({ visibilityProperty: true }));
  const painted = shown.filter((one) => {
    const style = getComputedStyle(one);
    return style.backgroundColor !== "rgba(0, 0, 0, 0)" || style.backgroundImage !== "none" || pseudo(one)
      || /^(img|svg|canvas|video)$/.test(one.localName);
  }).map(boxOf).filter((box) => box.right > box.left && box.bottom > box.top);
  const apart = (a, b) => a.right <= b.left || b.right <= a.left || a.bottom <= b.top || b.bottom <= a.top;
  const inside = (a, b) => a.left >= b.left && a.right <= b.right && a.top >= b.top && a.bottom <= b.bottom;
  // And a text with symbols or pictures in it is judged by rules of its own.
  const signs = [/[\\p{L}\\p{N}]/u, /[\\u1d00-\\u1dff\\u20a0-\\u27bf\\ue000-\\uf8ff]/,
    /[^\\0-\\uffff]|\\p{Extended_Pictographic}/u];
  const seen = new Set();
  for (const one of document.querySelectorAll(`[${mark}]`)) one.removeAttribute(mark);
  for (const one of shown.filter((each) => each.closest(within))) {
    const field = /^(input|select|textarea)$/.test(one.localName);
    if (!field && ![...one.childNodes].some((node) => node.nodeType === 3 && node.data.trim())) continue;
    const box = boxOf(one), { number, scrolling } = chain(one), text = one.textContent.trim();
    const cut = scrolling.filter((its) => its.one !== one && !inside(box, its)).length;
    const look = [number, cut, text.length > 1, ...signs.map((kind) => kind.test(text))].join();
    const alone = field || painted.some((its) => !apart(box, its) && !its.one.contains(one));
    if (alone || !seen.has(look)) one.setAttribute(mark, "");
    if (!alone) seen.add(look);
  }
}"""
RUN = """async ([inside, mark, options]) => {
  axe.configure({ rules: [{ id: "color-contrast", selector: `[${mark}]` }] });
  const { violations } = await axe.run(inside, options);
  return violations.map((one) => `${one.id}: ` + one.nodes.slice(0, 3).map((node) => node.html.slice(0, 120)));
}"""


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

    A text's contrast follows from its computed style, that of the elements it is in, and what else is painted where it
    stands; a table's cells have all this in common, so it is computed for one of them.

    Args:
        page: A tab.
        rules: Names of rules, or tags of rules.
        inside: A selector of the element whose content is looked at.
    """
    from axe_playwright_python.base import AXE_SCRIPT

    if not page.evaluate("'axe' in window"):
        page.evaluate(AXE_SCRIPT)
    page.evaluate(MARK_UNLIKE, [inside, UNLIKE])
    options = {"runOnly": list(rules), "resultTypes": ["violations"]}
    found: list[str] = page.evaluate(RUN, [inside, UNLIKE, options])
    return found
