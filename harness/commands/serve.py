"""`harness serve`: the local endpoint."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from harness.commands.shared import command
from harness.errors import UsageError


@command("harness serve --port 8399")
@click.option("--model", metavar="M", help="A folder, GGUF file or Hugging Face id; else the embedded model.")
@click.option("--port", type=click.IntRange(0, 65535), default=8399, show_default=True, help="0: any free port.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Another address needs a key.")
@click.option("--api-key-env", metavar="V", help="The environment variable with the key to ask for.")
@click.option(
    "--state",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Where files, jobs, adapters lie; else a folder of yours.",
)
@click.option(
    "--adapter",
    type=click.Path(path_type=Path),
    multiple=True,
    metavar="DIR",
    help="A fine-tuned model: what harness export wrote, or an adapter's folder; repeatable.",
)
@click.option("--device", metavar="D", help="cpu, cuda or mps; by default the best there is.")
@click.option("--dtype", metavar="T", help="float32, bfloat16 or float16; by default the fastest.")
def serve(**options: Any) -> None:
    """Serve and fine-tune a small model on this machine."""
    from importlib.metadata import entry_points

    servers = {point.name: point for point in entry_points(group="finetune_harness.servers")}
    if "local" not in servers:
        raise UsageError("no server is installed", "reinstall finetune-harness with its extra `local`")
    servers["local"].load()(**options)
