"""The command line: help, exit codes, what goes where, and how little is imported for it."""

from __future__ import annotations

import errno
import json
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from support.cli import HARNESS, environment, installed
from support.lab import Lab, call

from harness import commands
from harness.errors import GateError, UnfinishedError, UsageError

COMMANDS = commands.names()
HEAVY = {"openai", "pandas", "sklearn", "datasets", "torch", "pyarrow", "numpy", "scipy", "aiohttp", "transformers"}
DENIED = "error: runs/a/results.json: Permission denied\ncheck the path, and who may read and write there\n"
ARMS = '[[arms]]\nname = "m"\nbackend = { plugin = "majority" }\n'


@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_help_fits_one_screen_and_ends_with_an_example(command: str) -> None:
    done = call(*[command] if command else [], "--help")
    lines = done.out.rstrip().splitlines()
    assert done.code == 0
    assert len(lines) <= 24, "a screen has no more lines: shorten the text, or show in one line what belongs together"
    assert max(map(len, lines)) <= 100
    assert lines[-1].startswith(f"Example: harness {command}".rstrip())
    assert done.err == ""


def test_the_list_of_commands_is_not_cut() -> None:
    assert "..." not in call("--help").out.split("enough?")[1]


@pytest.mark.parametrize(
    "arguments", [["--help"], ["--version"], ["run", "--help"], ["plugins"], ["plugins", "--json"], ["runs"]]
)
def test_nothing_heavy_is_imported(arguments: list[str], tmp_path: Path) -> None:
    program = (
        "import sys\nfrom harness.cli import main\n"
        f"try:\n    main({arguments!r})\nexcept SystemExit as ended:\n    assert not ended.code\n"
        f"print(sorted(set({sorted(HEAVY)!r}) & set(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=tmp_path, check=True)
    assert done.stderr.splitlines()[-1] == "[]"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["rnu"], 'there is no command "rnu"; did you mean "run"?'),
        (["run"], "EXPERIMENT is missing"),
        (["run", "x.toml", "--onlyy", "a"], "--only"),
        (["run", "x.toml", "--limit", "1"], "--limit 1: a whole number of at least 2 is expected"),
        (["run", "x.toml", "--max-usd", "much"], "--max-usd much: a number of at least 0 is expected"),
        (["run", "x.toml", "--max-usd", "nan"], "--max-usd nan: a finite number is expected"),
        (["predict", "x", "--max-usd", "inf"], "--max-usd inf: a finite number is expected"),
        (["run", "."], ". is a folder; an experiment file (.toml) is expected\n`harness init DATA` writes one"),
        (["report", "x", "--format", "htm"], '--format htm: did you mean "html"?'),
        (["gate", "x", "--min", "accuracy", "0.9"], "one argument too many: 0.9"),
        (["predict", "x", "--arm", "a", "new.csv"], "-o is missing"),
        (["nothing-like-it"], "`harness --help` says what there is"),
        (["run", "nowhere.toml"], "there is no such file"),
        (["show", "nothing"], 'there is no run "nothing"'),
        (["report", "nothing"], 'there is no run "nothing"'),
        (["publish", "nothing"], 'there is no run "nothing"'),
        (["show", "x" * 300], "File name too long"),
        (["init", "x" * 300], "File name too long"),
        (["plugins", "--plugin", "nowhere.py"], "there is no such file"),
    ],
)
def test_a_wrong_command_is_exit_2_in_at_most_three_lines_on_stderr(
    arguments: list[str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done = call(*arguments)
    assert done.code == 2
    assert done.out == ""
    assert said in done.err
    assert done.err.startswith("error: ")
    assert len(done.err.splitlines()) <= 3
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (UsageError("wrong", "do this"), 2, "error: wrong\ndo this\n"),
        (GateError("no"), 3, "error: no\n"),
        (UnfinishedError("later", "again"), 4, "unfinished: later\nagain\n"),
        (PermissionError(errno.EACCES, "Permission denied", "runs/a/results.json"), 2, DENIED),
        (
            PermissionError(errno.EACCES, "Failed to open runs/a/b.parquet"),
            2,
            "error: Failed to open runs/a/b.parquet\n",
        ),
        (OSError(errno.ENOSPC, "No space left on device"), 4, "unfinished: cannot write: No space left on device\n"),
        (KeyboardInterrupt(), 130, "interrupted: what is complete is kept, the same command goes on\n"),
    ],
)
def test_exit_codes(error: BaseException, code: int, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr("harness.plugins.discovery.discover", fails)
    done = call("plugins")
    assert (done.code, done.out) == (code, "")
    assert done.err.strip().startswith(said.strip())
    assert len(done.err.splitlines()) <= 2


def test_a_bug_is_one_line_and_a_log(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def fails(*_: object, **__: object) -> None:
        raise ZeroDivisionError("somewhere")

    monkeypatch.setattr("harness.plugins.discovery.discover", fails)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    done = call("plugins")
    assert done.code == 1
    assert len(done.err.splitlines()) == 1
    assert "ZeroDivisionError: somewhere" in done.err
    (log,) = tmp_path.iterdir()
    assert str(log) in done.err
    assert "Traceback" in log.read_text()
    done = call("--debug", "plugins")
    assert done.code == 1
    assert "Traceback" in done.err


def test_result_on_stdout_all_else_on_stderr(tmp_path: Path) -> None:
    lab = Lab.make(tmp_path)
    lab.write(ARMS)
    done = lab.run()
    assert done.code == 0
    sentence, folder, report = done.out.splitlines()
    assert sentence == lab.results()["verdict"]["sentence"]
    assert Path(folder) == lab.folder
    assert Path(report) == lab.folder / "report.html"
    assert Path(report).is_file()
    assert "preparing the data" in done.err
    assert "\x1b" not in done.out + done.err
    quiet = lab.run("--quiet")
    assert (quiet.out, quiet.err) == (done.out, "")
    as_json = json.loads(lab.run("--json").out)
    assert as_json == {"sentence": sentence, "folder": folder, "report": report, "unfinished": None}


def test_stored_runs_are_listed_shown_and_rebuilt(tmp_path: Path) -> None:
    lab = Lab.make(tmp_path)
    lab.write(ARMS)
    assert lab.run().code == 0
    runs = tmp_path / "runs"
    (listed,) = json.loads(call("runs", runs, "--json").out)
    assert listed["id"] == lab.folder.name
    assert listed["sentence"] == lab.results()["verdict"]["sentence"]
    assert listed["finished"]
    assert f"  {listed['sentence']}" in call("runs", runs).out
    shown = json.loads((lab.folder / "manifest.json").read_text(encoding="utf-8")) | {"preview": True}
    (lab.folder / "manifest.json").write_text(json.dumps(shown), encoding="utf-8")
    assert f"  preview: {listed['sentence']}" in call("runs", runs).out
    (lab.folder / "manifest.json").write_text(json.dumps(shown | {"preview": False}), encoding="utf-8")
    shown = call("show", "lab", "--runs", runs)
    assert shown.code == 0
    assert "m" in shown.out
    assert "\x1b" not in shown.out
    assert json.loads(call("show", "lab", "--runs", runs, "--json").out) == lab.results()
    page = (lab.folder / "report.html").read_bytes()
    (lab.folder / "report.html").unlink()
    assert call("report", "lab", "--runs", runs).out.strip() == str(lab.folder / "report.html")
    assert (lab.folder / "report.html").read_bytes() == page
    markdown = call("report", "lab", "--runs", runs, "--format", "md").out
    assert listed["sentence"] in markdown
    done = call("report", "lab", "--runs", runs, "--format", "json", "-o", tmp_path / "out.json")
    assert done.out.strip() == str(tmp_path / "out.json")
    written = json.loads((tmp_path / "out.json").read_text())
    assert "verdict" not in {section["name"] for section in written.pop("sections")}
    assert written == lab.results()


def test_where_nothing_can_be_written_is_said_by_each_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lab = Lab.make(tmp_path, 40)
    lab.write(ARMS)
    assert lab.run("--quiet").code == 0
    run, data = lab.folder, tmp_path / "data.csv"
    for name in ("predict", "rechecks"):
        (run / name).write_text("in the way")
    (tmp_path / "folder").mkdir()
    place = tmp_path / "file" / "deeper"
    place.parent.write_text("no folder")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(place))
    for said, arguments in (
        (place, ["run", tmp_path / "experiment.toml", "--out", place, "--quiet"]),
        (place, ["publish", run, "--site", place, "--yes"]),
        (place, ["report", run, "-o", place]),
        (Path(), ["report", run, "-o", ""]),
        (tmp_path / "folder", ["relabel", run, "-o", tmp_path / "folder"]),
        (place, ["gate", run, "--min", "accuracy=0", "--summary"]),
        (run / "predict", ["predict", run, "--arm", "m", data, "-o", tmp_path / "out.csv", "--quiet"]),
        (run / "rechecks", ["recheck", run, data, "--quiet"]),
    ):
        done = call(*arguments)
        assert done.code == 2, done
        assert f"error: cannot write to {said}" in done.err
        assert "name another place" in done.err


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs a folder in which nobody may write")
def test_a_package_is_not_begun_where_nothing_can_be_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir("/proc")
    done = call("new", "plugin", "my-plugins", "--kind", "metric")
    assert done.code == 2, done
    assert "cannot write to my-plugins" in done.err


def test_unfinished_and_broken_runs_are_listed_too(tmp_path: Path) -> None:
    for name, results in (("a", None), ("b", "{"), ("c", "[]")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "manifest.json").write_text('{"name": "x"}')
        if results is not None:
            (tmp_path / name / "results.json").write_text(results)
    listed = json.loads(call("runs", tmp_path, "--json").out)
    assert [(one["id"], one["sentence"]) for one in listed] == [("a", None), ("b", None), ("c", None)]
    assert call("runs", tmp_path / "none").code == 0
    for command in ("show", "report", "publish"):
        done = call(command, "a", "--runs", tmp_path)
        assert done.code == 2, done
        assert "results.json is missing" in done.err


def test_publishing_asks_and_without_a_terminal_that_is_exit_2(tmp_path: Path) -> None:
    lab = Lab.make(tmp_path)
    lab.write(ARMS)
    assert lab.run().code == 0
    options = ["lab", "--runs", tmp_path / "runs", "--site", tmp_path / "site"]
    words = shlex.join([str(HARNESS), "publish", *map(str, options)])
    for stdin in ("</dev/null", "<&-"):
        done = subprocess.run(f"{words} {stdin}", shell=True, capture_output=True, text=True, check=False)
        assert done.returncode == 2, done
        assert "--yes" in done.stderr
        assert not (tmp_path / "site").exists()
    shown = shlex.join([str(HARNESS), "show", str(lab.folder)])
    done = subprocess.run(f"{shown} 2>&-", shell=True, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, call("show", lab.folder).out)
    published = call("publish", *options, "--yes")
    assert published.code == 0, published
    assert Path(published.out.strip()).is_file()
    assert "samples: none" in published.err


def test_a_reader_that_goes_away_is_no_traceback() -> None:
    with subprocess.Popen([HARNESS, "plugins"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == ""


def test_control_characters_of_data_do_not_reach_the_terminal(tmp_path: Path) -> None:
    rows = "".join(f"text number {n},{'good' if n % 2 else 'bad'}\n" for n in range(20))
    (tmp_path / "d.csv").write_text(f"text,label\n{rows}odd,\x1b[31mred\x07\n", encoding="utf-8")
    experiment = tmp_path / "e.toml"
    experiment.write_text(
        'name = "e"\n[dataset]\nplugin = "files"\npath = "d.csv"\ntext = "text"\nlabel = "label"\n'
        f'labels = ["good", "bad"]\n{ARMS}',
        encoding="utf-8",
    )
    done = call("run", experiment, "--out", tmp_path / "runs")
    assert done.code == 2
    assert "\\x1b[31mred\\x07" in done.err
    assert all(character.isprintable() or character == "\n" for character in done.err)


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "utf-8"])
def test_what_a_terminal_cannot_show_is_spelt_out_and_json_stays_json(encoding: str, tmp_path: Path) -> None:
    lab = Lab.make(tmp_path, 40)
    lab.write(ARMS.replace('"m"', '"다수 é 😀"'))
    assert lab.run("--quiet").code == 0

    def said(*arguments: str | Path) -> str:
        env = environment({"PYTHONIOENCODING": encoding})
        done = subprocess.run([HARNESS, *arguments], env=env, capture_output=True, check=False, cwd=tmp_path)
        assert done.returncode == 0, done
        return done.stdout.decode("utf-8" if encoding == "ascii" else encoding)  # click takes ASCII for a mistake

    assert json.loads(said("show", lab.folder, "--json"))["arms"][0]["name"] == "다수 é 😀"
    spelt = r"\ub2e4\uc218 \u00e9 \ud83d\ude00"
    shown = {"ascii": spelt, "cp1252": spelt.replace(r"\u00e9", "é"), "utf-8": "다수 é 😀"}[encoding]
    assert shown in said("show", lab.folder)


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_shells_complete_commands_and_options(shell: str, tmp_path: Path) -> None:
    script = installed(cwd=tmp_path, env={"_HARNESS_COMPLETE": f"{shell}_source"})
    assert "_HARNESS_COMPLETE" in script.out
    words = {"COMP_WORDS": "harness pub", "COMP_CWORD": "1" if shell != "fish" else "pub"}
    found = installed(cwd=tmp_path, env={"_HARNESS_COMPLETE": f"{shell}_complete", **words})
    assert "publish" in found.out
    assert "prepare" not in found.out


def test_several_arms_are_named_one_by_one(tmp_path: Path) -> None:
    lab = Lab.make(tmp_path)
    lab.write(ARMS)
    done = lab.run("--only", "one,two")
    assert done.code == 2
    assert "give --only once for each arm" in done.err
