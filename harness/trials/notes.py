"""What choices have decided, as the journals keep it.

The same command decides it once, and so does another run of the experiment that takes over what was tried.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Literal, TypeAlias

from harness.execution.questions import mark
from harness.execution.work import digest
from harness.experiment import Arm
from harness.experiment.file import ChooseBudget
from harness.journal.siblings import sibling_notes
from harness.running.arm_training import ArmTraining

Kind: TypeAlias = Literal["", " refused"]
"""What a limited choice has begun and how far it is; candidates without which a choice was made."""


def noted(work: ArmTraining, arm: Arm, kind: Kind = "") -> dict[str, Any]:
    """Returns what this run has noted of an arm's choice, or another one that chose among the same; else nothing.

    To an estimate this run is another one, whose folder has the same name: its notes need not say among what.
    """
    key = _key(arm, kind)
    own = work.asking.journal.note(key)
    if own is not None:
        return dict(json.loads(own))
    for sibling in work.asking.siblings:
        for name, text in sibling_notes(sibling.journal, key):
            note: dict[str, Any] = json.loads(text)
            same = sibling.path.name == work.asking.folder.path.name
            if name == key and (same or note.get("of") == _of(work, arm)):
                return note
    return {}


def take(work: ArmTraining, arm: Arm, told: Mapping[str, Any], kind: Kind = "") -> None:
    """Notes what was decided."""
    work.asking.journal.take_note(_key(arm, kind), json.dumps({**told, "of": _of(work, arm)}))


def is_closed(note: Mapping[str, Any], budget: ChooseBudget) -> bool:
    """Whether nothing is left to decide, under this budget."""
    return bool(note.get("closed")) and note.get("budget") == limits(budget)


def limits(budget: ChooseBudget) -> list[float | None]:
    """Returns what a decision depends on beside the candidates."""
    return [budget.usd, budget.seconds]


def mark_of(settings: Mapping[str, Any]) -> str:
    """Returns what a candidate is noted as."""
    return digest(dict(settings))[:16]


def _key(arm: Arm, kind: Kind) -> str:
    return f"choice {arm.name} {mark(arm)[:16]}{kind}"


def _of(work: ArmTraining, arm: Arm) -> str:
    """Returns what the choice looks at: who answers, and the examples."""
    learning = work.learning
    examples = [[[one.id, one.label] for one in split] for split in (learning.train, learning.validation)]
    return digest([work.asking.asker.identities.get(str(arm.endpoint)), learning.seed, examples])
