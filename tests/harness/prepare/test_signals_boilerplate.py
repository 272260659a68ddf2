from hypothesis import given
from hypothesis import strategies as st

from harness.prepare.signals.boilerplate import LEAST_ROWS, LEAST_WORDS, boilerplate_signals, shared_ends, shared_starts
from harness.prepare.signals.corpus import read_corpus
from harness.types import Example


def look(rows):
    examples = [Example(fields={"text": text}, label=label, id=str(n)) for n, (text, label) in enumerate(rows)]
    return boilerplate_signals(read_corpus(examples, 7)).checks[0]


def plain(n=180):
    return [
        (f"text number {number} about thing {number * 7} and so on {number}", "xy"[number % 2]) for number in range(n)
    ]


def test_no_boilerplate():
    check = look(plain())
    assert (check.kind, check.level, check.advice) == ("boilerplate", "ok", "")
    assert check.figures["found"] == []
    assert "180 rows" in check.message


def test_a_signature_is_found_whole_with_its_share_and_label():
    signed = [(f"please help with {n} Sent from my green phone", "x") for n in range(20)]
    check = look(plain() + signed)
    (end,) = check.figures["found"]
    assert end["where"] == "end"
    assert end["text"] == "sent from my green phone"
    assert (end["rows"], end["share"]) == (20, 0.1)
    assert (end["label"], end["label_share"]) == ("x", 1.0)
    assert check.figures["rows_covered"] == 20
    assert check.level == "warning"
    assert 'with the label "x"' in check.message
    assert check.advice


def test_what_all_texts_have_in_common_is_no_finding_but_what_follows_is():
    rows = [("Review of the day: " + text + " end of the review", label) for text, label in plain()]
    assert look(rows).figures["found"] == []
    more = [(f"Review of the day: once upon a time {n} end of the review", "y") for n in range(20)]
    found = look(rows + more).figures["found"]
    assert [(each["where"], each["text"]) for each in found] == [("start", "once upon a time")]


def test_a_long_run_is_shortened():
    run = " ".join(f"word{n}" for n in range(40))
    found = look(plain() + [(f"{n} {run}", "x") for n in range(20)]).figures["found"]
    assert len(found[0]["text"]) == 80
    assert found[0]["text"].endswith("…")


def texts(lines):
    return [tuple(line.split()) for line in lines]


def test_rare_or_short_runs_do_not_count():
    base = [f"{n} a" for n in range(100)]
    few = [f"we would like to say {n}" for n in range(LEAST_ROWS - 1)]
    assert list(shared_starts(texts(base + few))) == []
    enough = [f"we would like to say {n}" for n in range(LEAST_ROWS)]
    assert [run.words for run in shared_starts(texts(base + enough))] == [("we", "would", "like", "to", "say")]
    assert list(shared_starts(texts([*base, *[f"we would like {n} times" for n in range(LEAST_ROWS)]]))) == []


def test_a_run_goes_on_while_most_of_its_texts_do():
    base = [f"{n} a" for n in range(20)]
    lines = [f"a b c d e {n}" for n in range(17)] + [f"a b c d f {n}" for n in range(3)]
    (run,) = shared_starts(texts(base + lines))
    assert run.words == tuple("abcde")
    assert len(run.places) == 17
    lines = [f"a b c d e {n}" for n in range(15)] + [f"a b c d f {n}" for n in range(5)]
    (run,) = shared_starts(texts(base + lines))
    assert run.words == tuple("abcd")
    assert len(run.places) == 20


drawn = st.lists(st.lists(st.sampled_from("ab"), max_size=9).map(tuple), max_size=60)


@given(drawn)
def test_every_run_stands_where_it_is_said_to(lines):
    for run in shared_ends(lines):
        assert run.where == "end"
        assert len(run.words) >= LEAST_WORDS
        assert len(run.places) >= LEAST_ROWS
        for place in run.places:
            text = lines[place]
            assert any(text[at : at + len(run.words)] == run.words for at in range(len(text)))
    starts = {(run.words, run.places) for run in shared_starts(lines)}
    ends = {(run.words[::-1], run.places) for run in shared_ends([text[::-1] for text in lines])}
    assert starts == ends
