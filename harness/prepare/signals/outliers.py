"""Texts unlike all others: hardly any words, another length, words of their own, another script."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

from harness.findings import finding
from harness.prepare.signals.corpus import Corpus
from harness.prepare.signals.values import MAX_ITEMS, NOTABLE, Ranked, Signals, joined, ranked_item
from harness.words import noted

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

FEW_WORDS = 2

ROBUST = 3.5
"""Modified z-score from which a value is an outlier (Iglewicz and Hoaglin 1993)."""

FACTOR = 3.0
"""A length is unusual only if it is also this many times the median, or this many times less."""

OWN_WORDS = 0.5
"""Share of words that no other text has from which a text may be unusual."""

RARE_SCRIPT = 0.05
"""Share of the texts below which a script is foreign to the data."""

MIN_ROWS = 20
"""Below it nothing is usual, and so nothing unusual."""

_NO_LETTERS = re.compile(r"[\d!-/:-@\[-`{-~\u2010-\u205e\u3001-\u303f\uff01-\uff0f]")
"""Digits and punctuation; emoji and marks are neither."""

_EAST_ASIAN = ("CJK", "HIRAGANA", "KATAKANA")


Found: TypeAlias = tuple[int, float, Mapping[str, Any]]
"""Place in the corpus, score and figures of a row."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Rule:
    """What one rule has found."""

    kind: str
    title: str
    explanation: str
    advice: str
    looked_at: int
    found: Sequence[Found]
    figures: Mapping[str, Any] = field(default_factory=dict)


def outlier_signals(corpus: Corpus) -> Signals:
    """Looks for texts that are nearly empty or unlike the others."""
    rules = [_near_empty(corpus)]
    if len(corpus.words) >= MIN_ROWS:
        rules += [_lengths(corpus), _own_words(corpus), _scripts(corpus)]
    return joined(_said(corpus, rule) for rule in rules)


def _said(corpus: Corpus, rule: _Rule) -> Signals:
    n, share = len(rule.found), len(rule.found) / max(1, rule.looked_at)
    check = finding(
        rule.kind,
        "warning" if share >= NOTABLE else "ok",
        {"found": n, "share": share, "rows_looked_at": rule.looked_at, "rows": corpus.total, **rule.figures},
        heading="quality",
        advice=rule.advice if n else "",
    )
    best = sorted(rule.found, key=lambda each: (-each[1], each[0]))[:MAX_ITEMS]
    items = tuple(ranked_item(rule.kind, corpus.rows[place].id, score, figures) for place, score, figures in best)
    ranked = Ranked(kind=rule.kind, title=rule.title, explanation=rule.explanation, items=items)
    return Signals(checks=(check,), ranked=(ranked,) if items else ())


def _near_empty(corpus: Corpus) -> _Rule:
    """Texts of one or two words, where more is usual, and texts that are mostly digits and punctuation."""
    import numpy as np

    found: dict[int, Found] = {}
    if len(corpus.n_words) and np.median(corpus.n_words) > 2 * FEW_WORDS:
        for place in np.flatnonzero(corpus.n_words <= FEW_WORDS).tolist():
            n = int(corpus.n_words[place])
            found[place] = (place, 1.0 - n / 10, {"words": n})
    shares = [_share_without_letters(row.text) for row in corpus.sample]
    if shares and np.median(shares) < 0.3:
        for place, share in enumerate(shares):
            if share > 0.5 and (place not in found or share > found[place][1]):
                found[place] = (place, share, {"share": share})
    return _Rule(
        kind="near-empty-texts",
        title=noted("Texts with hardly any words"),
        explanation=noted(
            "Texts of one or two words where the median is above four, and texts that are mostly digits and "
            "punctuation. Score: share of digits and punctuation, or 0.8 for two words, 0.9 for one, 1 for none."
        ),
        advice=noted("Check that the texts were read whole, and remove those from which nobody could tell the label."),
        looked_at=len(corpus.rows),
        found=tuple(found.values()),
        figures={"few_words": FEW_WORDS, "rows_looked_at_for_digits": len(corpus.words)},
    )


def _share_without_letters(text: str) -> float:
    solid = "".join(text[:2_000].split())
    return len(_NO_LETTERS.findall(solid)) / len(solid) if solid else 1.0


def _lengths(corpus: Corpus) -> _Rule:
    """Texts whose log length is far from the median, in units of the median absolute deviation."""
    import numpy as np

    logs = np.log(np.maximum(corpus.n_characters, 1))
    centre = float(np.median(logs))
    z = robust_z(logs)
    far = (np.abs(z) > ROBUST) & (np.abs(logs - centre) > np.log(FACTOR))
    median = float(np.median(corpus.n_characters))
    return _Rule(
        kind="unusual-length",
        title=noted("Texts of an unusual length"),
        explanation=noted(
            "Length in characters, on a logarithmic scale, more than 3.5 robust standard deviations (of its side) from "
            "the median, and at least 3 times longer or shorter. Score: those deviations."
        ),
        advice=noted(
            "Look for rows that were joined or cut while reading; the longest ones also cost the most tokens."
        ),
        looked_at=len(corpus.rows),
        found=[
            (place, abs(float(z[place])), {"characters": int(corpus.n_characters[place])})
            for place in np.flatnonzero(far).tolist()
        ],
        figures={
            "median_characters": median,
            "longer": int((far & (z > 0)).sum()),
            "shorter": int((far & (z < 0)).sum()),
        },
    )


def robust_z(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Returns distances from the median in 1.4826 median absolute deviations, each side by its own.

    One spread for both sides would call a long tail unusual. On a side where most values are the median, all are 0.
    """
    import numpy as np

    off = values - np.median(values)
    z = np.zeros_like(off)
    for side in (off >= 0, off <= 0):
        spread = 1.4826 * float(np.median(np.abs(off[side])))
        if spread > 0:
            z[side] = off[side] / spread
    return z


def _own_words(corpus: Corpus) -> _Rule:
    """Texts most of whose words stand in no other text: another language or topic, codes, noise."""
    import numpy as np

    texts = Counter(word for text in corpus.words for word in set(text))
    shares = np.array([_share_of_own(text, texts) for text in corpus.words])
    usual = float(np.median(shares))
    # Where hardly any text has such words there is no spread to measure, and half of a text is far from usual.
    far = (shares > OWN_WORDS) & ((robust_z(shares) > ROBUST) | (usual == 0))
    found = []
    for place in np.flatnonzero(far).tolist():
        n = len(corpus.words[place])
        found.append((place, float(shares[place]), {"own": round(shares[place] * n), "words": n}))
    return _Rule(
        kind="unusual-words",
        title=noted("Texts with words of their own"),
        explanation=noted(
            "More than half of the words stand in no other text, which is far from usual here. "
            "Score: share of such words."
        ),
        advice=noted("Look for other languages, foreign topics and noise; remove what the model will not meet in use."),
        looked_at=len(corpus.words),
        found=found,
        figures={"median_share_of_own_words": usual},
    )


def _share_of_own(text: Sequence[str], texts: Mapping[str, int]) -> float:
    """Returns the share of words that stand in this text alone; 0 for texts too short to say."""
    return sum(texts[word] == 1 for word in text) / len(text) if len(text) > FEW_WORDS else 0.0


def _scripts(corpus: Corpus) -> _Rule:
    """Texts whose letters are mostly of a script that hardly any other text uses."""
    known: dict[str, str] = {}
    scripts = [_script(text, known) for text in corpus.words]
    counts = Counter(script for script in scripts if script)
    with_letters = counts.total()
    rare = {script for script, n in counts.items() if n < RARE_SCRIPT * with_letters}
    found = [
        (place, 1.0 - counts[script] / with_letters, {"script": script.capitalize()})
        for place, script in enumerate(scripts)
        if script in rare
    ]
    usual = [script.capitalize() for script, _ in counts.most_common() if script not in rare]
    return _Rule(
        kind="unusual-script",
        title=noted("Texts in another script"),
        explanation=noted(
            "Most letters are of a script in which fewer than 5% of the texts are written. "
            "Score: share of the texts that are in another script than this one."
        ),
        advice=noted("Keep these rows only if the model will meet such texts in use; otherwise remove them."),
        looked_at=len(corpus.words),
        found=found,
        figures={"usual": usual, "scripts": {script.capitalize(): n for script, n in counts.most_common(20)}},
    )


def _script(text: Iterable[str], known: dict[str, str]) -> str:
    """Returns the script of most letters, empty where there are none."""
    whole = "".join(text)[:1_000]
    if whole.isascii():
        return "LATIN" if any(map(str.isalpha, whole)) else ""
    scripts: Counter[str] = Counter()
    for character, n in Counter(whole).items():
        if character not in known:
            name = unicodedata.name(character, "").split(" ")[0] if character.isalpha() else ""
            known[character] = "CJK" if name.startswith(_EAST_ASIAN) else name
        if known[character]:
            scripts[known[character]] += n
    return max(scripts, key=lambda script: (scripts[script], script)) if scripts else ""
