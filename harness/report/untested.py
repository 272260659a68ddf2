"""What a run did not vary or look at, by rule from its results: the limits of what its verdict says."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from harness.report.facts import Data, latency
from harness.types import PROMPTS, TUNED
from harness.words import say, say_n

NAMED = 3
"""Arms or models that a sentence names; more are counted."""


def untested(data: Data) -> list[str]:
    """Returns one sentence for each thing that the verdict rests on and that the run has not tried otherwise."""
    return [
        *_silent(data), *_repetition(data), *_prompts(data), *_models(data), *_answering(data), *_training(data),
        *_elsewhere(data),
    ]  # fmt: skip


def _arms(data: Data, *families: str) -> list[Mapping[str, Any]]:
    return [arm for arm in data.get("arms") or () if arm.get("n") and (not families or arm.get("family") in families)]


def _here(data: Data, *families: str) -> list[Mapping[str, Any]]:
    """Returns the arms that were asked by this run, not elsewhere."""
    return [arm for arm in _arms(data, *families) if not arm.get("imported")]


def _silent(data: Data) -> Iterator[str]:
    """Yields arms that the experiment names and that have no answers."""
    names = [str(arm["name"]) for arm in data.get("arms") or () if not arm.get("n")]
    if names:
        yield say("What has no answers: {names}.", names=listed(names))


def _repetition(data: Data) -> Iterator[str]:
    fixed = (data.get("run") or {}).get("not_varied") or ()
    if "shot-draw" in fixed:
        if _draws(data) > 1:
            yield say(
                "Other examples in the prompts: the test met one draw of them for each prompt, the best on validation "
                "where several were tried."
            )
        else:
            yield say("Other examples in the prompts: each prompt with shots was tried with a single draw of them.")
    if "training-seed" in fixed:
        yield say("Another training of the same model: each was trained once, with a single seed.")
    if "repeats" in fixed:
        yield say("Asking again: each question was asked once, so answers that change from time to time do not show.")


def _draws(data: Data) -> int:
    """Returns the most draws of shots among which a choice was made on validation; without shots there is none."""
    most = 0
    for choice in data.get("choices") or ():
        tried = [candidate.get("settings") or {} for candidate in choice.get("candidates") or ()]
        drawn = {one.get("shots.draw", (one.get("shots") or {}).get("draw")) for one in tried}
        most = max(most, len(drawn - {None}))
    return most


def _prompts(data: Data) -> Iterator[str]:
    """Yields prompts and trainings that were given no search; of imported ones nobody knows that."""
    chosen = {str(choice.get("arm")) for choice in data.get("choices") or ()}
    fixed = [str(arm["name"]) for arm in _here(data, *PROMPTS) if arm["name"] not in chosen and not arm.get("of")]
    if fixed:
        yield say("A better prompt: no search on validation was made for {names}.", names=listed(fixed))
    fixed = [str(arm["name"]) for arm in _here(data, *TUNED) if arm["name"] not in chosen and not arm.get("of")]
    if fixed:
        yield say("Other training settings: no search on validation was made for {names}.", names=listed(fixed))


def _models(data: Data) -> Iterator[str]:
    names = list(dict.fromkeys(str(arm["model"]) for arm in _arms(data) if arm.get("model")))
    if names:
        yield say_n(
            len(names),
            "Other models: {names} alone was asked.",
            "Other models: {names} alone were asked.",
            names=listed(names),
        )


def _answering(data: Data) -> Iterator[str]:
    modes = {str(arm["mode"]) for arm in _arms(data) if arm.get("mode")}
    if len(modes) != 1:
        return
    mode = modes.pop()
    if mode == "generate":
        yield say(
            "Another way of answering: every arm that was prompted wrote free text, and its label was read out of that."
        )
    if mode == "choose":
        yield say("Another way of answering: of every arm that was prompted the most probable label was taken.")
    if mode == "schema":
        yield say(
            "Another way of answering: every arm that was prompted was held to a schema that allows labels alone."
        )


def _training(data: Data) -> Iterator[str]:
    if _here(data, *TUNED) and not any(curve.get("kind") == "learning" for curve in data.get("curves") or ()):
        yield say("More or fewer training examples: no learning curve was measured.")


def _elsewhere(data: Data) -> Iterator[str]:
    """Yields what one data set on one day cannot show."""
    checks = data.get("checks") or ()
    split = next((check.get("figures") or {} for check in checks if check.get("kind") == "split"), {})
    if split.get("test_from"):
        yield say(
            "Another source, and what comes later: the test examples are the newest ones, and harness recheck holds "
            "the verdict against fresh ones."
        )
    else:
        yield say(
            "Another time or source: training and test examples come from the same data, and harness recheck holds "
            "the verdict against fresh ones."
        )
    if not data.get("slices"):
        yield say("Parts of the data: languages, regions or customers were not told apart, all figures are over all.")
    if not data.get("relabel"):
        yield say("Wrong labels: what the data call right was taken as right; harness relabel asks people again.")
    if any(latency(arm) is not None for arm in _here(data)):
        yield say("Your load: answers were timed at this run's pace, not at that of your production.")


def listed(names: Sequence[str]) -> str:
    """Writes a few names, and how many others there are."""
    if len(names) <= NAMED:
        return ", ".join(names)
    rest = len(names) - NAMED
    return say_n(rest, "{names} and 1 other", "{names} and {n} others", names=", ".join(names[:NAMED]), n=rest)
