"""`harness demo`: the experiment that comes with the harness."""

from __future__ import annotations

from typing import Any

import click

from harness.commands.run import carry_out, run_options
from harness.commands.shared import command


@command("harness demo")
@run_options
def demo(**options: Any) -> None:
    """The default experiment, real in every part; no key needed."""
    from importlib.resources import as_file, files

    from harness.running.manifest import machine

    if not options["quiet"]:
        where = machine()
        quick = "AMX" in where or "AVX512" in where
        time = "about 3 minutes" if quick else "about 8 minutes: without AMX training takes 2.5 times as long"
        click.echo(f"real training on this machine ({where}): {time}; done once, it is kept", err=True)
    with as_file(files("harness").joinpath("demo.toml")) as path:
        carry_out(path, options)
