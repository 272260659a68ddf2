"""Nothing of data becomes markup, on any page of a site, and nothing shaped like a key or personal data leaves."""

from __future__ import annotations

import base64
import dataclasses
import gzip
import json
import re
import time
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.lab import call
from support.report import PAYLOADS, Page, make_results, twins
from support.site import publish, write_finished

from harness.blocks import Results
from harness.errors import GateError
from harness.keys import KEYS, may_hold_key
from harness.report import scan
from harness.report.explorer.packing import squeezed
from harness.report.reading import load
from harness.site.badge import OURS, draw, line
from harness.site.staging import FOLDER, look_at

SETTINGS = {"arms": [{"name": "a", "formatter": {"instruction": "Say it."}}], "dataset": {"path": "a.csv"}}

ISSUED = [
    "sk-" + "aB3dE5" * 8,
    "sk-proj-" + "aB3_dE5-gH7iJ9kL1mN3oP5" * 4,
    "sk-ant-api03-" + "xY1-zW2_vU3tS4rQ5pO6nM7" * 4 + "AA",
    "sk-or-v1-" + "0f" * 32,
    "AKIA" + "A1B2" * 4,
    "ASIA" + "Z9Y8" * 4,
    "ghp_" + "a1" * 18,
    "gho_" + "a1" * 18,
    "github_pat_" + "11ABC_" * 10,
    "glpat-" + "a1" * 10,
    "xoxb-" + "1" * 12,
    "xoxp-123456789012-abcdef",
    "xapp-1-" + "A1" * 12,
    "AIza" + "a1-_x" * 7,
    "eyJ" + "a1" * 8 + ".eyJ" + "b2" * 8 + "." + "c3" * 20,
    "hf_" + "aB" * 17,
    "npm_" + "a1" * 18,
    "gsk_" + "a1" * 26,
    "xai-" + "a1" * 40,
    "r8_" + "a1" * 18,
    "sk_live_" + "a1" * 12,
    "a1" * 26 + "JQQJ99" + "B2" * 13,
    "AccountKey=" + "a1B2" * 21 + "aa==",
    "Ab18Q~" + "a1.b-" * 6 + "abc",
    "-----BEGIN RSA PRIVATE KEY-----\n" + "MIIEpAIBAAKCAQEA1234\n" * 3 + "-----END RSA PRIVATE KEY-----",
    "-----BEGIN PRIVATE KEY-----",
    "-----BEGIN OPENSSH PRIVATE KEY-----",
]
ORDINARY = [
    "sk-learn", "sk-learn-is-how-some-people-write-scikit-learn", "task-force-of-the-city", "5f" * 32, "A1" * 32,
    "sha256-" + "Ab1+/" * 8 + "=", "a risk-adjusted-and-weighted-average", "ASIAN markets and AKIAs",
    "eyJhbGciOiJIUzI1NiJ9",
    "the key= is under the mat, and Key=Value; SharedAccessKeyName=Root", "XOXO-hugs, xox-", "hf_hub_download(repo_id)",
    "-----BEGIN CERTIFICATE-----", "-----BEGIN PUBLIC KEY-----", "github_pages_are_enabled", "gsk and xai-style models",
    "550e8400-e29b-41d4-a716-446655440000", "ftjob-abc123def456", "ft:gpt-4.1-mini-2025-04-14:org::AbC123xy",
    "chatcmpl-" + "aB3" * 10, "gpt-4.1-mini-2025-04-14", "v1.2.3-rc.1+build.2024", "npm_config_cache",
]  # fmt: skip


@pytest.mark.parametrize("key", ISSUED, ids=lambda key: key[:9].strip("-"))
@pytest.mark.parametrize("around", ["{}", "see {}.", "key={};", "first\n{}\nlast", "“{}”", "({})", "{}, and more"])
def test_keys_are_recognised_and_taken_out(key: str, around: str) -> None:
    text = around.format(key)
    assert may_hold_key(text)
    assert scan.suspects(text)
    assert key not in scan.suspects(text)[0]
    clean = scan.Redactor().text(text)
    assert scan.REDACTED in clean
    assert key not in clean
    assert key[len(key) // 2 : -2] not in clean or len(key) < 30


@pytest.mark.parametrize("text", ORDINARY)
def test_ordinary_text_is_no_key(text: str) -> None:
    for around in ("{}", "see {} and {}", "\n{}\n"):
        assert not KEYS.search(around.format(text, text))
        assert scan.Redactor().text(around.format(text, text)) == around.format(text, text)


@given(st.binary(max_size=400))
def test_hashes_of_anything_are_neither_keys_nor_personal_data(raw: bytes) -> None:
    import base64
    import hashlib

    digest = hashlib.sha256(raw)
    for text in (digest.hexdigest(), digest.hexdigest()[:16], "sha256-" + base64.b64encode(digest.digest()).decode()):
        if re.search("[a-f]", text):
            assert scan.findings({"fingerprint": f"of {text}"}, "results.json", personal=True) == []


@given(st.text(st.sampled_from("abcdefgh ijklmnopqrstuvwxyz-_.,'=\n"), max_size=300))
def test_words_without_digits_are_no_keys(text: str) -> None:
    assert not KEYS.search(text)


@given(st.text(max_size=60), st.sampled_from(ISSUED[:20]), st.text(max_size=60))
def test_what_was_redacted_holds_no_key(before: str, key: str, after: str) -> None:
    clean = scan.Redactor().text(f"{before} {key} {after}")
    assert scan.suspects(clean) == []
    assert scan.Redactor().text(clean) == clean


@pytest.mark.parametrize("text", ["sk-" + "a" * 300_000, "sk-" + "a-" * 150_000, "eyJ" * 100_000])
def test_looking_takes_no_time_whatever_the_text(text: str) -> None:
    begun = time.process_time()
    scan.findings([text], "x", personal=True)
    assert time.process_time() - begun < 5


def test_names_stay_apart_when_they_are_redacted() -> None:
    names = frozenset({"a@mail.example.org", "b@mail.example.org", "[EMAIL]"})
    redactor = scan.Redactor(names)
    told = redactor.value({"arms": ["a@mail.example.org", "b@mail.example.org", "[EMAIL]"], "a@mail.example.org": 1})
    assert len(set(told["arms"])) == 3
    assert told["arms"][0] in told
    assert not [name for name in told["arms"] if "example.org" in name]
    assert redactor.text("write to a@mail.example.org") == "write to [EMAIL]"


def leaking(folder: Path, key: str) -> Path:
    results = make_results(n=30, arms=2)
    examples = dict(results.examples)
    examples["text"] = tuple(f"{text}\n{key}" for text in examples["text"])
    return write_finished(folder, dataclasses.replace(results, examples=examples), SETTINGS)


@pytest.mark.parametrize("form", ["html", "json", "md"])
def test_a_report_is_looked_through_before_it_is_written(tmp_path: Path, form: str) -> None:
    run, key, out = leaking(tmp_path / "run", ISSUED[0]), ISSUED[0], tmp_path / "out"
    refused = call("report", run, "--format", form, "-o", out)
    assert refused.code == 3, refused
    assert "looks like keys" in refused.err
    assert "--redact" in refused.err
    assert key not in refused.err
    assert not out.exists()
    assert call("report", run, "--format", form, "-o", out, "--samples", "none").code == 0
    done = call("report", run, "--format", form, "-o", out, "--redact")
    assert done.code == 0, done
    assert key not in out.read_text()


def test_a_command_that_publishes_says_no_with_code_3(tmp_path: Path) -> None:
    run = leaking(tmp_path / "run", "write to jane.doe@mail.example.org")
    options = ["publish", run, "--site", tmp_path / "site", "--samples", "all", "--yes"]
    refused = call(*options)
    assert refused.code == 3, refused
    assert not (tmp_path / "site").exists()
    done = call(*options, "--redact")
    assert done.code == 0, done
    assert done.out.strip() == str(tmp_path / "site" / "index.html")
    assert "samples: all; the texts of 30 test examples leave" in done.err


def test_redacted_results_are_what_they_were_but_for_the_keys(tmp_path: Path) -> None:
    results = load(leaking(tmp_path / "run", ISSUED[0]))
    with pytest.raises(GateError, match=r"data/examples\.parquet"):
        scan.without_keys(results)
    clean = scan.without_keys(results, redact=True)
    assert clean.data == results.data
    assert dict(clean.predictions) == dict(results.predictions)
    assert [text.replace(scan.REDACTED, ISSUED[0]) for text in clean.examples["text"]] == list(results.examples["text"])


def sites(folder: Path) -> tuple[dict[str, str], dict[str, str]]:
    """Publishes two runs of the same data twice: with payloads in all of it, and with harmless letters."""
    from support.report import shipped_sections

    found = []
    for name, results in zip(("hostile", "harmless"), twins(), strict=True):
        settings = {
            "dataset": {"path": PAYLOADS[39] if name == "hostile" else "y"},
            "arms": [
                {"name": arm["name"], "formatter": {"instruction": arm["name"], "prices": {arm["name"]: 1}}}
                for arm in results.data["arms"]
            ],
        }
        runs = []
        for n, day in enumerate((1, 2)):
            data = json.loads(json.dumps(results.data))
            data["run"]["finished"] = f"2027-01-0{day}T00:00:00+00:00"
            changed = dataclasses.replace(results, data=data) if n else flipped(results, data)
            settings["seed"] = results.data["arms"][n]["name"]
            runs.append(write_finished(folder / name / f"run-{n}", changed, settings))
        site = folder / name / "site"
        publish(runs, site, shipped_sections(), samples="all")
        texts = {path: path.read_text("utf-8") for path in site.rglob("*") if path.suffix in (".html", ".svg")}
        found.append({path.relative_to(site).as_posix(): text for path, text in texts.items()})
    return found[0], found[1]


def flipped(results: Results, data: dict[str, Any]) -> Results:
    """Returns results in which some answers are other labels."""
    columns = dict(results.predictions)
    labels = [*dict.fromkeys(columns["expected"])]
    predicted = list(columns["predicted"])
    predicted[::7] = [labels[n % len(labels)] for n in range(len(predicted[::7]))]
    return dataclasses.replace(results, data=data, predictions=columns | {"predicted": tuple(predicted)})


@pytest.fixture(scope="module")
def twin_sites(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, str], dict[str, str]]:
    return sites(tmp_path_factory.mktemp("twins"))


def test_there_are_payloads_enough() -> None:
    assert len(set(PAYLOADS)) == len(PAYLOADS) >= 40


@pytest.mark.parametrize("name", ["index.html", "run-1/index.html", "compare/run-0..run-1.html", "latest/index.html"])
def test_hostile_text_becomes_no_markup_on_any_page(twin_sites: tuple[dict[str, str], ...], name: str) -> None:
    hostile, harmless = (Page(site[name]) for site in twin_sites)
    for page in (hostile, harmless):
        for drawn in ("line", "tspan"):  # where labels lie depends on how wide they are
            del page.elements[drawn]
        for tag, key, value in page.attributes:
            assert not key.startswith("on"), (tag, key)
            assert key not in {"style", "src", "srcdoc", "action", "formaction", "xlink:href"}, (tag, key)
            assert key != "href" or re.match(r"#|(\.\./|compare/)?[a-z0-9.-]+(/|\.html$)", value), value
    assert hostile.elements == harmless.elements
    assert "alert(1)</script>" not in twin_sites[0][name].replace("alert(1)&lt;/script", "")


def test_payloads_stand_on_the_pages_as_text(twin_sites: tuple[dict[str, str], ...]) -> None:
    page, compared = (Page(twin_sites[0][name]) for name in ("run-1/index.html", "compare/run-0..run-1.html"))
    shown = "".join(page.texts["bdi"] + compared.texts["bdi"])
    for payload in ("{{7*7}}{% raw %}", "</script><script>alert(3)</script>", "<base href=//evil.example/>"):
        assert payload in shown


def test_a_badge_is_plain_xml_whatever_the_names(twin_sites: tuple[dict[str, str], ...]) -> None:
    hostile, harmless = (ET.fromstring(site["run-1/badge.svg"]) for site in twin_sites)
    assert [node.tag for node in hostile.iter()] == [node.tag for node in harmless.iter()]
    for n, payload in enumerate(PAYLOADS):
        data = {"run": {"name": payload}, "arms": [], "verdict": {"kind": "win", "arm": payload, "sentence": payload}}
        root = ET.fromstring(draw(data, f"run-{n}").encode("utf-8"))
        assert len(list(root.iter())) == 11
        assert not [key for node in root.iter() for key in node.attrib if key.startswith("on") or "href" in key]


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("win", "tuned wins, +4.1 points"), ("tie", "tie, +4.1 points"),
        ("never-pays", "training never pays, +4.1 points"),
        ("invalid", "invalid, +4.1 points"), ("?", "no verdict, +4.1 points"),
    ],
)  # fmt: skip
def test_a_badge_says_the_kind_of_verdict_and_its_figure(kind: str, said: str) -> None:
    arms = [{"name": "tuned", "accuracy": 0.9}, {"name": "8-shot", "accuracy": 0.859}]
    data: dict[str, Any] = {
        "run": {"name": "reviews"},
        "arms": arms,
        "comparisons": [{"a": "8-shot", "b": "tuned", "difference": -0.041, "primary": True}],
        "verdict": {"kind": kind, "arm": "tuned", "against": "8-shot", "sentence": "S"},
    }
    assert line(data) == said
    assert OURS in draw(data, "x")
    data["arms"][0]["simulated"] = True
    assert line(data) == f"simulated: {said}"
    assert line({}) == "no verdict"


@given(st.text(max_size=30))
def test_no_name_leads_out_of_the_site(name: str) -> None:
    if FOLDER.fullmatch(name):
        assert not {"/", "\\", "\0"} & set(name)
        assert not name.startswith(".")


def test_packed_letters_are_no_key_and_packed_keys_are_found() -> None:
    page = '<p>x</p><script type="text/plain" class="x-chunk">{}</script>'
    chance = base64.b64encode(gzip.compress(b"x", 0, mtime=0)).decode()
    assert scan.suspects(chance + " AIza" + "a1B2c" * 8)  # what chance can bring about
    look_at("index.html", page.format(squeezed({"text": ["nothing"]})))
    with pytest.raises(GateError, match=r"AIza"):
        look_at("index.html", page.format(squeezed({"text": ["AIza" + "a1B2c" * 8]})))
    with pytest.raises(GateError, match=r"AIza"):
        look_at("index.html", page.format("") + "AIza" + "a1B2c" * 8)
