"""How commands end: what is said on stderr, and the exit code."""

from __future__ import annotations

import io
import re
import sys
import tempfile
import traceback
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import click

from harness.errors import HarnessError, UnfinishedError, disk_full, nearest, refused
from harness.plugins import OWN
from harness.running.interrupts import INTERRUPTED


def ended(command: Callable[[], Any], *, debug: bool = False) -> int:
    """Runs a command to its end and returns its exit code.

    Args:
        command: What is run; a number that it returns is the exit code.
        debug: Whether a bug of ours shows its traceback.
    """
    try:
        code = command()
    except click.exceptions.Abort:
        code = _interrupted()
    except click.ClickException as error:
        code = _say_usage(error)
    except KeyboardInterrupt:
        code = _interrupted()
    except HarnessError as error:
        code = _say_error(error)
    except Exception as error:
        told = disk_full(error) or refused(error)
        code = _bug(error, debug=debug) if told is None else _say_error(told)
    _let_stderr_go()
    return code if isinstance(code, int) else 0


def _let_stderr_go() -> None:
    """Forgets what could not be written, for instance to a log on a full disk: it would spoil the exit code."""
    try:
        sys.stderr.flush()
    except OSError:
        sys.stderr = io.StringIO()


def _say(text: str) -> None:
    """Writes to stderr, where that can be written."""
    with suppress(OSError):
        click.echo(text, err=True)


def _interrupted() -> int:
    _say("interrupted: what is complete is kept, the same command goes on")
    return INTERRUPTED


def _say_usage(error: click.ClickException) -> int:
    ctx = getattr(error, "ctx", None)
    hint = f"\n`{ctx.command_path} --help` says what there is" if ctx is not None else ""
    _say(_visible(f"error: {_plainly(error)}{hint}"))
    return error.exit_code


def _plainly(error: click.ClickException) -> str:
    """Says what is wrong with a command in the words of the other errors."""
    said = error.format_message()
    match error:
        case click.NoSuchOption():
            near = f"; {nearest(error.option_name, error.possibilities)}" if error.possibilities else ""
            return f"there is no option {error.option_name}{near}"
        case click.MissingParameter(param=click.Parameter() as missing):
            return f"{_named(missing)} is missing"
        case click.BadParameter(param=click.Parameter() as wrong):
            kind = wrong.type
            if isinstance(kind, click.Choice):
                given = re.match("'(.*)' is not one of", error.message)
                return f"{_named(wrong)} {given[1]}: {nearest(given[1], kind.choices)}" if given else said
            expected = _expected(kind)
            given = re.match(r"'?(.*?)'? is not (?:a valid|in the range)", error.message)
            return f"{_named(wrong)} {given[1]}: {expected} is expected" if expected and given else said
        case click.UsageError() if more := re.match(r"Got unexpected extra arguments? \((.*)\)", said):
            return f"one argument too many: {more[1]}"
        case _:
            return said[:1].lower() + said[1:].rstrip(".")


def _named(param: click.Parameter) -> str:
    """Returns how a parameter is written: ``--limit``, or ``RUN``."""
    return max(param.opts, key=len) if isinstance(param, click.Option) else param.human_readable_name


def _expected(kind: click.ParamType[Any]) -> str:
    """Says which numbers an option takes; nothing where it takes no number."""
    whole = isinstance(kind, click.types.IntParamType)
    if not whole and not isinstance(kind, click.types.FloatParamType):
        return ""
    noun = "a whole number" if whole else "a number"
    low, high = getattr(kind, "min", None), getattr(kind, "max", None)
    if low is None:
        return noun
    if getattr(kind, "min_open", False):
        return f"{noun} above {low:g}"
    return f"{noun} of at least {low:g}" if high is None else f"{noun} from {low:g} to {high:g}"


def _say_error(error: HarnessError) -> int:
    notes = [note for note in getattr(error, "__notes__", []) if f"({OWN} " not in note]
    word = "unfinished" if isinstance(error, UnfinishedError) else "error"
    message = f"{error.message} ({'; '.join(notes)})" if notes else error.message
    _say(_visible(f"{word}: {message}" + (f"\n{error.hint}" if error.hint else "")))
    return error.exit_code


def _visible(text: str) -> str:
    """Spells control characters out: what stands in data or a path must not steer the terminal."""
    return "".join(c if c == "\n" or c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


def _bug(error: Exception, *, debug: bool) -> int:
    """Says one line about a bug of ours and leaves the traceback in a file."""
    if debug:
        traceback.print_exc()
        return 1
    with tempfile.NamedTemporaryFile("w", prefix="harness-", suffix=".log", delete=False, encoding="utf-8") as log:
        traceback.print_exc(file=log)
    _say(f"this is a bug of finetune-harness: {type(error).__name__}: {error}; its traceback is in {log.name}")
    return 1
