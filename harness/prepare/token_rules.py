"""What a reader must know about tokens before anything is uploaded: pure rules over counts, texts and labels."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.findings import finding
from harness.tokens import GENERAL_SPECIAL, TrainingLimit, Vocabulary
from harness.types import Check
from harness.words import noted

if TYPE_CHECKING:
    from harness.tokens import Counts

MILLION = 1_000_000

SHOWN = 20
"""Most ids, or groups of labels, that a finding lists."""

TARGET_EPOCHS = 3
MIN_TARGET_EXAMPLES = 100
MAX_TARGET_EXAMPLES = 25_000
MAX_EPOCHS = 25
"""With the three above: the heuristic that the OpenAI cookbook publishes ("Data preparation and analysis for chat
model fine-tuning"). Providers may choose otherwise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingCounts:
    """The training examples of one arm, as numbers."""

    model: str
    """The base model's id."""
    vocabulary: Vocabulary
    ids: Sequence[str]
    tokens: Counts
    """Tokens of each example's training line, in the order of `ids`."""
    chat: bool = False
    """Whether the lines are conversations, whose overhead is an estimate."""
    limit: TrainingLimit | None = None
    """`None`: not known, and nothing is said of it."""
    epochs: int | None = None
    """The experiment's; `None`: `default_epochs`."""
    usd_per_million: float | None = None
    """Price of a million training tokens in USD; `None`: not known."""

    @property
    def exact(self) -> bool:
        """Whether the counts are no estimates."""
        return self.vocabulary.exact and not self.chat


def default_epochs(n: int) -> int:
    """Returns the epochs that `n` examples are likely to be trained for where nothing is said; 1 to 25.

    Three; more for so few examples that fewer than 100 would be seen, fewer where more than 25,000 would be.
    """
    if n * TARGET_EPOCHS < MIN_TARGET_EXAMPLES:
        return min(MAX_EPOCHS, MIN_TARGET_EXAMPLES // max(n, 1))
    if n * TARGET_EPOCHS > MAX_TARGET_EXAMPLES:
        return max(1, MAX_TARGET_EXAMPLES // n)
    return TARGET_EPOCHS


def epoch_tokens(tokens: Counts, limit: TrainingLimit | None) -> int:
    """Returns the tokens that one epoch bills: the sum of min(limit, tokens) over the examples."""
    return int((tokens if limit is None else tokens.clip(max=limit.tokens)).sum())


def token_findings(counts: TrainingCounts) -> tuple[Check, ...]:
    """Returns `token-lengths`, `over-long-texts` where there are some, and `training-tokens`; none without examples."""
    if not len(counts.ids):
        return ()
    return (_lengths(counts), *_over_long(counts), _training(counts))


def _figures(counts: TrainingCounts) -> dict[str, object]:
    return {
        "model": counts.model,
        "vocabulary": counts.vocabulary.name,
        "exact": counts.exact,
        "estimated": "vocabulary" if not counts.vocabulary.exact else "chat" if counts.chat else "",
        "limit": counts.limit.tokens if counts.limit else None,
    }


def _lengths(counts: TrainingCounts) -> Check:
    import numpy as np

    shares = {"p5": 0.05, "p50": 0.5, "p95": 0.95, "p99": 0.99}
    # Each figure is the length of some example: the least that at least this share of the examples does not exceed.
    found = np.quantile(counts.tokens, list(shares.values()), method="inverted_cdf")
    figures = {name: int(value) for name, value in zip(shares, found, strict=True)}
    least, most = int(counts.tokens.min()), int(counts.tokens.max())
    return finding(
        "token-lengths",
        "ok",
        {**_figures(counts), "examples": len(counts.ids), "min": least, **figures, "max": most}
        | {"mean": float(counts.tokens.mean())},
        heading="quantity",
    )


_CUT = {
    "end": noted("Shorten these texts or leave them out: an example without its label teaches nothing."),
    "start": noted("Shorten these texts, or put what decides the label near their end."),
}
"""What to do where texts are cut from that side."""


def _over_long(counts: TrainingCounts) -> Iterator[Check]:
    import numpy as np

    limit = counts.limit
    if limit is None:
        return
    places = [int(place) for place in np.flatnonzero(counts.tokens > limit.tokens)]
    if not places:
        return
    worst = sorted((-int(counts.tokens[place]), counts.ids[place]) for place in places)[:SHOWN]
    lost = int((counts.tokens[places] - limit.tokens).sum())
    yield finding(
        "over-long-texts",
        "warning",
        {
            **_figures(counts),
            "source": limit.source,
            "cut": limit.cut,
            "examples": len(places),
            "of": len(counts.ids),
            "share": len(places) / len(counts.ids),
            "tokens_lost": lost,
            "share_of_tokens_lost": lost / int(counts.tokens.sum()),
            "longest": [[name, -tokens] for tokens, name in worst],
        },
        heading="quality",
        advice=_CUT[limit.cut],
    )


def _training(counts: TrainingCounts) -> Check:
    n = len(counts.ids)
    per_epoch = epoch_tokens(counts.tokens, counts.limit)
    epochs = counts.epochs if counts.epochs is not None else default_epochs(n)
    billed = [per_epoch * each for each in range(1, epochs + 1)]
    price = counts.usd_per_million
    usd = None if price is None else [tokens * price / MILLION for tokens in billed]
    return finding(
        "training-tokens",
        "ok",
        {
            **_figures(counts),
            "examples": n,
            "tokens_per_epoch": per_epoch,
            "epochs": epochs,
            "epochs_given": counts.epochs is not None,
            "billed_tokens": billed,
            "usd_per_million": price,
            "usd": usd,
        },
        heading="quantity",
    )


def special_token_findings(
    ids: Sequence[str], texts: Sequence[str], vocabularies: Iterable[Vocabulary]
) -> tuple[Check, ...]:
    """Returns `special-token-strings` where texts hold some: at most one error and one warning.

    An error where a model in use is known to have the token: the upload passes and the job fails hours later. A
    warning for tokens of other models, of vocabularies that are guessed, and where the service spells them out.

    Args:
        ids: The examples' ids.
        texts: Their texts, in the order of `ids`.
        vocabularies: Those of the models in use.
    """
    used = tuple(vocabularies)
    fatal = {token for each in used if each.exact and not each.spells_special for token in each.special}
    known = fatal.union(GENERAL_SPECIAL, *(each.special for each in used))
    found = _special_tokens(texts, known)
    checks = []
    for level, tokens in (("error", fatal), ("warning", known - fatal)):
        counts = Counter(token for held in found.values() for token in sorted(held & tokens))
        if counts:
            rows = sorted(ids[row] for row, held in found.items() if held & tokens)
            checks.append(_special(level == "error", counts, rows))
    return tuple(checks)


def _special_tokens(texts: Sequence[str], tokens: Iterable[str]) -> dict[int, set[str]]:
    """Returns the tokens in each text that has any, by the text's place."""
    by_start: defaultdict[str, list[str]] = defaultdict(list)
    for token in sorted(tokens, key=lambda token: (-len(token), token)):
        if token:
            by_start[token[:2]].append(re.escape(token[2:]))
    if not by_start:
        return {}
    # One branch for each two characters to begin with: a text full of tags meets few of the tokens. A longer token
    # stands before one that it begins with, so it wins.
    starts = sorted(by_start, key=lambda start: (-len(start), start))
    pattern = re.compile("|".join(f"{re.escape(start)}(?:{'|'.join(by_start[start])})" for start in starts))
    # Looking for one character costs a tenth of a search by pattern, and few texts have one.
    places = {row for start in {start[0] for start in starts} for row, text in enumerate(texts) if start in text}
    found = ((row, set(pattern.findall(texts[row]))) for row in sorted(places))
    return {row: held for row, held in found if held}


def _special(fatal: bool, counts: Counter[str], rows: Sequence[str]) -> Check:
    named = sorted(counts, key=lambda token: (-counts[token], token))
    if fatal:
        advice = noted("Remove or rewrite these strings, for instance with a space after their first character.")
    else:
        advice = noted("Look at these texts: where such strings are remains of markup or of a prompt, remove them.")
    return finding(
        "special-token-strings",
        "error" if fatal else "warning",
        {"texts": len(rows), "tokens": {token: counts[token] for token in named}, "ids": list(rows[:SHOWN])},
        heading="quality",
        advice=advice,
    )


def label_findings(
    continuations: Mapping[str, str], vocabularies: Iterable[Vocabulary], *, choose: bool = True
) -> tuple[Check, ...]:
    """Returns `label-first-token-collisions` and `labels-of-several-tokens`, each where there are some.

    Args:
        continuations: Label → the text that follows the prompt, leading space included; empty ones are left out.
        vocabularies: Those of the models in use; of those of one name an exact one counts.
        choose: Whether labels are told apart by the probability of their first token. Where they are not, collisions
            are for the record.
    """
    used = {each.name: each for each in sorted(vocabularies, key=lambda each: each.exact)}
    ids = {
        name: {label: used[name].encode(text) for label, text in continuations.items() if text} for name in sorted(used)
    }
    return (*_collisions(ids, used, choose), *_several(ids, used))


Ids = Mapping[str, Mapping[str, Sequence[int]]]


def _collisions(ids: Ids, used: Mapping[str, Vocabulary], choose: bool) -> Iterator[Check]:
    groups: dict[str, list[list[str]]] = {}
    for name, labels in ids.items():
        by_first: defaultdict[int, list[str]] = defaultdict(list)
        for label, tokens in labels.items():
            by_first[tokens[0]].append(label)
        if shared := [group for group in by_first.values() if len(group) > 1]:
            groups[name] = shared
    if not groups:
        return
    yield finding(
        "label-first-token-collisions",
        "warning" if choose else "ok",
        {
            "groups": groups,
            "exact": {each: used[each].exact for each in groups},
            "labels": max(map(len, ids.values())),
        },
        heading="quality",
        advice=noted('Give the labels words that differ from their first letters on, or use answer = "generate".')
        if choose
        else "",
    )


def _several(ids: Ids, used: Mapping[str, Vocabulary]) -> Iterator[Check]:
    tokens = {name: {label: len(each) for label, each in labels.items()} for name, labels in ids.items()}
    if any(n > 1 for each in tokens.values() for n in each.values()):
        figures = {"tokens": tokens, "exact": {name: used[name].exact for name in tokens}}
        yield finding("labels-of-several-tokens", "ok", figures, heading="quality")
