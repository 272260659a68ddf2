"""One exception tree; each branch knows the exit code of the command that it ends.

```
HarnessError                     1   a bug of ours, unless a branch below says otherwise
├── UsageError                   2   the experiment, the data, a plugin or the command is wrong
│   ├── ExperimentError              … in the experiment file: key path, line, nearest right name
│   │   └── KeyedError               … of one key of it
│   ├── DataError                    … in the data: file, row, column
│   └── PluginError                  … in a plugin: its name and distribution
├── GateError                    3   a gate said no: leak, budget, threshold, PII or key in a publication
└── UnfinishedError              4   quota, endpoint down, training refused: the same command goes on
    └── TrainingRefusedError         … the provider does not train (any more)
```
"""

from __future__ import annotations

import errno
from collections.abc import Iterable
from difflib import get_close_matches


class HarnessError(Exception):
    """Root of all errors that the harness raises on purpose.

    Args:
        message: What is wrong and where, one line.
        hint: What to do about it, one line; may be empty.
    """

    exit_code = 1

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = str(message)  # plugins give the exception that they caught
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}\n{self.hint}" if self.hint else self.message


class UsageError(HarnessError):
    """The experiment, the data, a plugin or the command is wrong."""

    exit_code = 2


class ExperimentError(UsageError):
    """The experiment file does not say what it must."""


class KeyedError(ExperimentError):
    """An error of one key of the file.

    Args:
        message: What is wrong and where, one line.
        key: The key's path.
        said: What is wrong, without the place.
    """

    def __init__(self, message: str, key: str, said: str) -> None:
        super().__init__(message)
        self.key, self.said = key, said


class DataError(UsageError):
    """The data cannot be used as asked."""


class PluginError(UsageError):
    """A plugin failed to load, broke its contract or raised."""


class GateError(HarnessError):
    """A gate said no."""

    exit_code = 3


class UnfinishedError(HarnessError):
    """Something could not be finished now; the same command goes on later."""

    exit_code = 4


class TrainingRefusedError(UnfinishedError):
    """The provider refused the training job."""


FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
"""How a system says that there is no room: on the disk, for this user, in one file."""


def disk_full(error: BaseException, place: object = None) -> UnfinishedError | None:
    """Returns what to tell where an error of the system says that there is no room; `None` for any other error.

    Args:
        error: What was raised.
        place: What was written, where the error does not say.
    """
    if not isinstance(error, OSError) or error.errno not in FULL:
        return None
    where = place or error.filename
    return UnfinishedError(
        f"cannot write{f' {where}' if where else ''}: {error.strerror}", "free some space; the same command goes on"
    )


REFUSED = frozenset({errno.EACCES, errno.EPERM, errno.EROFS, errno.EBUSY, errno.ENAMETOOLONG, errno.ELOOP})
"""How a system refuses a path: no right to it, a disk that is only read, in use, a name too long, links in a circle."""


def refused(error: BaseException) -> UsageError | None:
    """Returns what to tell where an error of the system says that it refuses a path; `None` for any other error."""
    if not isinstance(error, OSError) or error.errno not in REFUSED:
        return None
    where = f"{error.filename}: " if error.filename else ""
    return UsageError(f"{where}{error.strerror}", "check the path, and who may read and write there")


def closest(name: str, names: Iterable[str], *, cutoff: float = 0.6) -> str | None:
    """Returns the one of `names` that is most like `name`, whatever the case; `None` where none is close."""
    folded = {other.casefold(): other for other in names}
    close = get_close_matches(name.casefold(), list(folded), n=1, cutoff=cutoff)
    return folded[close[0]] if close else None


def nearest(name: str, names: Iterable[str], *, cutoff: float = 0.6) -> str:
    """Returns ``did you mean "x"?`` for the closest of `names`, or the list of them where none is close.

    Args:
        name: What was said.
        names: What there is.
        cutoff: How much alike two names must be, from 0 to 1; more for names of files, whose endings are alike anyway.
    """
    known = sorted(names)
    if (close := closest(name, known, cutoff=cutoff)) is not None:
        return f'did you mean "{close}"?'
    return f"there is {', '.join(known[:12])}{', …' if len(known) > 12 else ''}" if known else "there is none"
