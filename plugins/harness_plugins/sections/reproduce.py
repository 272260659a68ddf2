"""How to get the same numbers again."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

import harness
from harness import numbers, terms
from harness.blocks import Block, Code, Column, Results, Table
from harness.report import cells
from harness.report.arms import ranked
from harness.words import noted, say


@dataclass(frozen=True, kw_only=True)
class Reproduce:
    """The command, what it ran on, and the models behind the arms."""

    name: ClassVar[str] = "reproduce"
    title: ClassVar[str] = noted("Reproduce")
    order: ClassVar[int] = 1000

    def blocks(self, results: Results) -> Iterable[Block]:
        """Yields the command, the facts that fix the result, and the arms' models."""
        run = results.data.get("run") or {}
        if run.get("command"):
            yield Code(
                text=str(run["command"]),
                caption=say("The same command goes on where it stopped; when all is there it sends nothing."),
            )
        dataset = run.get("dataset") or {}
        versions = run.get("versions") or {}
        facts = {
            say("Run"): run.get("id") or run.get("name"),
            say("Started"): run.get("started"),
            say("Finished"): run.get("finished"),
            say("Seed"): run.get("seed"),
            say("Dataset"): dataset.get("name"),
            say("Fingerprint"): dataset.get("fingerprint"),
            say("Machine"): run.get("machine"),
            say("Prices of"): run.get("prices_date"),
            **{str(name): version for name, version in versions.items()},
        }
        rows = tuple((name, str(value)) for name, value in facts.items() if value is not None and value != "")
        yield Table(
            half=True,
            caption=say("What fixes the result."),
            columns=(Column(title=say("What")), Column(title=say("Value"))),
            rows=rows,
        )
        arms = ranked(results.data)
        if arms:
            models = tuple(
                (
                    cells.arm(arm),
                    terms.family(str(arm.get("family") or "")),
                    str(arm.get("model") or numbers.MISSING),
                )
                for arm in arms
            )
            heads = (
                Column(title=say("Arm"), head=True),
                Column(title=say("Family")),
                Column(title=say("Model")),
            )
            yield Table(half=True, caption=say("The arms."), columns=heads, rows=models)


@harness.hookimpl
def harness_report_sections() -> list[type]:
    """Declares the last section."""
    return [Reproduce]
