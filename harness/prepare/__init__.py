"""The data stage: pure functions from examples to splits, checks and training lines."""

from harness.prepare.leaks import find_leaks
from harness.prepare.limit import limited
from harness.prepare.normalise import fold
from harness.prepare.options import Fractions, Leak, Prepared, PrepareOptions
from harness.prepare.stage import fingerprint, prepare
from harness.prepare.training import training_file

__all__ = [
    "Fractions",
    "Leak",
    "PrepareOptions",
    "Prepared",
    "find_leaks",
    "fingerprint",
    "fold",
    "limited",
    "prepare",
    "training_file",
]
