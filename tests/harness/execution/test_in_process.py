"""In-process backends: groups, commits, scrubbing."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

import pytest

from harness.errors import PluginError
from harness.execution import in_process
from harness.journal import Entry, Journal
from harness.secrets import Scrubber
from harness.types import Answer, Context, Prompt

PROMPTS = {f"k{number}": Prompt(text=f"text {number}", example_id=str(number)) for number in range(600)}


@dataclass(frozen=True)
class Echo:
    name: ClassVar[str] = "echo"
    family: ClassVar[str] = "other"
    fail_at: int | None = None
    sizes: list[int] = field(default_factory=list)
    closed: list[bool] = field(default_factory=list)

    @contextmanager
    def open(self, ctx: Context) -> Iterator[Callable[[Sequence[Prompt]], list[Answer]]]:
        def ask(prompts: Sequence[Prompt]) -> list[Answer]:
            self.sizes.append(len(prompts))
            if self.fail_at == len(self.sizes):
                raise RuntimeError("out of memory")
            return [Answer(text=prompt.text, probabilities={"x": 1.0}, latency_s=0.5) for prompt in prompts]

        yield ask
        self.closed.append(True)


def run(backend: Echo, path: Path, scrub: Scrubber | None = None) -> dict[str, Answer]:
    told: list[int] = []

    def commit(entries: list[Entry]) -> None:
        journal.add(entries)
        told.append(len(entries))

    with Journal(path) as journal:
        try:
            in_process.answer(backend, Context(arm="a"), PROMPTS, scrub or Scrubber(), commit)
        finally:
            found = {key: in_process.answer_of(entry) for key, entry in journal.answers(list(PROMPTS)).items()}
            assert sum(told) == len(found)
    return found


def test_each_prompt_has_its_own_answer_in_groups(tmp_path: Path) -> None:
    backend = Echo()
    found = run(backend, tmp_path / "j")
    assert {key: answer.text for key, answer in found.items()} == {k: p.text for k, p in PROMPTS.items()}
    assert backend.sizes == [256, 256, 88]
    assert backend.closed == [True]
    assert found["k0"].probabilities == {"x": 1.0}


@dataclass(frozen=True)
class Recalled(Echo):
    imported: ClassVar[bool] = True


@pytest.mark.parametrize(("backend", "told"), [(Echo(), True), (Recalled(), False)])
def test_seconds_of_elsewhere_are_none_that_an_answer_took_here(tmp_path: Path, backend: Echo, told: bool) -> None:
    assert run(backend, tmp_path / "j")["k0"].latency_s == 0.5
    with Journal(tmp_path / "j") as journal:
        (entry,) = journal.answers(["k0"]).values()
    assert (entry.service_s == 0.5) is told


def test_what_was_answered_before_a_failure_is_kept(tmp_path: Path) -> None:
    with pytest.raises(PluginError, match=r'the plugin "echo" .* failed in open: RuntimeError: out of memory'):
        run(Echo(fail_at=3), tmp_path / "j")
    with Journal(tmp_path / "j") as journal:
        assert len(journal.answers(list(PROMPTS))) == 512


def test_a_key_in_an_answer_is_taken_out(tmp_path: Path) -> None:
    found = run(Echo(), tmp_path / "j", Scrubber(("text 1",)))
    assert found["k1"].text == "[hidden]"
    assert found["k2"].text == "text 2"
