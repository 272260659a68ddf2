import hashlib
import json
import string
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.prepare.normalise import content_key, fold, keyed_hash
from harness.types import Example, Split


@pytest.mark.parametrize(
    ("text", "folded"),
    [
        ("  Great,\tGREAT!\r\n", "great great"),
        ("don't", "don t"),
        ("Stra\u00dfe", "strasse"),
        ("\ufb01ne \uff21\uff22\uff23", "fine abc"),
        ("zero\u200bwidth so\u00adft \ufeffbom", "zerowidth soft bom"),
        ("e\u200d\u0301t\u00e9", "\u00e9t\u00e9"),
        ("«quoted» – yes…", "quoted yes"),
        ("$5 > €4 👍", "$5 > €4 👍"),
        ("a\x00b\x07c", "abc"),
        ("!!! ... ???", ""),
        ("\u3000\u00a0", ""),
    ],
)
def test_folds(text, folded):
    assert fold(text) == folded


@given(st.text())
def test_folding_twice_changes_nothing(text):
    assert fold(fold(text)) == fold(text)


@given(st.text(alphabet=string.printable + "\x00\x1c\x85"))
def test_the_quick_way_for_ascii_is_the_general_way(text):
    # A letter outside ASCII takes the general way; it stands apart and is cut off again.
    assert fold(text) == fold(f"{text} \u00e9").removesuffix("\u00e9").rstrip()


@given(st.text(), st.sampled_from(list(string.punctuation)))
def test_case_and_punctuation_do_not_matter(text, mark):
    if unicodedata.category(mark)[0] == "P":
        assert fold(f"{text} {mark} ") == fold(text)
    assert fold(text.upper().lower()) == fold(text.upper())


@given(st.text(), st.text())
def test_a_surrogate_or_any_text_has_a_key(text, label):
    key = content_key(Example(fields={"text": text + "\ud800"}, label=label))
    assert len(key) == 32


def test_every_part_of_an_example_is_in_its_key():
    base = {"fields": {"text": "a"}, "label": "x", "id": "1"}
    variants = [
        {},
        {"label": "y"},
        {"id": "2"},
        {"fields": {"text": "b"}},
        {"fields": {"title": "a"}},
        {"group": "g"},
        {"split": "test"},
        {"slices": {"s": "1"}},
        {"time": "2026-01-01"},
    ]
    assert len({content_key(Example(**(base | variant))) for variant in variants}) == len(variants)


def test_keyed_hash_is_pinned():
    assert keyed_hash(7, "split", "row 1") == hashlib.blake2b(b'[7, "split", "row 1"]', digest_size=16).digest()


@given(
    st.dictionaries(st.text(), st.text(), max_size=3),
    st.text(),
    st.sampled_from([None, *Split]),
    st.dictionaries(st.text(), st.text(), max_size=2),
)
def test_a_key_is_the_digest_of_a_list_in_json(fields, label, split, slices):
    row = Example(fields=fields, label=label, split=split, slices=slices, group=label or None)
    said = [row.id, list(fields.items()), label, row.group, split, sorted(slices.items()), None]
    assert content_key(row) == hashlib.sha256(json.dumps(said).encode("ascii")).digest()


@given(st.integers(), st.lists(st.text(), max_size=3))
def test_a_keyed_hash_is_that_of_a_list_in_json(seed, parts):
    raw = json.dumps([seed, *parts]).encode("ascii")
    assert keyed_hash(seed, *parts) == hashlib.blake2b(raw, digest_size=16).digest()
