"""The embedded data: sentences of Amazon product reviews, each rated by twenty people."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

import harness

_FILE = "amazonReviewSnippets_GroundTruth.txt"
_BOUNDS = {3: (-0.5, 0.5), 5: (-1.5, -0.5, 0.5, 1.5)}
"""Mean ratings (−4 … +4) at which labels begin and end; a bound itself belongs to the side away from 0."""
_LABELS = {3: ("negative", "neutral", "positive"), 5: ("1", "2", "3", "4", "5")}


@dataclass(frozen=True, kw_only=True)
class AmazonSnippets:
    """3,708 sentences of 300 reviews (Hutto & Gilbert, ICWSM 2014; MIT licence), fetched once and kept.

    The label is the mean rating cut at ±0.5 (and ±1.5). Sentences of one review form a group.
    """

    name: ClassVar[str] = "amazon-snippets"
    share: ClassVar[bool] = False

    levels: Literal[3, 5] = 3
    """negative, neutral, positive; or 1 … 5, ordered."""

    @property
    def labels(self) -> tuple[str, ...]:
        """The label set, lowest first."""
        return _LABELS[self.levels]

    @property
    def ordered(self) -> bool:
        """Whether the labels are a scale: the five levels are, the three classes are taken as names."""
        return self.levels == 5

    def load(self, ctx: harness.Context) -> Iterator[harness.Example]:
        """Yields the sentences in the order of the file.

        Raises:
            harness.UnfinishedError: The file is not in the cache and cannot be fetched.
            harness.DataError: The file in the cache is not what was fetched.
        """
        return self.read(_fetched() / _FILE)

    def read(self, path: Path) -> Iterator[harness.Example]:
        """Yields the sentences of `path`: lines of `REVIEW_SENTENCE`, mean rating and text between tabs.

        Raises:
            harness.DataError: A line has another form.
        """
        for number, line in enumerate(path.read_text(encoding="utf-8").split("\n"), start=1):
            if not line.strip():
                continue
            try:
                name, rating, text = line.rstrip("\r").split("\t")
                mean = float(rating)
            except ValueError:
                raise harness.DataError(
                    f"{path}, line {number}: expected id, mean rating and text between tabs",
                    "delete that folder: the file is then fetched again",
                ) from None
            yield harness.Example(fields={"text": text}, label=self._label(mean), group=name.partition("_")[0])

    def _label(self, mean: float) -> str:
        bounds = _BOUNDS[self.levels]
        return self.labels[sum(mean >= bound if bound > 0 else mean > bound for bound in bounds)]


def _fetched() -> Path:
    from harness.assets import Asset, fetch

    asset = Asset(
        name="amazon-snippets",
        distribution="vaderSentiment",
        version="3.3.2",
        sha256="5d7c06e027fc8b99238edb0d53d970cf97066ef97654009890b83703849632f9",
        kind="sdist",
        members=("vaderSentiment-3.3.2/additional_resources/hutto_ICWSM_2014.tar.gz!hutto_ICWSM_2014/" + _FILE,),
    )
    return fetch(asset)


@harness.hookimpl
def harness_datasets() -> list[type[AmazonSnippets]]:
    """Declares the dataset."""
    return [AmazonSnippets]
