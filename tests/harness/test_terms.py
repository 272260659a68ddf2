"""Words for codes: known ones are said in the page's language, others stand for themselves."""

from __future__ import annotations

import pytest

from harness import numbers, terms
from harness.words import speaking


def test_known_codes_are_said_in_the_language_of_the_page() -> None:
    assert (terms.family("few-shot"), terms.split("test"), terms.cost_name("upkeep")) == ("few-shot", "test", "upkeep")
    assert (terms.partly("simulated"), terms.partly("imported")) == ("partly simulated", "partly imported")
    with speaking("ko"):
        for said in (terms.family("few-shot"), terms.remark("simulated"), terms.partly("simulated"),
                     terms.split("test"), terms.cost_name("upkeep")):  # fmt: skip
            assert not said.isascii()


@pytest.mark.parametrize("say", [terms.family, terms.remark, terms.partly, terms.split, terms.cost_name, terms.method])
def test_a_code_of_another_version_stands_for_itself(say: object) -> None:
    assert callable(say)
    with speaking("ko"):
        assert say("of another version") == "of another version"


@pytest.mark.parametrize("of", ["groups", "test items"])
def test_methods_keep_their_numbers(of: str) -> None:
    name = f"{'clustered ' if of == 'groups' else ''}bootstrap, 10,000 resamples of {of}"
    assert terms.method(name) == name
    with speaking("ko"):
        assert "10,000" in terms.method(name)
        assert terms.method(name) != name
    assert terms.method("Tango score interval") == "Tango score interval"


def line(name: str, amount: float | None, *, counted: bool = True) -> dict[str, object]:
    return {"name": name, "usd": amount, "machine_s": None, "counted": counted}


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ([], "$86.00 of training"),
        ([line("training", 86.0)], "$86.00 of training"),
        ([line("training", 80.0), line("search", 6.0)], "$86.00 of training and search"),
        ([line("training", 80.0), line("search", 6.0), line("setup", 9.0, counted=False)],
         "$86.00 of training and search"),
        ([line("training", 80.0), line("search", 5.0), line("setup", 1.0)], "$86.00 of investment"),
        ([line("training", 0.0), line("setup", 86.0)], "$86.00 of setup"),
    ],
)  # fmt: skip
def test_what_was_invested(lines: list[dict[str, object]], said: str) -> None:
    assert numbers.invested({"unit": "usd", "fixed": 86.0, "investment": lines}) == said
    assert numbers.invested({"unit": "machine_s", "fixed": 86.0, "investment": lines}) == "86 s of training"
