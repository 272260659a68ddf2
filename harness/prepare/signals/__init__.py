"""Quality signals: which rows to look at before a training is paid for, and whether the texts are clean and diverse.

Pure: no file, no clock, no network. `docs/decisions/0007-quality-signals.md` says why like this.
"""

from __future__ import annotations

from collections.abc import Sequence

from harness.prepare.signals.boilerplate import boilerplate_signals
from harness.prepare.signals.corpus import read_corpus
from harness.prepare.signals.diversity import diversity_signals
from harness.prepare.signals.label_findings import label_signals
from harness.prepare.signals.label_words import label_word_signals
from harness.prepare.signals.outliers import outlier_signals
from harness.prepare.signals.values import Ranked, RankedItem, Signals, joined
from harness.types import Example

__all__ = ["Ranked", "RankedItem", "Signals", "signals"]


def signals(examples: Sequence[Example], labels: Sequence[str], seed: int) -> Signals:
    """Looks for likely label errors, odd texts, boilerplate, texts that name their label, and a lack of diversity.

    The order of `examples` changes nothing. Where there are too many, those that come first in an order of content and
    seed stand for all, and each check's figures say how many were looked at (`rows_looked_at` of `rows`).

    Args:
        examples: Labelled rows; those without a label count as texts alone.
        labels: The label set.
        seed: Decides which rows stand for all, and which labels are changed to test the search for label errors.

    Returns:
        Checks under the headings `quality` and `diversity`, and for each rule that finds single rows a list of at
        most 200 ids, the most suspicious first. Nothing where there are no rows.
    """
    if not examples:
        return Signals(checks=(), ranked=())
    texts = read_corpus(examples, seed)
    return joined(
        (
            label_signals(texts, seed),
            outlier_signals(texts),
            boilerplate_signals(texts),
            label_word_signals(texts, labels),
            diversity_signals(texts),
        )
    )
