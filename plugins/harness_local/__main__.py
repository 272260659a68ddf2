"""``python -m harness_local``: the same as ``harness serve``, for use as a process of its own."""

from __future__ import annotations

import argparse
from pathlib import Path

from harness.errors import HarnessError
from harness_local.serving import report_and_exit, serve


def main() -> None:
    """Reads the options and serves."""
    parser = argparse.ArgumentParser(prog="python -m harness_local", description=__doc__)
    parser.add_argument("--model", help="folder, GGUF file or Hugging Face id; default: the embedded model")
    parser.add_argument("--port", type=int, default=0, help="0 for a free one")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--api-key-env", metavar="V", help="environment variable that holds the key")
    parser.add_argument("--state", type=Path, metavar="DIR")
    parser.add_argument("--adapter", type=Path, action="append", default=[], metavar="DIR")
    parser.add_argument("--device", metavar="D", help="cpu, cuda or mps")
    parser.add_argument("--dtype", metavar="T", help="bfloat16, float16 or float32")
    try:
        serve(**vars(parser.parse_args()))
    except HarnessError as error:
        report_and_exit(error)


if __name__ == "__main__":
    main()
