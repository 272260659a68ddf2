"""Words for what data name by a code: families of arms, states of answers, kinds of costs. English codes stay keys.

A code that is not known here, such as one of a later version, stands for itself.
"""

from __future__ import annotations

import re

from harness.words import say


def family(code: str) -> str:
    """Says an arm's family: `fine-tuned`, `few-shot`, …."""
    known = {
        "fine-tuned": say("fine-tuned"),
        "few-shot": say("few-shot"),
        "zero-shot": say("zero-shot"),
        "classical": say("classical"),
        "mock": say("mock"),
        "other": say("other"),
    }
    return known.get(code, code)


def remark(code: str) -> str:
    """Says what must be known before a number is read: `simulated`, `imported`, `preview`."""
    known = {"simulated": say("simulated"), "imported": say("imported"), "preview": say("preview")}
    return known.get(code, code)


def partly(code: str) -> str:
    """Says of a remark that it holds for some arms only."""
    known = {"simulated": say("partly simulated"), "imported": say("partly imported")}
    return known.get(code, code)


def status(code: str) -> str:
    """Says how an answer ended: `answered`, `unparsed` or `failed`."""
    known = {"answered": say("answered"), "unparsed": say("unparsed"), "failed": say("failed")}
    return known.get(code, code)


def split(code: str) -> str:
    """Says a split's name."""
    known = {"train": say("train"), "validation": say("validation"), "test": say("test")}
    return known.get(code, code)


def cost_name(code: str) -> str:
    """Says a part of an investment or of monthly costs: `training`, `search`, `upkeep`, …."""
    known = {
        "training": say("training"),
        "search": say("search"),
        "failed jobs": say("failed jobs"),
        "setup": say("setup"),
        "labelling": say("labelling"),
        "evaluation": say("evaluation"),
        "hosting": say("hosting"),
        "upkeep": say("upkeep"),
        "retraining": say("retraining"),
    }
    return known.get(code, code)


def method(name: str) -> str:
    """Says how an interval or a p value was come by; names of people stay as they are."""
    drawn = _BOOTSTRAP.fullmatch(name)
    if drawn:
        if drawn["of"] == "groups":
            return say("clustered bootstrap, {n} resamples of groups", n=drawn["n"])
        return say("bootstrap, {n} resamples of test items", n=drawn["n"])
    known = {
        "Wilson score interval": say("Wilson score interval"),
        "Wilson score interval over groups": say("Wilson score interval over groups"),
        "Tango score interval": say("Tango score interval"),
        "Tango score interval over groups": say("Tango score interval over groups"),
        "clustered bootstrap": say("clustered bootstrap"),
        "McNemar mid-p": say("McNemar mid-p"),
        "square-and-add of two samples": say("square-and-add of two samples"),
        "normal, of two samples": say("normal, of two samples"),
    }
    return known.get(name, name)


_BOOTSTRAP = re.compile(r"(?:clustered )?bootstrap, (?P<n>[0-9,]+) resamples of (?P<of>groups|test items)")
