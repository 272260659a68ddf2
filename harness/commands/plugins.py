"""`harness plugins`: what is installed, and whether a plugin keeps what its kind promises."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from harness.commands.shared import command, plugin_options, say_json
from harness.errors import UsageError

if TYPE_CHECKING:
    from harness.plugins import Plugins


@command("harness plugins --check my-metric --option bins=10")
@click.option("--check", metavar="NAME", help="Try a plugin: does it keep what its kind promises?")
@click.option("--option", "options", multiple=True, metavar="KEY=VALUE", help="An option of it, its value as in TOML.")
@click.option("--json", "as_json", is_flag=True, help="The list, or what a check found, as JSON.")
@plugin_options
def plugins(
    check: str | None, options: Sequence[str], as_json: bool, files: Sequence[str], blocked: Sequence[str]
) -> None:
    """List what is installed, from where, and what failed to load."""
    from harness.plugins.discovery import discover

    found = discover(files, blocked)
    if check is not None:
        _check(found, check, options, as_json=as_json)
        return
    if options:
        raise UsageError("--option is for --check", "name the plugin: --check NAME")
    if as_json:
        say_json(_as_json(found))
    else:
        for line in found.records:
            click.echo(f"{line.kind:<10} {line.name:<20} {line.distribution:<28} {line.summary}")
        for failure in found.failures:
            click.echo(f"{'FAILED':<10} {failure.name:<20} {failure.distribution:<28} {failure.reason}")
    for name, distribution, seconds in found.slow:
        click.echo(
            f"slow: importing {name} ({distribution}) took {seconds:.1f} s; heavy imports belong into functions",
            err=True,
        )
    found.check()


def _as_json(found: Plugins) -> dict[str, Any]:
    from harness.plugins.options import option_names

    return {
        "plugins": [
            {
                "kind": r.kind,
                "name": r.name,
                "distribution": r.distribution,
                "version": r.version,
                "options": list(option_names(r.cls)),
                "summary": r.summary,
                "import_s": round(r.import_s, 3),
            }
            for r in found.records
        ],
        "failed": [{"name": f.name, "distribution": f.distribution, "reason": f.reason} for f in found.failures],
    }


def _check(found: Plugins, name: str, options: Sequence[str], *, as_json: bool) -> None:
    """Tries the plugins of a name and says which promises they keep.

    Raises:
        PluginError: There is none of that name, or one breaks a promise.
        UsageError: Its options are missing or wrong.
    """
    from harness.errors import PluginError
    from harness.plugins.options import OptionError
    from harness.testing import BrokenPromisesError, check_plugin

    checked = []
    for record in found.named(name):
        told: dict[str, Any] = {"kind": record.kind, "name": record.name, "distribution": record.distribution}
        who = f'{record.kind} "{record.name}" ({record.distribution})'
        try:
            kept = check_plugin(record.kind, record.cls, _given(options), folder=Path())
        except OptionError as error:
            raise UsageError(f"{name}: {error.message}", "give it: --option KEY=VALUE, the value as in TOML") from None
        except BrokenPromisesError as error:
            told |= {"kept": None, "broken": [asdict(each) for each in error.violations]}
            said = str(error)
        else:
            told |= {"kept": kept, "broken": []}
            said = f"{who} keeps its {len(kept)} promises: {', '.join(kept)}"
        checked.append(told)
        if not as_json:
            click.echo(said)
    if as_json:
        say_json({"checked": checked})
    kinds = [told["kind"] for told in checked if told["broken"]]
    if kinds:
        raise PluginError(f'the {" and the ".join(kinds)} "{name}" broke promises; they are listed above')


def _given(options: Sequence[str]) -> dict[str, Any]:
    """Reads KEY=VALUE: the value as TOML gives it, or the bare text."""
    import tomllib

    given: dict[str, Any] = {}
    for option in options:
        key, equals, value = option.partition("=")
        if not equals or not key.strip():
            raise UsageError(f"--option {option}: KEY=VALUE is expected", "such as --option bins=10")
        try:
            given[key.strip()] = tomllib.loads(f"value = {value}")["value"]
        except tomllib.TOMLDecodeError:
            given[key.strip()] = value
    return given
