"""What plugins of every kind promise: their class, their options, their module."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import MISSING, fields, is_dataclass
from functools import cache
from pathlib import Path
from typing import Any, ClassVar, get_origin, get_type_hints

from harness.plugins.discovery import wrong_signature
from harness.testing._trial import Trial

HEAVY = (
    "aiohttp", "datasets", "gguf", "matplotlib", "mlflow", "numpy", "openai", "pandas", "peft", "pyarrow", "ray",
    "scipy", "sklearn", "tensorflow", "tokenizers", "torch", "transformers", "vllm", "requests", "httpx",
)  # fmt: skip
"""Libraries that take a noticeable time to import, and that `harness plugins` must not pay for."""
SLOW_S = 1.0
"""Seconds of processor time above which an import is slow."""


def common(trial: Trial) -> None:
    """Looks at the class."""
    cls = trial.cls
    frozen = is_dataclass(cls) and bool(cls.__dataclass_params__.frozen)  # type: ignore[attr-defined]
    trial.expect("frozen", frozen, f"{cls.__name__} is no frozen dataclass")
    name = getattr(cls, "name", None)
    option = any(field.name == "name" for field in fields(cls)) if is_dataclass(cls) else False
    proper = isinstance(name, str) and bool(name) and name == name.strip() and name.isprintable()
    trial.expect("name", proper and not option, f"name is {'an option' if option else repr(name)}")
    doc = cls.__dict__.get("__doc__") or ""
    generated = doc.startswith(f"{cls.__name__}(")
    trial.expect("described", bool(doc.strip()) and not generated, f"{cls.__name__} has no docstring")
    wrong = wrong_signature(trial.kind, cls)
    trial.expect("methods", wrong is None, wrong or "")
    with trial.part():
        _options(trial)
    if "light" not in trial.skip:
        _module(trial)


def _options(trial: Trial) -> None:
    from harness.experiment import plain
    from harness.plugins.options import OptionError, construct

    cls = trial.cls
    try:
        hints = get_type_hints(cls, include_extras=True)
    except Exception as error:
        trial.need("options", False, f"the annotations of {cls.__name__} cannot be read: {error}")
    for field in fields(cls) if is_dataclass(cls) else ():
        if not field.init or get_origin(hints[field.name]) is ClassVar:
            continue
        if field.default is MISSING and field.default_factory is MISSING:
            continue
        default = field.default if field.default_factory is MISSING else field.default_factory()
        fits = _fits(hints[field.name], default)
        trial.expect("options", fits is None, f"the default of {field.name}, {default!r}, is not as annotated: {fits}")
    try:
        construct(cls, {"no_such_option_": 1}, "plugin")
    except OptionError as error:
        refused = "no_such_option_" in error.path
    except Exception as error:
        trial.need("options", False, f"making it raised {type(error).__name__}: {error}")
    else:
        refused = False
    trial.expect("options", refused, "an option that there is not is accepted")
    try:
        json.dumps(plain(trial.plugin), allow_nan=False)
    except (TypeError, ValueError) as error:
        trial.need("options", False, f"its options are no plain values: {error}")
    trial.expect("equal", trial.make() == trial.make(), "two instances with the same options differ")


def _fits(hint: Any, value: Any) -> str | None:
    from pydantic import TypeAdapter, ValidationError

    try:
        TypeAdapter(hint).validate_python(value)
    except ValidationError as error:
        return str(error.errors()[0]["msg"])
    except Exception as error:  # an annotation that pydantic knows nothing of
        return f"{type(error).__name__}: {error}"
    return None


def _module(trial: Trial) -> None:
    """Imports the module in a fresh process, where it can be: not one that is a test or a function's own class."""
    module = sys.modules.get(trial.cls.__module__)
    file = getattr(module, "__file__", None)
    if "<locals>" in trial.cls.__qualname__ or file is None or Path(file).name.startswith(("test_", "conftest")):
        return
    found = _alone(trial.cls.__module__, str(Path(file).resolve()))
    trial.expect("light", found.get("error") is None, f"importing it alone failed: {found.get('error')}")
    heavy = ", ".join(found["heavy"])
    trial.expect("light", not heavy, f"importing {trial.cls.__module__} imports {heavy}")
    trial.expect("light", found["seconds"] < SLOW_S, f"importing it takes {found['seconds']:.1f} s")
    trial.expect("quiet", not found["printed"], f"importing it printed {found['printed']!r}")


@cache
def _alone(module: str, file: str) -> dict[str, Any]:
    """Imports one module; what is known of it is not found out twice."""
    return imported([(module, file)])[0]


_PROGRAM = """
import contextlib, importlib, importlib.util, io, json, sys, time
import harness
found = []
for name, file in json.loads(sys.argv[1]):
    before, printed, error = set(sys.modules), io.StringIO(), None
    began = time.process_time()
    try:
        with contextlib.redirect_stdout(printed):
            try:
                known = importlib.util.find_spec(name)
            except (ImportError, ValueError):
                known = None
            if known is not None:
                importlib.import_module(name)
            else:
                spec = importlib.util.spec_from_file_location(name, file)
                module = importlib.util.module_from_spec(spec)
                sys.modules[name] = module
                spec.loader.exec_module(module)
    except BaseException as raised:
        error = f"{type(raised).__name__}: {raised}"
    seconds = time.process_time() - began
    new = {one.partition(".")[0] for one in set(sys.modules) - before}
    found.append({"module": name, "seconds": seconds, "printed": printed.getvalue()[:300], "error": error,
                  "heavy": sorted(new & set(json.loads(sys.argv[2])))})
print(json.dumps(found), file=sys.stderr)
"""


def imported(modules: Sequence[tuple[str, str]]) -> list[dict[str, Any]]:
    """Imports modules one after the other in one fresh process.

    Args:
        modules: Name and file of each.

    Returns:
        For each `module`, `seconds` of processor time beyond the harness itself, what it `printed`, which `heavy`
        libraries came with it, and an `error`.
    """
    path = os.pathsep.join(filter(None, sys.path))
    command = [sys.executable, "-c", _PROGRAM, json.dumps(list(modules)), json.dumps(HEAVY)]
    done = subprocess.run(
        command, env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True, check=True, timeout=120
    )
    found: list[dict[str, Any]] = json.loads(done.stderr.strip().splitlines()[-1])
    return found
