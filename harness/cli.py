"""Arguments → pipeline. What a command needs is imported when it runs, so that `--help` is quick."""

from __future__ import annotations

import json
import shlex
import sys
import tempfile
import traceback
from collections.abc import Callable, Sequence
from contextlib import redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

import click

from harness.errors import HarnessError, UnfinishedError, UsageError, nearest

if TYPE_CHECKING:
    from harness.pipeline import Finished

F = TypeVar("F", bound=Callable[..., Any])
INTERRUPTED = 130


class _Group(click.Group):
    """Names the nearest command where there is none of that name."""

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            known = error if args and args[0].startswith("-") else None
            raise known or click.UsageError(
                f'there is no command "{args[0]}"; {nearest(args[0], self.commands)}'
            ) from None

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        formatter.write("\nExample: harness demo\n")


class _Command(click.Command):
    """Ends its help with an example."""

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        if self.epilog:
            formatter.write(f"\nExample: {self.epilog}\n")


_Group.command_class = _Command


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="finetune-harness", message="%(version)s")
@click.option("--debug", is_flag=True, help="Show the traceback of a bug.")
@click.pass_context
def cli(ctx: click.Context, debug: bool) -> None:
    """Should you fine-tune a language model for this task, or is a few-shot prompt enough?"""
    ctx.obj = {"debug": debug}


def _plugin_options(function: F) -> F:
    function = click.option(
        "--plugin", "files", multiple=True, metavar="FILE", help="Load a plugin file: runs its code."
    )(function)
    return click.option("--no-plugin", "blocked", multiple=True, metavar="NAME", help="Do not even import a plugin.")(
        function
    )


def _run_options(function: F) -> F:
    for option in reversed(
        (
            click.option(
                "--out", type=click.Path(path_type=Path), default="runs", show_default=True, help="Where runs lie."
            ),
            click.option("--only", multiple=True, metavar="ARM", help="Only this arm; repeatable."),
            click.option("--limit", type=click.IntRange(min=2), metavar="N", help="A preview on N test items."),
            click.option("--max-usd", type=click.FloatRange(min=0), metavar="X", help="Spend at most X dollars."),
            click.option("--no-reuse", is_flag=True, help="Take nothing over from other runs."),
            click.option("--allow-leaks", is_flag=True, help="Go on although test items stand in train."),
            click.option("--offline", is_flag=True, help="Send nothing to other machines."),
            click.option("--yes", is_flag=True, help="Ask nothing."),
            click.option("--quiet", is_flag=True, help="Say nothing but the result."),
            click.option("--json", "as_json", is_flag=True, help="The result as JSON."),
        )
    ):
        function = option(function)
    return _plugin_options(function)


@cli.command(epilog="harness run experiment.toml --max-usd 5")
@click.argument("experiment", type=click.Path(path_type=Path))
@_run_options
def run(experiment: Path, **options: Any) -> None:
    """Prepare, train, ask, score and report; goes on where it stopped."""
    _carry_out(experiment, options)


@cli.command(epilog="harness demo")
@_run_options
def demo(**options: Any) -> None:
    """The default experiment, real in every part; no key needed."""
    from importlib.resources import as_file, files

    from harness.manifest import machine

    if not options["quiet"]:
        where = machine()
        quick = "AMX" in where or "AVX512" in where
        time = "about 3 minutes" if quick else "about 8 minutes: without AMX training takes 2.5 times as long"
        click.echo(f"real training on this machine ({where}): {time}; done once, it is kept", err=True)
    with as_file(files("harness").joinpath("demo.toml")) as path:
        _carry_out(path, options)


def _carry_out(path: Path, options: dict[str, Any]) -> None:
    from harness.console import Console
    from harness.experiment import load
    from harness.pipeline import RunOptions
    from harness.pipeline import run as carry_out
    from harness.plugins import discover

    plugins = discover(options["files"], options["blocked"])
    experiment = load(path, plugins, allowed_files=options["files"])
    settings = RunOptions(
        out=options["out"],
        only=options["only"],
        limit=options["limit"],
        max_usd=options["max_usd"],
        reuse=not options["no_reuse"],
        allow_leaks=options["allow_leaks"],
        offline=options["offline"],
        command=shlex.join(["harness", *sys.argv[1:]]),
    )
    # stdout belongs to the result: what a plugin prints goes to stderr
    with redirect_stdout(sys.stderr), Console(quiet=options["quiet"]) as console:
        finished = carry_out(experiment, settings, console)
    _tell(finished, as_json=options["as_json"])
    if finished.unfinished is not None:
        raise finished.unfinished


def _tell(finished: Finished, *, as_json: bool) -> None:
    folder, report = finished.folder.path, finished.folder.report
    if as_json:
        click.echo(
            json.dumps(
                {
                    "sentence": finished.sentence,
                    "folder": str(folder),
                    "report": str(report),
                    "unfinished": finished.unfinished.message if finished.unfinished else None,
                },
                ensure_ascii=False,
            )
        )
    else:
        click.echo(f"{finished.sentence}\n{folder}\n{report}")


@cli.command(epilog="harness serve --port 8399")
@click.option("--model", metavar="M", help="A folder or a Hugging Face id; the embedded model by default.")
@click.option("--port", type=click.IntRange(0, 65535), default=8399, show_default=True, help="0: any free port.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Another address needs a key.")
@click.option("--api-key-env", metavar="V", help="The environment variable that holds the key to ask for.")
@click.option("--state", type=click.Path(path_type=Path), help="Where files, jobs and adapters lie.")
@click.option("--device", metavar="D", help="cpu, cuda or mps; by default the best there is.")
@click.option("--dtype", metavar="T", help="float32 or bfloat16; by default the faster one.")
def serve(**options: Any) -> None:
    """Serve and fine-tune a small model on this machine."""
    from importlib.metadata import entry_points

    servers = {point.name: point for point in entry_points(group="finetune_harness.servers")}
    if "local" not in servers:
        raise UsageError("no server is installed", "reinstall finetune-harness with its extra `local`")
    servers["local"].load()(**options)


@cli.command(epilog="harness report food-reviews --format md")
@click.argument("run", metavar="RUN")
@click.option("-o", "out", type=click.Path(path_type=Path), help="The file to write.")
@click.option("--format", "form", type=click.Choice(["html", "md", "json"]), default="html", show_default=True)
@click.option("--samples", type=click.Choice(["all", "errors", "none"]), default="all", show_default=True)
@click.option("--runs", type=click.Path(path_type=Path), default="runs", show_default=True, help="Where runs lie.")
@_plugin_options
def report(run: str, out: Path | None, form: str, samples: Any, runs: Path, files: Any, blocked: Any) -> None:
    """Rebuild a run's page from what is stored."""
    from harness.files import write_whole
    from harness.report.page import build, load
    from harness.runs import find_run

    folder = find_run(run, runs)
    if form == "html":
        click.echo(build(folder.path, _sections(files, blocked), out, samples))
        return
    results = load(folder.path)
    if form == "md":
        from harness.report.summary import to_markdown

        text = to_markdown(results)
    else:
        text = json.dumps(results.data, indent=1, ensure_ascii=False)
    if out is None:
        click.echo(text)
    else:
        write_whole(out, text.rstrip("\n") + "\n")
        click.echo(out)


@cli.command(epilog="harness publish food-reviews --site reports")
@click.argument("names", metavar="RUN…", nargs=-1, required=True)
@click.option(
    "--site", type=click.Path(path_type=Path), default="reports", show_default=True, help="The site's folder."
)
@click.option("--samples", type=click.Choice(["all", "errors", "none"]), help="none, unless the dataset may be shared.")
@click.option("--redact", is_flag=True, help="Take out what looks like a key.")
@click.option("--runs", type=click.Path(path_type=Path), default="runs", show_default=True, help="Where runs lie.")
@click.option("--yes", is_flag=True, help="Ask nothing.")
@_plugin_options
def publish(
    names: Sequence[str], site: Path, samples: Any, redact: bool, runs: Path, yes: bool, files: Any, blocked: Any
) -> None:
    """Add runs to a static site; says what leaves before it does."""
    from harness.publication import publish_runs
    from harness.runs import find_run

    folders = [find_run(name, runs) for name in names]
    sections = _sections(files, blocked)
    click.echo(publish_runs(folders, site, sections, samples=samples, redact=redact, agree=_agree(yes)))


def _agree(yes: bool) -> Callable[[str], bool]:
    """Asks a question, or takes `--yes` for an answer."""

    def ask(question: str) -> bool:
        click.echo(question, err=True)
        if yes:
            return True
        if not sys.stdin.isatty():
            raise UsageError("a question needs an answer, and there is no terminal", "add --yes to agree to it")
        return click.confirm("Go on?", err=True)

    return ask


def _sections(files: Sequence[str], blocked: Sequence[str]) -> list[Any]:
    from harness.options import construct, needs_options
    from harness.plugins import discover

    plugins = discover(files, blocked)
    plugins.check()
    return [construct(r.cls, {}, "sections") for r in plugins.of("section") if not needs_options(r.cls)]


@cli.command(epilog="harness runs")
@click.argument("folder", type=click.Path(path_type=Path), default="runs", metavar="[DIR]")
@click.option("--json", "as_json", is_flag=True, help="The list as JSON.")
def runs(folder: Path, as_json: bool) -> None:
    """List runs with their verdicts."""
    found = list(_stored_runs(folder))
    if as_json:
        click.echo(json.dumps(found, ensure_ascii=False, indent=1))
        return
    if not found:
        click.echo(f"there are no runs under {folder}/", err=True)
    for line in found:
        click.echo(f"{line['id']}  {line['finished'] or 'unfinished'}  {line['sentence'] or '–'}")


def _stored_runs(folder: Path) -> Any:
    from harness.runs import RunFolder

    for path in sorted(folder.glob("*/manifest.json")):
        one = RunFolder(path.parent)
        recorded = one.read_manifest()
        yield {
            "id": path.parent.name,
            "name": recorded.get("name"),
            "finished": recorded.get("finished"),
            "preview": recorded.get("preview", False),
            "sentence": _sentence(one.results),
        }


def _sentence(results: Path) -> str | None:
    """Returns a run's verdict; a run without results, or with broken ones, has none."""
    try:
        return str(json.loads(results.read_text(encoding="utf-8"))["verdict"]["sentence"])
    except (OSError, ValueError, LookupError, TypeError):
        return None


@cli.command(epilog="harness show food-reviews")
@click.argument("run", metavar="RUN")
@click.option("--runs", type=click.Path(path_type=Path), default="runs", show_default=True, help="Where runs lie.")
@click.option("--json", "as_json", is_flag=True, help="results.json as it is.")
def show(run: str, runs: Path, as_json: bool) -> None:
    """Show one run's table in the terminal."""
    from harness.report.page import load
    from harness.runs import find_run

    results = load(find_run(run, runs).path)
    if as_json:
        click.echo(json.dumps(results.data, ensure_ascii=False, indent=1))
        return
    from rich.console import Console as RichConsole

    from harness.report.summary import to_terminal

    RichConsole().print(to_terminal(results))


@cli.command(epilog="harness plugins --no-plugin mlflow")
@click.option("--json", "as_json", is_flag=True, help="The list as JSON.")
@_plugin_options
def plugins(as_json: bool, files: Sequence[str], blocked: Sequence[str]) -> None:
    """List what is installed, from where, and what failed to load."""
    from harness.options import option_names
    from harness.plugins import discover

    found = discover(files, blocked)
    listed = [
        {
            "kind": r.kind,
            "name": r.name,
            "distribution": r.distribution,
            "version": r.version,
            "options": list(option_names(r.cls)),
            "summary": r.summary,
        }
        for r in found.records
    ]
    failed = [{"name": f.name, "distribution": f.distribution, "reason": f.reason} for f in found.failures]
    if as_json:
        click.echo(json.dumps({"plugins": listed, "failed": failed}, ensure_ascii=False, indent=1))
    else:
        for line in listed:
            click.echo(f"{line['kind']:<10} {line['name']:<16} {line['distribution']:<28} {line['summary']}")
        for failure in failed:
            click.echo(f"{'FAILED':<10} {failure['name']:<16} {failure['distribution']:<28} {failure['reason']}")
    found.check()


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Runs the command line and exits with its code."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        code = cli.main(args=given, prog_name="harness", standalone_mode=False)
    except click.exceptions.Abort:
        code = _interrupted()
    except click.ClickException as error:
        code = _say_usage(error)
    except KeyboardInterrupt:
        code = _interrupted()
    except HarnessError as error:
        code = _say_error(error)
    except Exception as error:
        code = _bug(error, debug="--debug" in given)
    sys.exit(code if isinstance(code, int) else 0)


def _interrupted() -> int:
    click.echo("interrupted: what was answered is kept, the same command goes on", err=True)
    return INTERRUPTED


def _say_usage(error: click.ClickException) -> int:
    ctx = getattr(error, "ctx", None)
    hint = f"\n`{ctx.command_path} --help` says what there is" if ctx is not None else ""
    click.echo(f"error: {error.format_message()}{hint}", err=True)
    return error.exit_code


def _say_error(error: HarnessError) -> int:
    notes = [note for note in getattr(error, "__notes__", []) if "harness_plugins." not in note]
    word = "unfinished" if isinstance(error, UnfinishedError) else "error"
    message = f"{error.message} ({'; '.join(notes)})" if notes else error.message
    click.echo(f"{word}: {message}" + (f"\n{error.hint}" if error.hint else ""), err=True)
    return error.exit_code


def _bug(error: Exception, *, debug: bool) -> int:
    """Says one line about a bug of ours and leaves the traceback in a file."""
    if debug:
        traceback.print_exc()
        return 1
    with tempfile.NamedTemporaryFile("w", prefix="harness-", suffix=".log", delete=False, encoding="utf-8") as log:
        traceback.print_exc(file=log)
    click.echo(
        f"this is a bug of finetune-harness: {type(error).__name__}: {error}; its traceback is in {log.name}", err=True
    )
    return 1
