"""Arguments → pipeline: the commands put together, and how each of them ends."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import NoReturn

import click

from harness.commands import (
    compare,
    decide,
    estimate,
    export,
    gate,
    init,
    listing,
    new,
    predict,
    prepare,
    publish,
    recheck,
    relabel,
    report,
    run,
    serve,
    show,
    train,
)
from harness.commands.endings import ended
from harness.commands.shared import Group


@click.group(
    cls=Group,
    epilog="harness demo",
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(package_name="finetune-harness", message="%(version)s")
@click.option("--debug", is_flag=True, help="Show the traceback of a bug.")
@click.pass_context
def cli(ctx: click.Context, debug: bool) -> None:
    """Should you fine-tune a language model for this task, or is a few-shot prompt enough?"""
    ctx.obj = {"debug": debug}


for _command in (
    run.run,
    run.demo,
    init.init,
    prepare.prepare,
    estimate.estimate,
    train.train,
    serve.serve,
    decide.decide,
    report.report,
    publish.publish,
    predict.predict,
    recheck.recheck,
    export.export,
    relabel.relabel,
    compare.compare,
    gate.gate,
    listing.runs,
    show.show,
    listing.plugins,
    new.new,
):
    cli.add_command(_command)


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Runs the command line and exits with its code."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    sys.exit(ended(lambda: cli.main(args=given, prog_name="harness", standalone_mode=False), debug="--debug" in given))
