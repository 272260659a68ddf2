"""The contenders of a new experiment: baselines, the user's own prompt, prompts, a fine-tuned model. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from harness.starter import toml_writing as toml
from harness.starter.own_prompt import OwnPrompt, shown
from harness.starter.start import Endpoint, Sizes, Start

LOCAL_MODEL = "SmolLM2-135M-Instruct"
"""The embedded model of the local endpoint."""
MOST_CHOICES = 100
"""Labels up to which the local endpoint scores each of them: the work grows with their number."""
MANY_CHOICES = 20
MOST_NAMED = 4000
"""Characters of labels that an instruction may name, about a thousand tokens."""
LOCAL_ROOM = 12_000
"""Characters of shots: about three thousand tokens, which a processor reads in seconds."""
HOSTED_ROOM = 60_000

_SPOKEN = re.compile(r"[^\W_][\w .-]{0,39}")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Way:
    """How the models are asked."""

    endpoint: str
    model: str
    answer: str
    """What follows the model in the backend's table."""
    calibrate: bool
    """Whether calibration is to be tried."""
    formatter: str
    """The plugin."""
    options: Mapping[str, str]
    """The formatter's options for prompts of our own."""


def arms(start: Start, size: Sizes) -> Iterator[str]:
    """Yields the lines of the arms' tables."""
    way = _local(start) if start.endpoint is None else _hosted(start, start.endpoint)
    yield "# What every claim is held against: always the largest class, and TF-IDF with logistic regression."
    yield from _arm("majority", '{ plugin = "majority" }')
    yield ""
    yield from _arm("classical", '{ plugin = "classical" }')
    prompted = f'{{ plugin = "few-shot", {_model(way, "model")} }}'
    if start.prompt is not None:
        yield ""
        yield f"# The prompt in use today, {start.prompt.said}."
        yield from _arm("incumbent", prompted)
        yield from _formatter(way.formatter, _incumbent(start.prompt, way))
    yield ""
    yield "# The bare prompt."
    yield from _arm("zero-shot", prompted)
    yield from _formatter(way.formatter, way.options)
    if way.calibrate:
        yield from _calibration()
    yield ""
    yield from _few_shot(start, size, way, prompted)
    yield ""
    yield from _fine_tuned(start, size, way)


def _local(start: Start) -> _Way:
    labels = list(start.guesses.labels)
    choose = len(labels) <= MOST_CHOICES
    options = {"template": _template(start.guesses.text, start.guesses.label)}
    instruction = start.forms["chat"].get("instruction", "") or ("" if choose else _named(labels))
    model = start.model or LOCAL_MODEL
    path = Path(model).expanduser()
    # The local endpoint calls a model by its folder's or file's name.
    name = path.stem if path.suffix == ".gguf" else path.resolve().name if path.is_dir() else model
    return _Way(
        endpoint="local",
        model=name,
        calibrate=choose,
        answer=', answer = "choose"' if choose else "",
        formatter="plain",
        options={"instruction": instruction, **options} if instruction else options,
    )


def _hosted(start: Start, endpoint: Endpoint) -> _Way:
    labels = list(start.guesses.labels)
    instruction = start.forms["chat"].get("instruction", "")
    options = {"instruction": instruction} if instruction else {}
    if not instruction and len("".join(labels)) > MOST_NAMED:
        options = {"instruction": "Classify the text. Answer with its label and nothing else."}
    template = shown(start.guesses.text)
    if template != "{text}":
        options["template"] = template
    return _Way(
        endpoint=endpoint.name, model=start.model or "", calibrate=False, answer="", formatter="chat", options=options
    )


def _named(labels: list[str]) -> str:
    listed = ", ".join(labels)
    return f"Label each text with one of: {listed}" if len(listed) <= MOST_NAMED else ""


def _template(texts: tuple[str, ...], label: str) -> str:
    """Returns a template that a completion model goes on with: `Title: {title}`, `Body: {body}`, `Stars:`."""
    if shown(texts) == "{text}":
        lines = [f"{_spoken(texts[0] if len(texts) == 1 else '', 'Text')}: {{text}}"]
    else:
        lines = [f"{_spoken(name, 'Text')}: {{{name}}}" for name in texts]
    return "\n".join([*lines, f"{_spoken(label, 'Label')}:"])


def _spoken(column: str, otherwise: str) -> str:
    """Returns a column's name as a word of a prompt."""
    words = " ".join(column.replace("_", " ").split())
    if column in ("prompt", "completion") or not _SPOKEN.fullmatch(words):
        return otherwise
    return words[0].upper() + words[1:]


def _incumbent(prompt: OwnPrompt, way: _Way) -> dict[str, str]:
    if not prompt.template:
        return {**way.options, "instruction": prompt.text}
    return {"template": prompt.text, **({"instruction": ""} if way.formatter == "chat" else {})}


def _few_shot(start: Start, size: Sizes, way: _Way, prompted: str) -> Iterator[str]:
    counts = shot_counts(size, LOCAL_ROOM if start.endpoint is None else HOSTED_ROOM)
    yield "# The same prompt with solved examples. Which and how many matters, so it gets its chance: what"
    yield "# [arms.choose] lists is tried on validation, and only the winner meets the test."
    yield from _arm("few-shot", prompted)
    yield f'shots = {{ selector = "balanced", k = {counts[0]}, draw = 1 }}'
    yield from _formatter(way.formatter, way.options)
    yield "[arms.choose]"
    yield f'"shots.k" = {toml.value(counts)}'
    if slow(start):
        yield "# The local endpoint scores each label for every item: with so many, one draw has to do."
    yield f'"shots.draw" = {"[1]" if slow(start) else "[1, 2]"}'
    if way.calibrate:
        yield '"backend.calibrate" = [false, true]'
    yield "items = 100                    # validation rows that each candidate is asked"


def slow(start: Start) -> bool:
    """Whether the local endpoint has so many labels to score that it takes long: about 10 ms each on two cores."""
    return start.endpoint is None and MANY_CHOICES < len(start.guesses.labels) <= MOST_CHOICES


def shot_counts(size: Sizes, room: int) -> list[int]:
    """Returns numbers of shots to try: more for more labels, within the prompt's room and half of the training rows.

    Args:
        size: How much data there is.
        room: Characters that shots may take up.
    """
    wanted = [4, 8, 16] if len(size.classes) <= 8 else [8, 16, 32] if len(size.classes) <= 32 else [16, 32, 64]
    most = max(1, min(int(room / max(1.0, size.length)), size.train // 2))
    return [k for k in wanted if k <= most] or [min(most, wanted[0])]


def _fine_tuned(start: Start, size: Sizes, way: _Way) -> Iterator[str]:
    hosted = start.endpoint is not None
    if hosted:
        yield "# The same model, trained on the training rows; the endpoint has to offer fine-tuning."
        settings = ""
    else:
        yield "# The same small model, really trained on this machine: the bare text, a separator, the label; no shots."
        settings = f", n_epochs = {2 if size.train >= 1500 else 4}, training_seed = 7"
    yield from _arm("fine-tuned", f'{{ plugin = "fine-tuned", {_model(way, "base", settings)} }}')
    yield from _formatter("chat", way.options) if hosted else _formatter("completion", start.forms["completion"])


def _arm(name: str, backend: str) -> Iterator[str]:
    yield "[[arms]]"
    yield f"name = {toml.string(name)}"
    yield f"backend = {backend}"


def _model(way: _Way, key: str, settings: str = "") -> str:
    return f'endpoint = "{way.endpoint}", {key} = {toml.string(way.model)}{settings}{way.answer}'


def _formatter(plugin: str, options: Mapping[str, str]) -> Iterator[str]:
    """Yields a line, or a table of its own where a text goes over several lines."""
    if not any("\n" in option for option in options.values()):
        listed = "".join(f", {name} = {toml.string(option)}" for name, option in options.items())
        yield f'formatter = {{ plugin = "{plugin}"{listed} }}'
        return
    yield "[arms.formatter]"
    yield f'plugin = "{plugin}"'
    for name, option in options.items():
        yield f"{name} = {toml.block(option)}"


def _calibration() -> Iterator[str]:
    yield "[arms.choose]"
    yield '"backend.calibrate" = [false, true]   # whether to divide by what the model would say to an empty text'
    yield "items = 100"
