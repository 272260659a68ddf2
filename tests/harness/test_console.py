"""What is said while a command works: plain lines where there is no terminal, bars where there is one."""

from __future__ import annotations

import threading

import pytest

from harness import console as module
from harness.console import Console


class Clock:
    """Time that passes when the test says so."""

    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(module, "time", made)
    return made


def said(capsys: pytest.CaptureFixture[str]) -> list[str]:
    """The lines since the last look, without their times."""
    return [line.split("] ", 1)[1] for line in capsys.readouterr().err.splitlines()]


def work(console: Console, clock: Clock, arm: str, seconds: int, per_s: int, **more: float) -> None:
    """Lets an arm finish so many items in each of so many seconds, while the console draws."""
    for _ in range(seconds):
        for _ in range(per_s):
            console.advance(arm, {"done": 1, **more})
        clock.now += 1
        console.draw()


def test_an_arm_is_told_every_five_seconds_and_at_its_end(capsys: pytest.CaptureFixture[str], clock: Clock) -> None:
    console = Console(terminal=False)
    console.expect("zero", 250)
    work(console, clock, "zero", 4, 10, input_tokens=90, output_tokens=10, usd=0.01)
    assert said(capsys) == []
    work(console, clock, "zero", 6, 10, input_tokens=90, output_tokens=10, usd=0.01)
    assert said(capsys) == [
        "zero: 50 of 250, 10/s, 20 s left, $0.50, 5,000 tokens",
        "zero: 100 of 250, 10/s, 15 s left, $1.00, 10,000 tokens",
    ]
    console.advance("zero", {"failed": 2})
    work(console, clock, "zero", 10, 14)
    clock.now += 9
    console.advance("zero", {"failed": 8})
    assert said(capsys) == [
        "zero: 172 of 250, 2 failed, 12/s, 6.4 s left, $1.00, 10,000 tokens",
        "zero: 242 of 250, 2 failed, 14/s, 0.56 s left, $1.00, 10,000 tokens",
        "zero: 250 of 250, 10 failed, 8.6/s on average, $1.00, 10,000 tokens",
    ]
    console.close("zero")
    console.advance("zero", {"done": 1})
    console.draw()
    assert said(capsys) == []


def test_the_rate_is_that_of_the_last_ten_seconds(capsys: pytest.CaptureFixture[str], clock: Clock) -> None:
    console = Console(terminal=False)
    console.expect("a", 100_000)
    work(console, clock, "a", 100, 50)
    said(capsys)
    work(console, clock, "a", 10, 5)
    assert said(capsys)[-1].startswith("a: 5,050 of 100,000, 5.0/s, 5 h 16 min left")


def test_time_left_follows_from_no_few_answers(capsys: pytest.CaptureFixture[str], clock: Clock) -> None:
    """Arms of one endpoint take turns: the first answer of one, or the last before its turn ends, promises nothing."""
    console = Console(terminal=False)
    console.expect("a", 600)
    work(console, clock, "a", 1, 1)
    work(console, clock, "a", 4, 0)
    assert said(capsys) == ["a: 1 of 600, 0.20/s"]
    work(console, clock, "a", 5, 59)
    assert said(capsys) == ["a: 296 of 600, 30/s, 10 s left"]
    work(console, clock, "a", 10, 0)
    work(console, clock, "a", 1, 4)
    assert said(capsys) == ["a: 300 of 600, 0.40/s, 21 s left"]


def test_an_arm_s_rate_begins_with_its_turn(capsys: pytest.CaptureFixture[str], clock: Clock) -> None:
    console = Console(terminal=False)
    console.expect("a", 24_000)
    work(console, clock, "a", 9, 0)
    assert said(capsys) == []
    work(console, clock, "a", 1, 300)
    assert said(capsys) == ["a: 300 of 24,000, 300/s, 79 s left"]


def test_nothing_happening_is_told_more_rarely_and_shows_in_the_rate(
    capsys: pytest.CaptureFixture[str], clock: Clock
) -> None:
    console = Console(terminal=False)
    console.expect("a", 100)
    work(console, clock, "a", 5, 10)
    assert said(capsys) == ["a: 50 of 100, 10/s, 5.0 s left"]
    work(console, clock, "a", 59, 0)
    told = said(capsys)
    assert told == ["a: 50 of 100, 0/s"]


def test_an_interrupted_arm_is_summed_up(capsys: pytest.CaptureFixture[str]) -> None:
    def interrupted() -> None:
        with Console(terminal=False) as console:
            console.expect("begun", 10)
            console.expect("not begun", 10)
            console.advance("begun", {"done": 4})
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    (line,) = said(capsys)
    assert line.startswith("begun: 4 of 10, ")
    assert line.endswith("/s on average")


def test_quick_work_says_nothing_and_slow_work_says_how_far_it_is(
    capsys: pytest.CaptureFixture[str], clock: Clock
) -> None:
    console = Console(terminal=False)
    for done in range(0, 11, 5):
        console.track("comparing", done, 10)
        console.draw()
    assert said(capsys) == []
    for done in range(0, 31, 10):
        console.track("comparing", done, 30)
        clock.now += 6
        console.draw()
    assert said(capsys) == [
        "comparing: 10 of 30, 0.83/s, 24 s left",
        "comparing: 20 of 30, 1.7/s, 6.0 s left",
        "comparing: 30 of 30, 1.7/s on average",
    ]


def test_of_one_step_no_rate_is_told(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    console = Console(terminal=False)
    console.track("looking", 0, 1)
    clock.now += 20
    console.track("looking", 1, 1)
    console.draw()
    assert said(capsys) == ["looking: 1 of 1"]


def test_work_without_a_known_end_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    with Console(terminal=False) as console, console.busy("reading"):
        pass
    assert capsys.readouterr().err.endswith("] reading\n")


def test_work_that_may_be_short_is_named_where_it_takes_long(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    console = Console(terminal=False)
    with console.busy("fitting a", said=False):
        for _ in range(45):
            clock.now += 1
            console.draw()
    with console.busy("fitting b", said=False):
        clock.now += 4
        console.draw()
    assert said(capsys) == ["fitting a: 5.0 s so far", "fitting a: 35 s so far"]


def test_work_that_was_named_is_not_named_again(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    console = Console(terminal=False)
    with console.busy("reading"):
        clock.now += 60
        console.draw()
    assert said(capsys) == ["reading"]


def test_quiet_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    threads = threading.active_count()
    with Console(terminal=True, quiet=True) as console, console.busy("reading"):
        assert threading.active_count() == threads
        console.expect("a", 1)
        console.advance("a", {"done": 1})
        console.draw()
    assert capsys.readouterr().err == ""


def test_a_terminal_gets_bars_that_go_when_the_work_is_done(capsys: pytest.CaptureFixture[str]) -> None:
    with Console(terminal=True) as console:
        assert console._progress is not None
        with console.busy("reading"):
            assert [task.description for task in console._progress.tasks] == ["reading"]
        console.track("comparing", 1, 2)
        console.draw()
        assert [(task.description, task.completed) for task in console._progress.tasks] == [("comparing", 1)]
        console.track("comparing", 2, 2)
        assert console._progress.tasks == []


def test_answers_are_counted_and_bars_are_drawn_by_somebody_else(monkeypatch: pytest.MonkeyPatch) -> None:
    """Thousands of answers a second must not mean thousands of pictures."""
    with Console(terminal=True) as console:
        progress = console._progress
        assert progress is not None
        drawn: list[int] = []
        monkeypatch.setattr(progress, "refresh", lambda: drawn.append(1))
        monkeypatch.setattr(progress, "update", lambda *_, **figures: drawn.append(figures["completed"]))
        console._over.set()
        assert console._drawer is not None
        console._drawer.join()
        drawn.clear()
        console.expect("[red]a", 50_000)  # a name is no markup
        drawn.clear()
        for _ in range(20_000):
            console.advance("[red]a", {"done": 1, "usd": None})
        assert drawn == []
        console.draw()
        assert drawn == [20_000, 1]
        assert "[red]a" in str(progress.columns[0].render(progress.tasks[0]))
