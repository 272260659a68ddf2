"""Words for what data name by a code: families of arms, states of answers, kinds of costs. English codes stay keys.

A code that is not known here, such as one of a later version, stands for itself.
"""

from __future__ import annotations

import re

from harness.words import noted, say

FAMILIES = (
    noted("fine-tuned"), noted("few-shot"), noted("zero-shot"), noted("classical"), noted("mock"), noted("other"),
)  # fmt: skip
REMARKS = (noted("simulated"), noted("imported"), noted("preview"))
SPLITS = (noted("train"), noted("validation"), noted("test"))
COSTS = (
    noted("training"), noted("search"), noted("failed jobs"), noted("setup"), noted("labelling"), noted("evaluation"),
    noted("hosting"), noted("upkeep"), noted("retraining"),
)  # fmt: skip
METHODS = (
    noted("Wilson score interval"), noted("Wilson score interval over groups"), noted("Tango score interval"),
    noted("Tango score interval over groups"), noted("clustered bootstrap"), noted("McNemar mid-p"),
    noted("square-and-add of two samples"), noted("normal, of two samples"),
)  # fmt: skip
_BOOTSTRAP = re.compile(r"(?:clustered )?bootstrap, (?P<n>[0-9,]+) resamples of (?P<of>groups|test items)")


def family(code: str) -> str:
    """Says an arm's family: `fine-tuned`, `few-shot`, …."""
    return say(code) if code in FAMILIES else code


def remark(code: str) -> str:
    """Says what must be known before a number is read: `simulated`, `imported`, `preview`."""
    return say(code) if code in REMARKS else code


def partly(code: str) -> str:
    """Says of a remark that it holds for some arms only."""
    known = {"simulated": say("partly simulated"), "imported": say("partly imported")}
    return known.get(code, code)


def split(code: str) -> str:
    """Says a split's name."""
    return say(code) if code in SPLITS else code


def cost_name(code: str) -> str:
    """Says a part of an investment or of monthly costs: `training`, `search`, `upkeep`, …."""
    return say(code) if code in COSTS else code


def method(name: str) -> str:
    """Says how an interval or a p value was come by; names of people stay as they are."""
    drawn = _BOOTSTRAP.fullmatch(name)
    if not drawn:
        return say(name) if name in METHODS else name
    if drawn["of"] == "groups":
        return say("clustered bootstrap, {n} resamples of groups", n=drawn["n"])
    return say("bootstrap, {n} resamples of test items", n=drawn["n"])
