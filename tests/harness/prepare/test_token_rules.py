import json
import re
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from support.cli import ROOT

from harness.prepare.token_rules import (
    SHOWN,
    TrainingCounts,
    default_epochs,
    epoch_tokens,
    label_findings,
    special_token_findings,
    token_findings,
)
from harness.tokens import GENERAL_SPECIAL, TrainingLimit, vocabulary_of

CL100K = vocabulary_of("gpt-3.5-turbo")
O200K = vocabulary_of("gpt-4.1-mini")
UNKNOWN = vocabulary_of("some-model")
LOCAL = vocabulary_of("SmolLM2-135M-Instruct", endpoint_local=True)
LIMIT = TrainingLimit(tokens=100, source="a test")


def counted(tokens, **more):
    ids = [f"id-{place:03d}" for place in range(len(tokens))]
    array = np.asarray(tokens, dtype=np.int64)
    return TrainingCounts(model="gpt-4.1-mini", vocabulary=O200K, ids=ids, tokens=array, limit=LIMIT, **more)


def found(checks, kind):
    (check,) = [check for check in checks if check.kind == kind]
    json.dumps(dict(check.figures), allow_nan=False)  # results.json takes it
    assert "\n" not in check.message
    return check


lengths = st.lists(st.integers(0, 300), min_size=1, max_size=60)


def test_lengths_are_those_of_examples():
    check = found(token_findings(counted(range(1, 101))), "token-lengths")
    assert (check.level, check.heading) == ("ok", "quantity")
    figures = check.figures
    assert [figures[name] for name in ("min", "p5", "p50", "p95", "p99", "max")] == [1, 5, 50, 95, 99, 100]
    assert figures["mean"] == 50.5
    assert figures["exact"] is True
    assert "half have at most 50, 95% at most 95" in check.message
    assert "estimated" not in check.message


@given(lengths)
def test_a_quantile_is_what_it_says(tokens):
    figures = found(token_findings(counted(tokens)), "token-lengths").figures
    for name, share in (("p5", 0.05), ("p50", 0.5), ("p95", 0.95), ("p99", 0.99)):
        assert figures[name] in tokens
        assert np.mean(np.asarray(tokens) <= figures[name]) >= share - 1e-12
        assert np.mean(np.asarray(tokens) < figures[name]) < share + 1e-12


def test_estimates_are_called_so():
    for counts, reason in (
        (counted([5, 6], chat=True), "what a chat message adds"),
        (replace(counted([5, 6]), vocabulary=UNKNOWN), "the vocabulary of gpt-4.1-mini is not known"),
    ):
        for check in token_findings(counts):
            assert check.figures["exact"] is False
            assert reason in check.message


def test_over_long_examples_are_named_longest_first():
    check = found(token_findings(counted([100, 150, 300, 50, 101])), "over-long-texts")
    assert (check.level, check.heading) == ("warning", "quality")
    assert check.figures["longest"] == [["id-002", 300], ["id-001", 150], ["id-004", 101]]
    assert check.figures["tokens_lost"] == 50 + 200 + 1
    assert check.figures["share_of_tokens_lost"] == pytest.approx(251 / 701)
    assert check.figures["share"] == pytest.approx(3 / 5)
    assert check.figures["source"] == "a test"
    assert "3 of 5" in check.message
    assert "id-002 with 300" in check.message
    assert "35.8% of all tokens are cut from the end, where the label stands" in check.message
    assert check.advice


def test_the_local_endpoint_cuts_the_start():
    local = replace(counted([500]), limit=TrainingLimit(tokens=100, source="a test", cut="start"))
    assert "cut from the start" in found(token_findings(local), "over-long-texts").message


def test_texts_within_a_limit_or_without_one_are_no_finding():
    kinds = {"token-lengths", "training-tokens"}
    assert {check.kind for check in token_findings(counted([99, 100]))} == kinds
    assert {check.kind for check in token_findings(replace(counted([10**9]), limit=None))} == kinds
    assert token_findings(counted([])) == ()


def test_no_more_examples_are_listed_than_one_reads():
    figures = found(token_findings(counted([200] * 50)), "over-long-texts").figures
    assert figures["examples"] == 50
    assert figures["longest"] == [[f"id-{place:03d}", 200] for place in range(SHOWN)]


@given(lengths, st.randoms())
def test_what_is_billed_is_what_is_not_lost(tokens, random):
    counts = counted(tokens, epochs=2)
    checks = token_findings(counts)
    lost = sum(check.figures["tokens_lost"] for check in checks if check.kind == "over-long-texts")
    billed = found(checks, "training-tokens").figures["billed_tokens"]
    assert billed == [sum(tokens) - lost, 2 * (sum(tokens) - lost)]
    assert billed[0] == sum(min(100, each) for each in tokens) == epoch_tokens(counts.tokens, LIMIT)
    order = list(range(len(tokens)))
    random.shuffle(order)
    shuffled = replace(counts, ids=[counts.ids[place] for place in order], tokens=counts.tokens[order])
    assert token_findings(shuffled) == checks


@pytest.mark.parametrize(
    ("n", "epochs"),
    [(0, 25), (1, 25), (4, 25), (5, 20), (10, 10), (33, 3), (34, 3), (500, 3), (8_333, 3), (8_334, 2), (12_501, 1)],
)
def test_the_published_number_of_epochs(n, epochs):
    assert default_epochs(n) == epochs


@given(st.integers(1, 10**7))
def test_epochs_keep_the_examples_seen_in_their_range(n):
    epochs = default_epochs(n)
    assert 1 <= epochs <= 25
    assert epochs == 1 or n * epochs <= 25_000
    assert epochs == 25 or n >= 34 or 100 - n < n * epochs <= 100


def test_the_cost_of_each_number_of_epochs():
    check = found(token_findings(counted([100] * 40, usd_per_million=5.0)), "training-tokens")
    assert (check.level, check.heading) == ("ok", "quantity")
    assert check.figures["billed_tokens"] == [4_000, 8_000, 12_000]
    assert check.figures["usd"] == pytest.approx([0.02, 0.04, 0.06])
    assert check.figures["epochs_given"] is False
    assert "3 epochs (the usual number for 40 examples) 12,000 tokens, $0.06" in check.message


def test_a_cost_that_is_not_known_is_null():
    check = found(token_findings(counted([100] * 40, epochs=1)), "training-tokens")
    assert check.figures["usd"] is None
    assert check.figures["usd_per_million"] is None
    assert check.figures["epochs_given"] is True
    assert "1 epoch 4,000 tokens, no cost, for no training price is known" in check.message


def test_special_tokens_of_a_model_in_use_are_an_error():
    texts = ["fine", "ends <|endoftext|> here, <|endoftext|>", "a <|fim_suffix|><|endoftext|>", "a < b [see]"]
    (check,) = special_token_findings(["a", "b", "c", "d"], texts, [O200K, LOCAL])
    assert (check.kind, check.level, check.heading) == ("special-token-strings", "error", "quality")
    assert check.figures == {"texts": 2, "tokens": {"<|endoftext|>": 2, "<|fim_suffix|>": 1}, "ids": ["b", "c"]}
    assert "2 texts hold" in check.message
    assert check.advice


@pytest.mark.parametrize("token", GENERAL_SPECIAL)
def test_special_tokens_of_other_models_are_a_warning(token):
    for used in ((), (UNKNOWN,), (LOCAL,), (vocabulary_of("Qwen/Qwen3-8B"),)):
        (check,) = special_token_findings(["a", "b"], ["fine", f"so{token}so"], used)
        assert (check.level, check.figures) == ("warning", {"texts": 1, "tokens": {token: 1}, "ids": ["b"]})
        assert "1 text holds" in check.message


def test_both_levels_are_told_apart():
    checks = special_token_findings(["a"], ["<|im_end|> and <|eot_id|>"], [CL100K])
    assert [(check.level, list(check.figures["tokens"])) for check in checks] == [
        ("error", ["<|im_end|>"]),
        ("warning", ["<|eot_id|>"]),
    ]


def test_special_tokens_that_a_tokenizer_file_names_are_looked_for():
    own = replace(O200K, special=("@", "@@", "PAD"))
    (check,) = special_token_findings(["a", "b", "c"], ["a@b", "PAD @@", "PA D"], [own])
    assert check.figures["tokens"] == {"@": 1, "@@": 1, "PAD": 1}
    longer = replace(O200K, special=("<|a|>", "<|a|>b", "<|a"))
    (check,) = special_token_findings(["a"], ["<|a|>b <|a|>c <|ac"], [longer])
    assert check.figures["tokens"] == {"<|a": 1, "<|a|>": 1, "<|a|>b": 1}


@pytest.mark.parametrize("text", ["", "a <br/> b", "<|", "<|im_end|", "< s>", "[INST", "x<y>z", "<|IM_END|>"])
def test_what_looks_a_little_like_a_special_token_is_none(text):
    assert special_token_findings(["a"], [text], [CL100K, O200K]) == ()


pieces = st.lists(st.sampled_from(["<|endoftext|>", "<s>", "[INST]", "<", "|", "word", "</s>"]), max_size=5)


@given(st.lists(pieces.map(" ".join), max_size=8), st.randoms())
@example(["<s>"] * 30, None)
def test_every_text_with_a_special_token_is_found(texts, random):
    ids = [f"{place:02d}" for place in range(len(texts))]
    checks = {check.level: check for check in special_token_findings(ids, texts, [O200K])}
    with_error = [each for each, text in zip(ids, texts, strict=True) if "<|endoftext|>" in text]
    with_warning = [
        each for each, text in zip(ids, texts, strict=True) if any(t in text for t in ("<s>", "</s>", "[INST]"))
    ]
    for level, expected in (("error", with_error), ("warning", with_warning)):
        figures = checks[level].figures if level in checks else {"texts": 0, "ids": []}
        assert (figures["texts"], figures["ids"]) == (len(expected), expected[:SHOWN])
    if random is not None:
        pairs = list(zip(ids, texts, strict=True))
        random.shuffle(pairs)
        shuffled = special_token_findings([a for a, _ in pairs], [b for _, b in pairs], [O200K])
        assert {check.level: check for check in shuffled} == checks


def continuations(*labels):
    return {label: f" {label}" for label in labels}


def test_labels_with_one_first_token_are_named():
    used = [O200K, CL100K, UNKNOWN]
    check = found(label_findings(continuations("newness", "new york", "old"), used), "label-first-token-collisions")
    assert (check.level, check.heading) == ("warning", "quality")
    groups = [["newness", "new york"]]
    assert check.figures == {
        "groups": {"cl100k_base": groups, "o200k_base": groups},
        "exact": {"cl100k_base": True, "o200k_base": True},
        "labels": 3,
    }
    assert '2 of 3 labels begin with the same token as another one in cl100k_base, e.g. "newness", "new york"' in (
        check.message
    )
    assert check.advice


def test_collisions_are_for_the_record_where_labels_are_generated():
    (check, _) = label_findings(continuations("newness", "new york"), [O200K], choose=False)
    assert (check.level, check.advice) == ("ok", "")


def test_labels_of_several_tokens_are_counted():
    check = found(label_findings(continuations("newness", "good"), [UNKNOWN]), "labels-of-several-tokens")
    assert (check.level, check.heading) == ("ok", "quality")
    assert check.figures["tokens"] == {"o200k_base": {"newness": 2, "good": 1}}
    assert '1 of 2 labels has more than one token in o200k_base (an estimate), at most 2 ("newness")' in check.message


def test_labels_that_differ_at_once_are_no_finding():
    assert label_findings(continuations("positive", "negative"), [O200K, CL100K]) == ()
    assert label_findings({"none": "", "nothing": ""}, [O200K]) == ()
    assert label_findings(continuations("newness", "new york"), []) == ()


@given(st.lists(st.text(min_size=1, max_size=6), unique=True, max_size=8))
def test_labels_of_a_group_share_their_first_token_and_others_do_not(labels):
    checks = {check.kind: check for check in label_findings(continuations(*labels), [O200K])}
    figures = checks["label-first-token-collisions"].figures if "label-first-token-collisions" in checks else {}
    groups = figures.get("groups", {}).get("o200k_base", [])
    assert all(len({O200K.encode(f" {label}")[0] for label in group}) == 1 for group in groups)
    together = {label for group in groups for label in group}
    alone = [O200K.encode(f" {label}")[0] for label in labels if label not in together]
    assert len(alone) + len(groups) == len({O200K.encode(f" {label}")[0] for label in labels})


def test_every_finding_stands_in_the_reference():
    reference = (ROOT / "docs" / "reference" / "checks.md").read_text(encoding="utf-8")
    checks = (
        *token_findings(counted([500])),
        *special_token_findings(["a"], ["<s>"], [O200K]),
        *label_findings(continuations("newness", "new york"), [O200K]),
    )
    assert len({check.kind for check in checks}) == 6
    for check in checks:
        assert re.search(rf"^\| `{check.kind}` \| [^|]*\b{check.level}\b", reference, re.MULTILINE), check.kind
