"""`harness export`: an arm as a folder to deploy, which needs nothing of this project."""

from __future__ import annotations

import inspect
import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness import parsing
from harness.errors import UsageError
from harness.execution.local_endpoint import adapter_of
from harness.execution.questions import Asker
from harness.experiment import LOCAL, Arm, plain
from harness.experiment.file import EnvironmentValue
from harness.files import folder_whole, json_text
from harness.finished import predict_script
from harness.finished.reopening import Reopened
from harness.plugins import attributed
from harness.scoring.fairness import MODES
from harness.types import Call, Example, Prompt, Split

SCHEMA = 1
SERVED = "http://127.0.0.1:8399/v1"
"""Where `harness serve` listens if nothing else is said."""
PROBED = 40
"""Items by which it is seen whether an arm's shots depend on the item."""
_MARK = "⟦harness-{}⟧"
"""Stands for a text while the request is looked at; no text of a prompt has it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Exported:
    """What was written."""

    folder: Path
    agreeing: int
    """Answers of the run that the script's parser reads as the run did."""
    answers: int


def export(run: Reopened, name: str, out: Path) -> Exported:
    """Writes an arm as a folder: `arm.json`, `predict.py`, `README.md`, and the adapter where it has one.

    Args:
        run: The run.
        name: The arm's name.
        out: The folder; it must not be there, or be empty.

    Raises:
        UsageError: The arm cannot be put into requests, its adapter is gone, or the folder is not empty.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UsageError(f"-o {out}: there is something already", "name a new folder, or empty this one")
    arm = run.arm(name)
    if arm.answer_mode not in MODES or not hasattr(arm.backend, "calls"):
        raise UsageError(
            f'the arm "{name}" answers in process ({arm.backend.name}): there is no model behind an API to export',
            f"label data with it: harness predict {run.id} --arm {json.dumps(name, ensure_ascii=False)} DATA -o FILE",
        )
    prompt = _prompt(run, arm)
    with attributed(arm.backend, "calls"):
        calls = arm.backend.calls(prompt, run.data.labels)
    adapter = _adapter(run, arm)
    told = _told(run, arm, prompt, calls)
    agreeing, answers = _agreement(run, name, told)
    with folder_whole(out.resolve()) as folder:  # `.` and links have no place beside them
        (folder / "arm.json").write_text(json_text(told), encoding="utf-8")
        (folder / "predict.py").write_text(inspect.getsource(predict_script), encoding="utf-8")
        readme = _readme(told, adapter=adapter is not None, agreement=(agreeing, answers))
        card = _card(run, told, adapter=adapter is not None)
        (folder / "README.md").write_text(f"---\n{card}---\n\n{readme}", encoding="utf-8")
        if adapter is not None:
            _copy(adapter, folder / "adapter", str(told["base"]))
        folder.chmod(0o755)
    return Exported(folder=out, agreeing=agreeing, answers=answers)


def _prompt(run: Reopened, arm: Arm) -> Prompt:
    """Returns the arm's prompt around marks in the place of an item's texts.

    Raises:
        UsageError: The shots hang on the item, so there is no one prompt.
    """
    plugins = run.experiment.plugins
    asker = Asker(
        train=run.data.of(Split.TRAIN),
        labels=run.data.labels,
        seed=run.experiment.seed,
        identities={},
        source_hash=lambda plugin: record.source_hash if (record := plugins.find(plugin)) else "",
    )
    marked = Example(fields={field: _MARK.format(field) for field in run.fields}, label="")
    if getattr(arm.shots and arm.shots.selector, "embeddings", None):
        raise _by_item(run, arm)
    items = [*run.data.of(Split.VALIDATION), *run.data.of(Split.TEST)][:PROBED] if arm.shots else []
    prompt, *others = asker.prompts(arm, [marked, *items])
    # A fixed set differs only where an item is one of the shots, or nearly.
    if sum(other.shot_ids != prompt.shot_ids for other in others) * 2 > len(others):
        raise _by_item(run, arm)
    return prompt


def _by_item(run: Reopened, arm: Arm) -> UsageError:
    return UsageError(
        f'the arm "{arm.name}" picks other shots for each item ({arm.shots and arm.shots.selector.name}): '
        "a folder of one prompt cannot do that",
        f"label data with it: harness predict {run.id} --arm {json.dumps(arm.name, ensure_ascii=False)} DATA -o FILE",
    )


def _adapter(run: Reopened, arm: Arm) -> Path | None:
    backend: Any = arm.backend
    if backend.endpoint != LOCAL or not hasattr(backend, "job"):
        return None
    found = adapter_of(run.folder.endpoint, backend.model)
    if found is None:
        raise UsageError(f"the adapter of {backend.model} is gone from {run.folder.endpoint}", run.go_on(arm.name))
    return found


def _copy(adapter: Path, target: Path, base: str) -> None:
    """Copies an adapter; where its base model lay on this machine is nobody's business elsewhere."""
    target.mkdir()
    shutil.copyfile(adapter / "adapter_model.safetensors", target / "adapter_model.safetensors")
    settings = json.loads((adapter / "adapter_config.json").read_text(encoding="utf-8"))
    settings["base_model_name_or_path"] = base
    (target / "adapter_config.json").write_text(json_text(settings), encoding="utf-8")


def _told(run: Reopened, arm: Arm, prompt: Prompt, calls: Sequence[Call]) -> dict[str, Any]:
    """Returns `arm.json`."""
    from harness import __version__
    from harness.prices import told_base

    backend: Any = arm.backend
    table = run.experiment.endpoints[backend.endpoint]
    train = {example.id: example for example in run.data.of(Split.TRAIN)}
    scored: dict[str, Any] = next((one for one in run.results.get("arms") or () if one["name"] == arm.name), {})
    continued = run.manifest.get("continued", {}).get(arm.base, {})
    words = {label: prompt.continuations.get(label, label) for label in run.data.labels}
    return {
        "schema": SCHEMA,
        "arm": arm.name,
        "run": run.id,
        "verdict": (run.results.get("verdict") or {}).get("sentence"),
        "accuracy": scored.get("accuracy"),
        "accuracy_ci": scored.get("accuracy_ci"),
        "harness": __version__,
        "model": backend.model,
        "base": continued.get("base") or told_base(arm.base or backend.model),
        "base_url": table.base_url or SERVED,
        "api_key_env": table.api_key_env,
        "headers": {name: one.env for name, one in table.headers.items() if isinstance(one, EnvironmentValue)},
        "query": dict(table.query),
        "labels": list(run.data.labels),
        "fields": list(run.fields),
        "answer": backend.answer,
        "formatter": plain(arm.formatter),
        "shots": [{"fields": dict(train[name].fields), "label": train[name].label} for name in prompt.shot_ids],
        "separator": _separator(run, arm),
        "words": words,
        "parser": _parser(words),
        "requests": [{"path": call.path, "body": _marked(dict(call.body), run.fields)} for call in calls],
    }


def _separator(run: Reopened, arm: Arm) -> dict[str, str]:
    """Finds out what the formatter puts in the place of its separator within a text."""
    find = getattr(arm.formatter, "separator", None)
    if not isinstance(find, str) or not find:
        return {"find": "", "put": ""}
    begin, end = _MARK.format("a"), _MARK.format("b")
    field = run.fields[0]
    probe = Example(fields={**dict.fromkeys(run.fields, ""), field: f"{begin}{find}{end}"}, label="")
    with attributed(arm.formatter, "prompt"):
        text = arm.formatter.prompt(probe, (), run.data.labels).text
    put = text[text.index(begin) + len(begin) : text.index(end)] if begin in text and end in text else find
    return {"find": "" if put == find else find, "put": put}


def _parser(words: Mapping[str, str]) -> dict[str, Any]:
    by_word = {word.strip(): label for label, word in words.items()}
    rules = parsing.rules(list(by_word))
    return {**rules, "keys": {key: by_word[word] for key, word in rules["keys"].items()}}


def _marked(value: Any, fields: Sequence[str]) -> Any:
    """Puts places for texts where the marks stand in a request."""
    if isinstance(value, Mapping):
        return {key: _marked(each, fields) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_marked(each, fields) for each in value]
    if not isinstance(value, str):
        return value
    parts = list(_parts(value, fields))
    return {"$text": parts} if any(isinstance(part, dict) for part in parts) else value


def _parts(text: str, fields: Sequence[str]) -> Iterator[str | dict[str, str]]:
    """Takes a text apart at its marks; all fields one under the other are the item's whole text, the field ""."""
    marks = {"\n".join(_MARK.format(field) for field in fields): ""} | {_MARK.format(field): field for field in fields}
    while text:
        places = sorted((text.index(mark), -len(mark), mark) for mark in marks if mark in text)
        if not places:
            yield text
            return
        start, _, mark = places[0]
        if start:
            yield text[:start]
        yield {"field": marks[mark]}
        text = text[start + len(mark) :]


def _agreement(run: Reopened, name: str, told: dict[str, Any]) -> tuple[int, int]:
    """Counts the run's answers that the script's parser reads as the run did, and all of them."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        rows = pq.read_table(run.folder.predictions, columns=["arm", "predicted", "status", "response"]).to_pylist()
    except (OSError, pa.ArrowException):
        return 0, 0
    read = [
        predict_script.parsed(told, row["response"] or "") == (row["predicted"] or "")
        for row in rows
        if row["arm"] == name and row["status"] != "failed"
    ]
    return sum(read), len(read)


def _card(run: Reopened, told: Mapping[str, Any], *, adapter: bool) -> str:
    """Returns the metadata of a Hugging Face model card, as YAML: what it is, and how it did (`model-index`).

    The folder can be put into a repository of the hub as it is.
    """
    from huggingface_hub import EvalResult, ModelCardData

    scored: Mapping[str, Any] = next((one for one in run.results.get("arms") or () if one["name"] == told["arm"]), {})
    dataset = str(((run.results.get("run") or {}).get("dataset") or {}).get("name") or run.id)
    figures = [
        EvalResult(
            task_type="text-classification",
            dataset_type=dataset,
            dataset_name=dataset,
            dataset_split="test",
            metric_type=metric,
            metric_name=title,
            metric_value=scored[metric],
        )
        for metric, title in (("accuracy", "Accuracy"), ("macro_f1", "Macro-F1"))
        if scored.get(metric) is not None
    ]
    data = ModelCardData(
        model_name=str(told["arm"]),
        base_model=str(told["base"]),
        library_name="peft" if adapter else None,
        pipeline_tag="text-classification",
        tags=["finetune-harness"],
        eval_results=figures or None,
    )
    return f"{data.to_yaml()}\n"


def _readme(told: Mapping[str, Any], *, adapter: bool, agreement: tuple[int, int]) -> str:
    lines = [f"# {told['arm']}", "", f"Of the run {told['run']}, by finetune-harness {told['harness']}.", ""]
    lines += [str(told["verdict"]), ""] if told["verdict"] else []
    if adapter:
        lines += [
            f"`adapter/` is a LoRA adapter for {told['base']}. `harness serve --adapter .` in this folder serves it as",
            f"`{told['model']}`; peft, and vLLM with `--lora-modules`, load it too.",
        ]
    else:
        lines.append(f"The model is `{told['model']}` at {told['base_url']}.")
    shape = ", ".join(f'{json.dumps(name, ensure_ascii=False)}: "…"' for name in told["fields"])
    given = f"a JSON object a line, `{{{shape}}}`" if len(told["fields"]) > 1 else "a text a line"
    key = f" (its key in `{told['api_key_env']}`)" if told["api_key_env"] else ""
    lines += [
        "",
        f"`pip install openai`, then `python predict.py <texts.txt >labels.txt`{key}: {given}, a label a line.",
        "`arm.json` holds prompt, shots, labels and parser.",
        f"Of the run's {agreement[1]} answers its parser reads {agreement[0]} as the run did.",
    ]
    return "\n".join(lines) + "\n"
