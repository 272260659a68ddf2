"""How many labels that were changed on purpose does the search for label errors find?

    .venv/bin/python benchmarks/label_errors.py [FILE --text COL[,COL] --label COL [--group COL]] [--logistic]

5% of the labels become another one, each with the same probability, by seed; the table gives the mean of 3 seeds.
Without a file: the embedded review sentences, and a synthetic set of 20 intents. Precision is held against the
changed labels alone: errors that the data had before count as false alarms. At as many rows as were changed,
precision and recall are the same number.
"""

from __future__ import annotations

import argparse
import random
import statistics
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from harness.plugins.discovery import discover
from harness.prepare.signals import label_errors
from harness.prepare.signals.corpus import read_corpus
from harness.prepare.signals.features import features
from harness.types import Context, Example

SHARE = 0.05
SEEDS = (0, 1, 2)

TOPICS = {
    "card": ("card", "debit card", "plastic", "bank card"),
    "account": ("account", "current account", "profile", "savings account"),
    "transfer": ("transfer", "payment", "money I sent", "wire"),
    "loan": ("loan", "credit", "mortgage", "money I borrowed"),
    "delivery": ("parcel", "delivery", "package", "order"),
}
ACTIONS = {
    "cancel": ("cancel", "stop", "call off", "get rid of"),
    "track": ("track", "find out the state of", "see what happened to", "check on"),
    "open": ("get", "open", "apply for", "start"),
    "dispute": ("complain about", "dispute", "report a problem with", "question"),
}
FRAMES = (
    "I want to {action} my {topic}", "how do I {action} the {topic}?", "can you help me {action} a {topic}",
    "please {action} my {topic} today", "is there a way to {action} this {topic}?", "{action} {topic}",
    "my partner would like to {action} their {topic}", "what do I need to {action} a {topic}?",
)  # fmt: skip
ASIDES = (
    "", "", "", "thanks", "I am in a hurry", "as I said on the phone", "the app does not let me",
    "it worked last year", "unlike my old {other}", "this is not about the {other}",
)  # fmt: skip


def intents(n: int = 4_000) -> list[Example]:
    """Makes a synthetic set: 5 topics × 4 actions in paraphrases, some with a word from another intent."""
    draw = random.Random(7)
    made: dict[str, Example] = {}
    while len(made) < n:
        topic, action = draw.choice(list(TOPICS)), draw.choice(list(ACTIONS))
        frame = f"{draw.choice(FRAMES)} {draw.choice(ASIDES)} {draw.choice(ASIDES)}"
        other = draw.choice(TOPICS[draw.choice(list(TOPICS))])
        frame = frame.format(topic=draw.choice(TOPICS[topic]), action=draw.choice(ACTIONS[action]), other=other)
        text = " ".join(frame.split())
        made[text] = Example(fields={"text": text}, label=f"{action} {topic}")
    return list(made.values())


def logistic(vectors: Any, codes: Any, fold: Any) -> Any:
    """Returns out-of-fold probabilities of the given labels by logistic regression, on the same vectors and folds."""
    import numpy as np
    from sklearn.linear_model import LogisticRegression
    from threadpoolctl import threadpool_limits

    given = np.zeros(len(codes))
    with threadpool_limits(limits=1):
        for each in range(label_errors.FOLDS):
            held_out, rest = np.flatnonzero(fold == each), np.flatnonzero(fold != each)
            model = LogisticRegression(C=1.0, tol=1e-3, max_iter=2_000).fit(vectors[rest], codes[rest])
            column = {int(code): place for place, code in enumerate(model.classes_)}
            probabilities = model.predict_proba(vectors[held_out])
            given[held_out] = [row[column[int(code)]] for row, code in zip(probabilities, codes[held_out], strict=True)]
    return given


def scores(flagged: Any, bad: Any) -> tuple[float, float]:
    """Returns precision and recall of the flagged rows."""
    hits = float(bad[flagged].sum())
    return hits / max(1, len(flagged)), hits / float(bad.sum())


def found(judged: label_errors.Judged, bad: Any, draw: Any) -> Mapping[str, tuple[float, float]]:
    """Returns precision and recall of each ranking, at as many rows as are wrong, and of each way to flag rows."""
    import numpy as np

    n = int(bad.sum())
    by_confidence = np.argsort(judged.p_given, kind="stable")
    joint = judged.confident[by_confidence]
    flagged = {
        "random": draw.permutation(len(bad))[:n],
        "self-confidence, no thresholds": by_confidence[:n],
        "confident joint, by self-confidence": np.concatenate([by_confidence[joint], by_confidence[~joint]])[:n],
        "odds against the label (ours)": judged.ranking[:n],
        "flagged by the confident joint alone": np.flatnonzero(judged.confident),
        "flagged as likely (ours)": judged.likely,
    }
    return {what: scores(places, bad) for what, places in flagged.items()}


def measure(name: str, examples: Sequence[Example], with_logistic: bool) -> None:
    """Prints the table of one data set."""
    import numpy as np

    rows = read_corpus(list({example.text: example for example in examples}.values()), 7)
    labels, groups = [row.label for row in rows.rows], [row.group for row in rows.rows]
    classes = label_errors.usable(labels, groups, 10_000)
    kept = [place for place, label in enumerate(labels) if label in classes]
    began = time.perf_counter()
    vectors = features([rows.words[place] for place in kept])
    vectorised = time.perf_counter() - began
    truth = np.array([classes.index(labels[place]) for place in kept])
    fold = label_errors.folds(truth, [groups[place] for place in kept])
    rounds: list[dict[str, tuple[float, float]]] = []
    seconds: dict[str, list[float]] = {"naive Bayes": [], "logistic regression": []}
    for seed in SEEDS:
        draw = np.random.default_rng(seed)
        codes, places = label_errors.planted(truth, round(SHARE * len(truth)), draw)
        changed = np.zeros(len(truth), dtype=bool)
        changed[places] = True
        began = time.perf_counter()
        judged = label_errors.judge(vectors, codes, fold)
        seconds["naive Bayes"].append(time.perf_counter() - began)
        rounds.append(dict(found(judged, changed[judged.places], draw)))
        if with_logistic:
            began = time.perf_counter()
            given = logistic(vectors, codes, fold)
            seconds["logistic regression"].append(time.perf_counter() - began)
            worst = np.argsort(given)[: len(places)]
            rounds[-1]["logistic regression, self-confidence"] = scores(worst, changed)
    print(f"{name}: {len(truth):,} rows, {len(classes)} classes, {round(SHARE * len(truth)):,} labels changed")
    for what in rounds[0]:
        precision, recall = (statistics.mean(column) for column in zip(*(each[what] for each in rounds), strict=True))
        print(f"  {what:<42} precision {precision:.3f}   recall {recall:.3f}")
    told = ", ".join(f"{what} {statistics.median(each):.2f} s" for what, each in seconds.items() if each)
    print(f"  vectors {vectorised:.2f} s, five folds: {told}\n")


def main() -> None:
    """Measures a file, or the two sets that need none."""
    parser = argparse.ArgumentParser(description="Precision of the search for label errors, on planted ones.")
    parser.add_argument("file", nargs="?", type=Path)
    parser.add_argument("--text", default="text")
    parser.add_argument("--label", default="label")
    parser.add_argument("--group")
    parser.add_argument("--logistic", action="store_true", help="measure logistic regression too (slow)")
    given = parser.parse_args()
    plugins = discover()
    if given.file:
        options = {"text": tuple(given.text.split(",")), "label": given.label, "group": given.group}
        files = plugins.get("dataset", "files").cls(path=str(given.file.absolute()), **options)
        measure(given.file.name, list(files.load(Context())), given.logistic)
        return
    snippets = plugins.get("dataset", "amazon-snippets").cls()
    measure("amazon-snippets, 3 levels", list(snippets.load(Context())), given.logistic)
    measure("synthetic intents", intents(), given.logistic)


if __name__ == "__main__":
    main()
