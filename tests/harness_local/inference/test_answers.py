"""How one answer grows: stop texts, ends, and what a listener hears."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from harness_local.inference.answer import Answer
from harness_local.inference.work import Progress, Sampling, Token
from harness_local.models.tokens import TextStream

END = 0


def grow(pieces: list[str], stops: tuple[str, ...], most: int) -> tuple[Answer, list[Progress], int]:
    """An answer whose tokens are these pieces, then the end token."""
    heard: list[Progress] = []
    vocabulary = ["", *pieces]
    stream = TextStream(lambda ids: "".join(vocabulary[i] for i in ids), frozenset(), frozenset())
    answer = Answer(3, Sampling(max_tokens=most, stop=stops), frozenset({END}), stream, heard.append)
    taken = 0
    for token in [*range(1, len(vocabulary)), END]:
        if not answer.done:
            answer.add(Token(token, -1.0))
            taken += 1
    return answer, heard, taken


PIECES = st.lists(st.text("ab", min_size=1, max_size=3), min_size=1, max_size=12)


@given(PIECES, st.lists(st.text("ab", min_size=1, max_size=5), max_size=3).map(tuple), st.integers(1, 12))
def test_an_answer_is_what_its_progress_says(pieces: list[str], stops: tuple[str, ...], most: int) -> None:
    answer, heard, taken = grow(pieces, stops, most)
    ended = taken > len(pieces)
    # The earliest token at which a stop text is complete ends it, and of several stop texts then the first.
    expected, finish = "".join(pieces[:most]), "stop" if ended and len(pieces) < most else "length"
    for count in range(1, min(len(pieces), most) + 1):
        text = "".join(pieces[:count])
        if places := [at for stop in stops if (at := text.find(stop)) >= 0]:
            expected, finish = text[: min(places)], "stop"
            break
    assert answer.done
    assert (answer.result.text, answer.result.finish) == (expected, finish)
    assert "".join(step.text for step in heard) == expected
    assert [t.id for step in heard for t in step.tokens] == [t.id for t in answer.result.generated]
    assert [step.finish for step in heard] == [None] * (len(heard) - 1) + [finish]
    assert {step.branch for step in heard} == {3}


def test_what_could_begin_a_stop_text_is_held_back() -> None:
    _, heard, _ = grow(["x", "en", "d", "en", "x"], ("end of",), 9)
    assert [step.text for step in heard] == ["x", "end", "enx", ""]


def test_an_answer_of_exactly_the_allowed_length_is_cut_short() -> None:
    answer, _, _ = grow(["a", "b"], (), 2)
    assert (answer.result.text, answer.result.finish) == ("ab", "length")


def test_an_answer_that_is_complete_with_its_last_token_is_not() -> None:
    stream = TextStream(lambda ids: "x" * len(ids), frozenset(), frozenset())
    answer = Answer(0, Sampling(max_tokens=1), frozenset(), stream, None)
    answer.add(Token(5, -1.0), complete=True)
    assert (answer.result.text, answer.result.finish) == ("x", "stop")
