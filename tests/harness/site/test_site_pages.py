"""`--pages`: the workflow that deploys a site, where it belongs, and the address the site will have."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest
from support.lab import call
from support.report import make_results
from support.site import write_finished

from harness.errors import UsageError
from harness.site.badge import draw, line
from harness.site.workflow import OURS, PLACE, address, workflow


def repository(folder: Path, origin: str = "") -> Path:
    subprocess.run(["git", "init", "-q", str(folder)], check=True)
    if origin:
        subprocess.run(["git", "-C", str(folder), "remote", "add", "origin", origin], check=True)
    return folder


@pytest.mark.parametrize(
    ("origin", "expected"),
    [
        ("https://github.com/Example/reviews.git", "https://example.github.io/reviews/"),
        ("https://github.com/example/reviews", "https://example.github.io/reviews/"),
        ("https://user:token@github.com/example/reviews.git", "https://example.github.io/reviews/"),
        ("git@github.com:example/reviews.git", "https://example.github.io/reviews/"),
        ("ssh://git@github.com:22/example/reviews.git\n", "https://example.github.io/reviews/"),
        ("git@github.com:example/example.github.io.git", "https://example.github.io/"),
        ("https://gitlab.com/example/reviews.git", None),
        ("https://github.com.evil.example/a/b", None),
        ("/srv/git/reviews.git", None),
        ("", None),
    ],
)
def test_the_address_follows_from_the_origin(origin: str, expected: str | None) -> None:
    assert address(origin) == expected


def test_the_workflow_deploys_the_folder_alone(tmp_path: Path) -> None:
    import yaml

    root = repository(tmp_path / "repo", "git@github.com:example/reviews.git")
    made = workflow(root / "docs" / "site")
    assert made.path == root / PLACE
    assert made.address == "https://example.github.io/reviews/"
    told = yaml.safe_load(made.text)
    assert told[True]["push"]["paths"] == ["docs/site/**", ".github/workflows/pages.yml"]
    (job,) = told["jobs"].values()
    steps = {step["uses"].split("@")[0]: step for step in job["steps"]}
    assert list(steps) == [
        "actions/checkout", "actions/configure-pages", "actions/upload-pages-artifact", "actions/deploy-pages",
    ]  # fmt: skip
    assert all(step["uses"].split("@")[1].startswith("v") for step in job["steps"])
    assert steps["actions/upload-pages-artifact"]["with"] == {"path": "docs/site"}
    assert told["permissions"] == {"contents": "read"}
    assert job["permissions"] == {"contents": "read", "pages": "write", "id-token": "write"}


@pytest.mark.parametrize(
    ("place", "message"), [("", "repository's root"), ("a${{ x }}", "cannot stand"), ("a*", "cannot stand")]
)
def test_what_cannot_be_deployed_is_refused(tmp_path: Path, place: str, message: str) -> None:
    root = repository(tmp_path / "repo")
    with pytest.raises(UsageError, match=message):
        workflow(root / place)


def test_another_workflow_stays_and_ours_is_replaced(tmp_path: Path) -> None:
    root = repository(tmp_path / "repo")
    path = root / PLACE
    path.parent.mkdir(parents=True)
    path.write_text("name: mine\n")
    with pytest.raises(UsageError, match="is not ours"):
        workflow(root / "reports")
    assert path.read_text() == "name: mine\n"
    path.write_text(f"{OURS}\nname: old\n")
    assert workflow(root / "reports").text.startswith(OURS)


def test_the_command_writes_it_and_says_what_is_left_to_do(tmp_path: Path) -> None:
    root = repository(tmp_path / "repo", "https://github.com/example/reviews.git")
    run = write_finished(tmp_path / "run", make_results(n=30, arms=2))
    done = call("publish", run, "--site", root / "reports", "--yes", "--pages")
    assert done.code == 0, done
    assert done.out.strip() == str(root / "reports" / "index.html")
    assert "Source to “GitHub Actions”" in done.err
    assert "The site will be at https://example.github.io/reviews/" in done.err
    assert (root / PLACE).read_text().startswith(OURS)
    (root / PLACE).write_text("name: mine\n")
    again = call("publish", run, "--site", root / "other", "--yes", "--pages")
    assert again.code == 2
    assert not (root / "other").exists()


def judged(**verdict: object) -> dict[str, Any]:
    arms = [{"name": name, "n": 9, "accuracy": 0.5, "simulated": name == "m"} for name in ("t", "p", "m")]
    return {"run": {"name": "r"}, "arms": arms, "verdict": {"kind": "win", "arm": "t", "against": "p", **verdict}}


@pytest.mark.parametrize(("verdict", "said"), [
    ({"simulated": False}, "t wins"),
    ({"simulated": True}, "simulated: t wins"),
    ({}, "simulated: t wins"),  # of a version that did not say: any simulated arm
])  # fmt: skip
def test_a_badge_says_simulated_where_the_verdict_is(verdict: dict[str, Any], said: str) -> None:
    assert line(judged(**verdict)) == said


def test_names_from_right_to_left_stand_in_a_badge_as_they_are() -> None:
    data = judged(simulated=False, arm="מהיר", sentence="\u2068מהיר\u2069 wins, 3% less.\u202e\u2069")
    data["arms"][0]["name"] = "מהיר"
    data["run"]["name"] = "שלום\u202e"
    drawn = draw(data, "r")
    assert ">מהיר wins</text>" in drawn
    assert ">שלום\ufffd</text>" in drawn
    assert "<title>\u2068מהיר\u2069 wins, 3% less.\ufffd</title>" in drawn
