"""What plugins promise: one table, which the kit checks, the reference lists and an error quotes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Promise:
    """One promise of the contract."""

    text: str
    """What holds, in one sentence."""
    cure: str
    """How to mend a plugin that breaks it."""


COMMON: Mapping[str, Promise] = {
    "frozen": Promise(
        "The class is a frozen dataclass; its fields are its options.",
        "write `@dataclass(frozen=True, kw_only=True)` above the class",
    ),
    "name": Promise(
        "`name` is a ClassVar: a text without spaces at its ends.",
        'write `name: ClassVar[str] = "…"`; without ClassVar it would be an option',
    ),
    "described": Promise(
        "The class has a docstring, whose first line `harness plugins` shows.",
        "say in one line what the plugin does",
    ),
    "methods": Promise(
        "The methods of its kind are there and take the arguments that the engine gives them.",
        "compare the signature with the one in docs/reference/hooks.md",
    ),
    "options": Promise(
        "Every option has a type that can be checked and a default of that type; options are plain values.",
        "annotate fields with types importable at run time (not under TYPE_CHECKING) and made of JSON values",
    ),
    "equal": Promise(
        "Two instances with the same options are equal: what a plugin works out is no part of it.",
        "keep state in what `fit`, `open` or `run` return, not on the instance",
    ),
    "works": Promise(
        "No method raises on ordinary input; what is wrong with the data is said by a `harness.DataError`.",
        "handle this case, or raise harness.DataError(what is wrong, what to do)",
    ),
    "pure": Promise(
        "Methods leave their arguments, and the plugin, as they are: the engine hands the same values to others.",
        "copy before changing: dict(x), list(x), dataclasses.replace(x, …)",
    ),
    "quiet": Promise(
        "Nothing is written to stdout, which belongs to results.",
        "take the print out; tell users through errors, findings (`ctx.tell`) or stderr",
    ),
    "light": Promise(
        "Importing the module takes less than a second and imports no heavy library.",
        "import heavy libraries inside the functions that use them",
    ),
}

KINDS: Mapping[str, Mapping[str, Promise]] = {
    "dataset": {
        "examples": Promise(
            "`load` yields `harness.Example`s: text fields, label, id and slices are texts.",
            "convert at the edge: str(value); a missing label is the empty text",
        ),
        "ids": Promise(
            "An id that the dataset gives itself belongs to one example alone.",
            "leave `id` empty (it is then worked out from the text), or take a column that is unique",
        ),
        "deterministic": Promise(
            "The same options yield the same examples.",
            "sort what has no order (sets, folders), and take randomness from random.Random(ctx.seed)",
        ),
    },
    "formatter": {
        "prompt": Promise(
            "`prompt` returns a `harness.Prompt` with a text or with messages, not both.",
            "return harness.Prompt(text=…) or harness.Prompt(messages=(harness.Message(role=…, content=…), …))",
        ),
        "blind": Promise(
            "The prompt does not depend on the label of the item that is asked about.",
            "use `example.label` for shots and training lines only",
        ),
        "tells-apart": Promise(
            "Different items give different prompts, and shots show in them.",
            "put every text field of the item, and each shot with its label, into the prompt",
        ),
        "data-is-data": Promise(
            "Braces, percent signs and markup within a text stay what they are.",
            "fill templates in one pass over the template alone, never over text that is already in it",
        ),
        "continuations": Promise(
            "`continuations`, where given, has a text for every label and nothing else; `parse` reads each back.",
            "build it from `labels`: {label: f' {label}' for label in labels}",
        ),
        "training-line": Promise(
            "`training_line` returns a JSON object with `messages`, or with `prompt` and `completion`.",
            "return the task as the tuned model will be asked it, made of texts, lists and dicts",
        ),
        "round-trip": Promise(
            "`parse` reads the right label out of the answer that a training line teaches.",
            "let `training_line` and `parse` use the same words for labels",
        ),
        "parse": Promise(
            "`parse` returns one of `labels`, or None, for whatever a model may say.",
            "end with `harness.parsing.lenient(text, labels)`, or return None where no label is named",
        ),
        "deterministic": Promise("The same arguments give the same prompt and line.", "take nothing at random"),
    },
    "selector": {
        "from-train": Promise(
            "Every shot is an example of the train split, unchanged.", "return examples out of `train`, no copies"
        ),
        "not-itself": Promise(
            "The item itself, and the same text under another id, is never among its shots.",
            "leave out what has the item's id or text: `harness.fold(a.text) == harness.fold(b.text)`",
        ),
        "k": Promise(
            "`pick` returns k shots, no example twice; where train has fewer it says so with a `harness.DataError`.",
            "return exactly k, or raise harness.DataError",
        ),
        "deterministic": Promise(
            "The same train split, in any order, and seed give the same picks, whatever was picked before.",
            "sort by example.id before drawing, and draw with random.Random(f'{seed} {example.id}')",
        ),
        "blind": Promise(
            "Picks do not depend on the label of the item.", "use the item's text only: at asking time it has no label"
        ),
        "pick-all": Promise(
            "`pick_all`, where there is one, picks for each item what `pick` does.",
            "build both on the same function, or leave `pick_all` out",
        ),
        "embeddings": Promise(
            "`embedding_calls` describes the same requests for the same texts, in whatever order they come.",
            "sort the texts before cutting them into requests",
        ),
    },
    "backend": {
        "family": Promise(
            "`family` is zero-shot, few-shot, fine-tuned, classical, mock or other.",
            'write `family: ClassVar[str] = "other"`',
        ),
        "calls": Promise(
            "`calls` returns one or more `harness.Call`s: endpoint, a path that begins with /, a JSON body.",
            "return a tuple of harness.Call, its body made of texts, numbers, lists and dicts",
        ),
        "portable": Promise(
            "Calls, with their notes, can be pickled: executors hand them to other processes.",
            "put plain values into `note`, no functions, locks or open files",
        ),
        "read": Promise(
            "`read` returns a `harness.Answer` for every reply; for a malformed one with an `error`.",
            "check before you index: what a server sends is data; return harness.Answer(error='…')",
        ),
        "job": Promise(
            "`job` returns a `harness.JobSpec`; it sends nothing.", "describe the job; the engine starts it"
        ),
        "one-each": Promise(
            "In process: one `harness.Answer` for each prompt, none for none.",
            "return [answer(prompt) for prompt in prompts]",
        ),
        "in-order": Promise(
            "In process: an answer follows from its own prompt, not from the place or company it is asked in.",
            "return answers in the order of the prompts, and keep nothing between them",
        ),
        "fields": Promise(
            "Answers hold what `harness.Answer` says: a text, counts of 0 or more, probabilities that sum to 1.",
            "leave what you do not know at None",
        ),
        "no-pickle": Promise(
            "`fit` leaves no pickle in the folder: a model's file must not run code.",
            "store numbers and texts: JSON, npz (allow_pickle=False), safetensors",
        ),
        "deterministic": Promise(
            "The same options, seed and prompt give the same calls or the same answer.",
            "take randomness from ctx.seed and prompt.example_id",
        ),
    },
    "metric": {
        "figures": Promise(
            "`score` returns name → finite number, or None where a figure does not apply; never NaN.",
            "return None where there is nothing to divide by",
        ),
        "same-names": Promise(
            "The names are the same for all answers, also for none.", "return every name every time, with None"
        ),
        "deterministic": Promise("The same rows give the same figures.", "take nothing at random"),
        "order-free": Promise(
            "The order of the rows does not matter.", "add up with math.fsum, and compare nothing with its neighbour"
        ),
    },
    "section": {
        "blocks": Promise(
            "`blocks` yields block types of `harness.blocks` alone, made of plain text and finite numbers.",
            "yield harness.blocks.Text(text=…), Table, Chart, …; leave out what has no number",
        ),
        "copes": Promise(
            "The section stands without texts, without predictions, with failed arms and with figures that are None.",
            "ask `results.data.get(…)`, and yield nothing where there is nothing to say",
        ),
        "renders": Promise(
            "The page can draw what was yielded.", "see docs/reference/hooks.md for what each block must hold"
        ),
        "deterministic": Promise("The same results give the same blocks.", "use no clock and no chance"),
    },
    "executor": {
        "all": Promise(
            "`run` returns when every call is answered, given up, or may not be sent any more.",
            "hand every call to `send`, or answer it through `done`",
        ),
        "once": Promise(
            "`done` is called once for each call, with that call's own reply.", "do not send again what has an answer"
        ),
        "given": Promise(
            "Only the calls that were given are sent, unchanged.", "reorder them if you like; add and change nothing"
        ),
        "close": Promise("`close`, where there is one, can be called after any number of runs.", "guard it"),
    },
    "observer": {
        "any-event": Promise(
            "`on` takes every event: of kinds that are new, without figures, with figures of any kind.",
            "use `event.figures.get(…)`, and pass over kinds that you do not know",
        ),
    },
}
"""Kind → the promises that only its plugins make."""


def promises(kind: str) -> Mapping[str, Promise]:
    """Returns what plugins of a kind promise, by name."""
    return {**COMMON, **KINDS[kind]}
