"""Datasets that are gone from where papers name them, and where they live on."""

from __future__ import annotations

from typing import Any

import harness
from harness.words import noted
from harness_plugins.datasets._notes import shown

AMAZON = "amazon_reviews_multi"
"""Keung et al. 2020, "The Multilingual Amazon Reviews Corpus": withdrawn by its owner in 2023."""
STARS = ("1", "2", "3", "4", "5")
_LANGUAGES = ("en", "de", "es", "fr", "ja", "zh")
_SETFIT = ("de", "en", "fr", "ja", "zh")


def mirrors(language: str | None) -> list[tuple[str, str | None]]:
    """Returns the repositories that hold the reviews of one language, each with its configuration, the best first.

    Raises:
        ValueError: There is no such language.
    """
    if language not in _LANGUAGES:
        raise ValueError(
            f'{AMAZON} needs config = one of {", ".join(_LANGUAGES)}, got "{shown(language or "")}"'
            + (f"; {harness.nearest(language, _LANGUAGES)}" if language else "")
        )
    others = [(f"SetFit/amazon_reviews_multi_{language}", None)] if language in _SETFIT else []
    return [("mteb/AmazonReviewsClassification", language), *others]


def stars(value: Any, where: str) -> str | None:
    """Returns the stars for a class number: the mirrors count from 0.

    Raises:
        harness.DataError: It is no number from 0 to 4.
    """
    if value is None or value == -1:
        return None
    if isinstance(value, int) and 0 <= value < len(STARS):
        return STARS[value]
    raise harness.DataError(
        f'{where}: label "{shown(value)}", expected a number from 0 to 4 as in the mirrors of {AMAZON}',
        "leave dataset.preset out for other data",
    )


def told(source: str) -> harness.Check:
    """Returns what a reader must know of data that came by this preset."""
    return harness.Check(
        kind="preset",
        level="ok",
        message=f"{AMAZON} was withdrawn in 2023: {source} was read in its place, with its labels 0–4 as stars 1–5",
        figures={"source": source},
        heading="quality",
        advice=noted(
            "Its licence is for non-commercial research; a commit as dataset.revision makes the run repeatable."
        ),
    )
