"""The likeliest mistakes, made for real: each with what the command then says. `docs/reference/errors.md` holds them.

PYTHONPATH=tests python -m support.mistakes      # writes the page anew (make hooks does)
"""

from __future__ import annotations

import re
import shlex
import socket
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from support.cli import ROOT, Finished, harness
from support.provider import Provider

PAGE = ROOT / "docs" / "reference" / "errors.md"
HEAD = """# When something is wrong

What the harness says to the forty or so likeliest mistakes: each was made, and what came of it stands here as it was
printed (made anew, and compared, by a test). All of it goes to stderr. The exit code says what kind of trouble it is:
**2** the experiment, the data, a plugin or the command is wrong, found before anything is spent where that is
possible · **3** a gate said no · **4** something is unfinished, and the same command goes on · **1** a bug of ours.
"""
EXPERIMENT = """name = "tickets"

[dataset]
plugin = "files"
path = "tickets.csv"
text = ["subject", "body"]
label = "team"

[endpoints.provider]
base_url = "http://127.0.0.1:PORT/v1"
api_key_env = "PROVIDER_KEY"

[prices."gpt-4.1-mini"]
input = 0.4
output = 1.6
training = 5

[[arms]]
name = "classical"
backend = { plugin = "classical" }

[[arms]]
name = "8-shot"
backend = { plugin = "few-shot", endpoint = "provider", model = "gpt-4.1-mini" }
formatter = { plugin = "chat" }
shots = { selector = "balanced", k = 8 }
"""
TEAMS = {"billing": "invoice", "shipping": "parcel", "returns": "refund"}


def table() -> str:
    """Returns a table of 90 tickets of three teams."""
    rows = [
        f'"{word} {n}","About the {word} with number {n * 7919 % 997} of week {n * 31 % 53}, please look.",{team}'
        for n in range(30)
        for team, word in TEAMS.items()
    ]
    return "subject,body,team\n" + "\n".join(rows) + "\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Mistake:
    """One mistake, and the command that shows it."""

    title: str
    command: str = "harness run tickets.toml --yes"
    edit: Mapping[str, str] = field(default_factory=dict)
    """In the experiment: old → new."""
    data: Callable[[str], str] = str
    """What becomes of the table."""
    files: Mapping[str, str] = field(default_factory=dict)
    provider: Mapping[str, object] = field(default_factory=dict)
    """Settings of the fake provider; it answers where nothing is set."""
    env: Mapping[str, str] = field(default_factory=lambda: {"PROVIDER_KEY": "secret"})
    before: str = ""
    """A command that has to have run."""


def given_split(text: str) -> str:
    """Adds a column `part`, with one text on both sides."""
    head, *rows = text.splitlines()
    parts = ["train"] * 60 + ["validation"] * 12 + ["test"] * 18
    rows[75] = rows[0]
    return "\n".join([f"{head},part", *(f"{row},{part}" for row, part in zip(rows, parts, strict=True))]) + "\n"


RUN = "harness run tickets.toml"
OFFLINE = {
    EXPERIMENT[
        EXPERIMENT.index('[[arms]]\nname = "8-shot"') :
    ]: '[[arms]]\nname = "majority"\nbackend = { plugin = "majority" }\n'
}

MISTAKES: Mapping[str, tuple[Mistake, ...]] = {
    "The command": (
        Mistake(title="A command that there is not", command="harness rum tickets.toml"),
        Mistake(title="An option that there is not", command="harness run tickets.toml --max-dollars 5"),
        Mistake(title="An experiment file that is not there", command="harness run ticket.toml"),
        Mistake(title="The data in the experiment's place", command="harness run tickets.csv"),
        Mistake(title="A number that is none", command="harness run tickets.toml --limit ten"),
        Mistake(title="An arm that there is not", command="harness run tickets.toml --only 8shot --yes"),
        Mistake(title="A run that there is not", command="harness show tickts", before=RUN, edit=OFFLINE),
    ),
    "The experiment file": (
        Mistake(title="A slip in TOML", edit={'label = "team"': 'label = "team'}),
        Mistake(title="A key that there is not", edit={"label =": "lable ="}),
        Mistake(
            title="An option of a plugin that there is not", edit={'model = "gpt-4.1-mini"': 'modell = "gpt-4.1-mini"'}
        ),
        Mistake(title="A value of the wrong type", edit={"k = 8": 'k = "eight"'}),
        Mistake(title="A plugin that there is not", edit={'plugin = "few-shot"': 'plugin = "fewshot"'}),
        Mistake(title="An endpoint without a table", edit={'endpoint = "provider"': 'endpoint = "openai"'}),
        Mistake(title="Two arms of one name", edit={'name = "classical"': 'name = "8-shot"'}),
        Mistake(title="More shots than there are examples", edit={"k = 8": "k = 800"}),
        Mistake(title="A password in a URL", edit={"http://127.0.0.1:PORT/v1": "https://me:secret@example.com/v1"}),
        Mistake(title="A key instead of a variable's name", edit={'"PROVIDER_KEY"': '"sk-live-4f9a8b7c6d5e"'}),
        Mistake(
            title="A plugin file that only the experiment names",
            edit={'name = "tickets"': 'name = "tickets"\nplugins = ["mine.py"]'},
            files={"mine.py": "import harness\n"},
        ),
        Mistake(
            title="A plugin file that declares nothing",
            command="harness run tickets.toml --plugin mine.py",
            files={"mine.py": "import harness\n"},
        ),
    ),
    "The data": (
        Mistake(title="A file that is not there", edit={"tickets.csv": "ticket.csv"}),
        Mistake(title="A column that is not there", edit={'"subject"': '"subjekt"'}),
        Mistake(
            title="A label outside the label set",
            edit={'label = "team"': 'label = "team"\nlabels = ["billing", "shipping"]'},
        ),
        Mistake(title="Semicolons between the cells", data=lambda text: text.replace(",", ";")),
        Mistake(title="A file without rows", data=lambda text: text.splitlines()[0] + "\n"),
        Mistake(
            title="A row with a field too many",
            data=lambda text: text.replace('look.",billing', 'look.",billing,urgent', 1),
        ),
        Mistake(
            title="One label alone",
            data=lambda text: text.replace(",shipping", ",billing").replace(",returns", ",billing"),
        ),
        Mistake(
            title="A test item that also stands in train",
            edit={'label = "team"': 'label = "team"\nsplit = "part"'},
            data=given_split,
        ),
        Mistake(
            title="Personal data on its way to an endpoint",
            edit={"[endpoints.provider]": '[prepare]\npii = "stop"\n\n[endpoints.provider]'},
            data=lambda text: text.replace("please look.", "write to kim@example.com.", 3),
        ),
    ),
    "The endpoint": (
        Mistake(title="No key", env={"PROVIDER_KEY": ""}),
        Mistake(title="A key that is refused", provider={"api_key": "another"}),
        Mistake(title="A model that the endpoint does not have", edit={"gpt-4.1-mini": "gpt-4.1-mimi"}),
        Mistake(title="An endpoint that is down", edit={"PORT": "CLOSED"}),
        Mistake(
            title="A model without a price",
            command="harness run tickets.toml --max-usd 5",
            edit={'model = "gpt-4.1-mini"': 'model = "our-own"'},
        ),
        Mistake(title="A budget that does not reach", command="harness run tickets.toml --max-usd 0.0001"),
    ),
    "After the run": (
        Mistake(
            title="A condition that a run does not keep",
            command="harness gate tickets --arm majority --min accuracy=0.9",
            before=RUN,
            edit=OFFLINE,
        ),
        Mistake(title="A share in percent", command="harness gate tickets --min accuracy=90", before=RUN, edit=OFFLINE),
        Mistake(
            title="A figure that there is not",
            command="harness gate tickets --min acuracy=0.9",
            before=RUN,
            edit=OFFLINE,
        ),
        Mistake(
            title="A preview to be published",
            command="harness publish tickets --yes",
            before="harness run tickets.toml --limit 60",
            edit=OFFLINE,
        ),
        Mistake(
            title="A question and nobody to answer it", command="harness publish tickets", before=RUN, edit=OFFLINE
        ),
    ),
}


def made(mistake: Mistake, folder: Path, provider: Provider) -> Finished:
    """Makes a mistake in an empty folder; returns what came of it, free of what differs from time to time."""
    provider.renew()
    provider.set(**mistake.provider)
    text = EXPERIMENT
    for old, new in mistake.edit.items():
        assert old in text, (mistake.title, old)
        text = text.replace(old, new)
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        closed = one.getsockname()[1]
    (folder / "tickets.toml").write_text(
        text.replace("PORT", str(provider.port)).replace("CLOSED", str(closed)), "utf-8"
    )
    (folder / "tickets.csv").write_text(mistake.data(table()), "utf-8")
    for name, content in mistake.files.items():
        (folder / name).write_text(content, "utf-8")
    if mistake.before:
        assert (first := harness(*shlex.split(mistake.before)[1:], cwd=folder)).code == 0, first
    done = harness(*shlex.split(mistake.command)[1:], cwd=folder, env=mistake.env)
    said = re.sub(r"127\.0\.0\.1:\d+", "127.0.0.1:8000", done.err.replace(str(folder), "."))
    said = re.sub(r"^\[ .*\n", "", said, flags=re.MULTILINE)  # progress
    said = re.sub(r"\b\d+ kB", "… kB", said)  # sizes hang on how long things took
    return Finished(code=done.code, out=done.out, err=re.sub(r"-[0-9a-f]{8}\b", "-1a2b3c4d", said))


def page() -> str:
    """Makes all mistakes and writes the page about them."""
    parts = [HEAD]
    with Provider.start() as provider:
        for heading, mistakes in MISTAKES.items():
            parts.append(f"\n## {heading}\n")
            for mistake in mistakes:
                with tempfile.TemporaryDirectory() as folder:
                    done = made(mistake, Path(folder).resolve(), provider)
                parts.append(
                    f"\n### {mistake.title}\n\n```text\n$ {mistake.command}\n{done.err.rstrip()}\n```\n\n"
                    f"Exit code {done.code}.\n"
                )
    return "".join(parts)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
