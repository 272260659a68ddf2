"""finetune-harness: should you fine-tune a language model for this task, or is a few-shot prompt enough?

What is listed in `__all__` is the public interface: plugins need nothing else.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from harness import blocks, parsing, replies
from harness.blocks import Results
from harness.contract import Carrier, Send
from harness.errors import (
    DataError,
    ExperimentError,
    GateError,
    HarnessError,
    PluginError,
    TrainingRefusedError,
    UnfinishedError,
    UsageError,
    nearest,
)
from harness.hookspecs import hookimpl
from harness.prepare.normalise import fold
from harness.prepare.shingles import nearly_same, shingles
from harness.types import (
    Answer,
    Call,
    Check,
    Context,
    Event,
    Example,
    JobSpec,
    Message,
    Prediction,
    Prompt,
    Reply,
    Row,
    Rows,
    Split,
    Status,
    TrainingFiles,
    content_id,
)

if TYPE_CHECKING:
    from harness.finished.loaded import Loaded

__version__ = "1.0.0rc1"


def load(run: str | Path, runs: str | Path = "runs") -> Loaded:
    """Reads a finished run, for a notebook: `.results` as a typed object, `.predictions` as a DataFrame.

    Args:
        run: Its folder, or its name under `runs`.
        runs: Where runs are.

    Raises:
        UsageError: There is no such run; the nearest is named.
        DataError: It has no results yet, or they are of another schema.
    """
    from harness.finished import loaded

    return loaded.load(run, runs)


__all__ = [
    "Answer",
    "Call",
    "Carrier",
    "Check",
    "Context",
    "DataError",
    "Event",
    "Example",
    "ExperimentError",
    "GateError",
    "HarnessError",
    "JobSpec",
    "Message",
    "PluginError",
    "Prediction",
    "Prompt",
    "Reply",
    "Results",
    "Row",
    "Rows",
    "Send",
    "Split",
    "Status",
    "TrainingFiles",
    "TrainingRefusedError",
    "UnfinishedError",
    "UsageError",
    "__version__",
    "blocks",
    "content_id",
    "fold",
    "hookimpl",
    "load",
    "nearest",
    "nearly_same",
    "parsing",
    "replies",
    "shingles",
]
