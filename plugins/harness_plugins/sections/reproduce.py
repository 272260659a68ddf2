"""How to get the same numbers again."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

import harness
from harness import numbers
from harness.report.arms import ranked
from harness.report.blocks import Block, Cell, Code, Column, Results, Table
from harness.report.facts import tags


@dataclass(frozen=True, kw_only=True)
class Reproduce:
    """The command, what it ran on, and the models behind the arms."""

    name: ClassVar[str] = "reproduce"
    title: ClassVar[str] = "Reproduce"
    order: ClassVar[int] = 1000

    def blocks(self, results: Results) -> Iterable[Block]:
        """Yields the command, the facts that fix the result, and the arms' models."""
        run = results.data.get("run") or {}
        if run.get("command"):
            yield Code(
                text=str(run["command"]),
                caption="The same command goes on where it stopped; when all is there it sends nothing.",
            )
        dataset = run.get("dataset") or {}
        versions = run.get("versions") or {}
        facts = {
            "Run": run.get("id") or run.get("name"),
            "Started": run.get("started"),
            "Finished": run.get("finished"),
            "Seed": run.get("seed"),
            "Dataset": dataset.get("name"),
            "Fingerprint": dataset.get("fingerprint"),
            "Machine": run.get("machine"),
            "Prices of": run.get("prices_date"),
            **{str(name): version for name, version in versions.items()},
        }
        rows = tuple((name, str(value)) for name, value in facts.items() if value is not None and value != "")
        yield Table(
            half=True,
            caption="What fixes the result.",
            columns=(Column(title="What"), Column(title="Value")),
            rows=rows,
        )
        arms = ranked(results.data)
        if arms:
            models = tuple(
                (
                    Cell(text=arm["name"], arm=arm["name"], tags=tags(arm)),
                    str(arm.get("family") or ""),
                    str(arm.get("model") or numbers.MISSING),
                )
                for arm in arms
            )
            heads = (
                Column(title="Arm", head=True),
                Column(title="Family"),
                Column(title="Model"),
            )
            yield Table(half=True, caption="The arms.", columns=heads, rows=models)


@harness.hookimpl
def harness_report_sections() -> list[type]:
    """Declares the last section."""
    return [Reproduce]
