"""The fake provider's process."""

from __future__ import annotations

import json
import sys

from support.provider.server import serve
from support.provider.settings import Settings


def main() -> None:
    """Serves until standard input ends (or for ever, where the settings came as an argument)."""
    argument = sys.argv[1] if len(sys.argv) > 1 else "{}"
    values = json.loads(sys.stdin.readline() if argument == "-" else argument)
    settings = Settings()
    settings.update(values)
    serve(settings, until_stdin_ends=argument == "-")


if __name__ == "__main__":
    main()
