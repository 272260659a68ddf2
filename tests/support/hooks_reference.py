"""Writes docs/reference/hooks.md from the hooks, the contract, the values and the promises themselves.

By hand: ``PYTHONPATH=tests python -m support.hooks_reference``.
"""

from __future__ import annotations

import ast
import inspect
import re
import textwrap
from collections.abc import Iterable
from dataclasses import MISSING, fields
from itertools import pairwise
from types import FunctionType
from typing import Any

from harness import blocks, contract, hookspecs, types
from harness.plugins import discovery
from harness.scaffold import files
from harness.testing import promises
from harness.testing._promises import COMMON, KINDS
from support.cli import ROOT

PAGE = ROOT / "docs" / "reference" / "hooks.md"
SEE: dict[str, tuple[type, ...]] = {
    "dataset": (types.Context, types.Example, types.Check),
    "formatter": (types.Example, types.Prompt, types.Message),
    "selector": (types.Example,),
    "backend": (types.Prompt, types.Call, types.Reply, types.Answer, types.Context, types.TrainingFiles, types.JobSpec),
    "metric": (types.Rows, types.Row),
    "section": (blocks.Results,),
    "executor": (types.Call, types.Reply),
    "observer": (types.Event,),
}
"""Kind → the values that its plugins take and give."""
ALSO: dict[str, tuple[type, ...]] = {"selector": (contract.Picker,), "executor": (contract.Send, contract.Carrier)}
"""Kind → protocols that its plugins return or are given."""
INTRODUCTION = """
*Written from the specifications by `make hooks`; a test holds it to them.* How to begin:
[Write a plugin](../how-to/own-plugin.md).
"""
ORDER = ("dataset", "formatter", "selector", "backend", "metric", "section", "executor", "observer")


def page() -> str:
    """Returns the whole page."""
    parts = [
        "# Hooks and what plugins promise\n",
        INTRODUCTION,
        _prose(hookspecs.__doc__ or ""),
        "| kind | hook | an experiment names it |\n|---|---|---|\n" + "".join(_row(kind) for kind in ORDER),
        _versions(),
        "## What every plugin promises",
        "`harness.testing` and `harness plugins --check NAME` look at each of these.",
        _promised(COMMON),
    ]
    parts += [_kind(kind) for kind in ORDER]
    parts.append("## Values\n")
    parts.append("Frozen and keyword-only; all are in `harness`. Texts by name, bodies and figures are read-only.")
    parts += [_value(cls) for cls in dict.fromkeys(cls for kind in ORDER for cls in SEE[kind])]
    parts.append("## Blocks\n\n`harness.blocks`; all text is plain text, and no block holds HTML.\n")
    parts += [_value(cls) for cls in _blocks()]
    parts.append("## Names of types\n\n" + "\n".join(_aliases()))
    return _joined(parts) + "\n"


def _joined(parts: Iterable[str]) -> str:
    return "\n\n".join(part.strip("\n") for part in parts)


def _aliases() -> list[str]:
    """Returns a line for each alias that signatures and fields use."""
    found = []
    for module in (contract, blocks):
        body = ast.parse(inspect.getsource(module)).body
        for node, after in pairwise(body):
            if isinstance(node, ast.AnnAssign) and ast.unparse(node.annotation) == "TypeAlias" and node.value:
                means = ast.unparse(node.value).strip("\"'")
                known = isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant)
                said = f": {' '.join(str(after.value.value).split())}" if known else ""  # type: ignore[attr-defined]
                found.append(_wrapped(f"- `{ast.unparse(node.target)}` is `{means}`{said}", "  "))
    return found


def _row(kind: str) -> str:
    named = {
        "dataset": '`[dataset]` `plugin = "NAME"`', "formatter": '`formatter = { plugin = "NAME" }` of an arm',
        "selector": '`shots = { selector = "NAME", k = 8 }` of an arm', "backend": '`backend = { plugin = "NAME" }`',
        "metric": '`metrics = [{ plugin = "NAME" }]`, or not at all',
        "section": '`sections = [{ plugin = "NAME" }]`, or not at all',
        "executor": '`executor = { plugin = "NAME" }`',
        "observer": '`observers = [{ plugin = "NAME" }]`, or not at all',
    }  # fmt: skip
    hook, _ = discovery.KINDS[kind]
    return f"| [{kind}](#{hook}) | `{hook}` | {named[kind]} |\n"


def _versions() -> str:
    return (
        "## Versions\n\n"
        "What `harness.__all__` lists, the hooks, the methods below and the fields of values are the interface; it\n"
        "only grows within a major version. New fields have defaults, new methods are optional, new events and new\n"
        "keys of `results.json` may come at any time. What is to go is marked first: implementing such a hook warns\n"
        "(pluggy's `warn_on_impl`), naming its successor, in at least two minor versions before it goes. Plugins name\n"
        "the versions that they were tried with in their dependencies: `finetune-harness>=1.0.0rc1,<2`.\n"
    )


def _kind(kind: str) -> str:
    hook, _ = discovery.KINDS[kind]
    spec = getattr(hookspecs, hook)
    protocols = [*discovery.PROTOCOLS[kind], *ALSO.get(kind, ())]
    if kind == "backend":
        protocols.insert(0, contract.Backend)
    parts = [f"## {hook}\n", f"```python\n{_signature(spec)}\n```\n", _prose(inspect.getdoc(spec) or "")]
    parts += [_protocol(protocol) for protocol in protocols]
    example = files("my-plugins", [kind])[f"src/my_plugins/{kind}.py"]
    one = f"{'an' if kind[0] in 'aeiou' else 'a'} {kind}"
    parts.append(f"### {one.capitalize()}, whole\n\nAs `harness new plugin my-plugins --kind {kind}` writes it.\n")
    parts.append(f"```python\n{example.rstrip()}\n```\n")
    parts.append(f"### What {one} promises\n")
    parts.append(_promised({name: promises(kind)[name] for name in KINDS[kind]}))
    names = ", ".join(f"[`{cls.__name__}`](#{cls.__name__.lower()})" for cls in SEE[kind])
    return _joined([*parts, _wrapped(f"Values: {names}.")])


def _protocol(protocol: type) -> str:
    parts = [f"### {protocol.__name__}\n", _prose(inspect.getdoc(protocol) or "")]
    attributes = [
        f"- `{n}: {_annotation(protocol, n)}`{': ' + d if d else ''}" for n, d in _attributes(protocol).items()
    ]
    parts += ["\n".join(attributes)] if attributes else []
    for name, member in vars(protocol).items():
        function = member.fget if isinstance(member, property) else member
        if (name.startswith("_") and name != "__call__") or not isinstance(function, FunctionType):
            continue
        parts.append(f"```python\n{_signature(function, prop=isinstance(member, property))}\n```\n")
        parts.append(_prose(inspect.getdoc(function) or ""))
    return _joined(parts)


def _signature(function: Any, *, prop: bool = False) -> str:
    tree = ast.parse(textwrap.dedent(inspect.getsource(function))).body[0]
    assert isinstance(tree, ast.FunctionDef)
    tree.body, tree.decorator_list = [ast.Expr(ast.Constant(...))], []
    whole = ast.unparse(tree).replace(":\n    ...", ": ...")
    whole = f"@property\n{whole}" if prop else whole
    if max(map(len, whole.splitlines())) <= 116:
        return whole
    head, _, rest = whole.partition("(")
    arguments, arrow, result = rest.rpartition(") ->")
    assert arrow, whole
    return f"{head}(\n    {arguments}\n) ->{result}"


def _annotation(cls: type, name: str) -> str:
    return str(inspect.get_annotations(cls)[name])


def _attributes(cls: type) -> dict[str, str]:
    """Returns the documented class attributes of a class: name → the string below it."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(cls))).body[0]
    assert isinstance(tree, ast.ClassDef)
    found: dict[str, str] = {}
    last = ""
    for node in tree.body:
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            last = node.target.id
            found[last] = ""
        elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and last:
            found[last] = " ".join(str(node.value.value).split())
            last = ""
        else:
            last = ""
    return found


def _value(cls: type) -> str:
    parts = [f"### {cls.__name__}\n", _prose(inspect.getdoc(cls) or "")]
    docs = _attributes(cls)
    declared = {field.name: field for field in fields(cls)} if hasattr(cls, "__dataclass_fields__") else {}
    lines = ["| field | type | by default | |\n|---|---|---|---|\n"]
    for name, said in docs.items():
        field = declared.get(name)
        default = "" if field is None else _default(field)
        kind = _annotation(cls, name).replace("|", "\\|")
        lines.append(f"| `{name}` | `{kind}` | {default} | {said.replace('|', chr(92) + '|')} |\n")
    return _joined([*parts, *(["".join(lines)] if docs else [])])


def _default(field: Any) -> str:
    if field.default is not MISSING:
        if callable(field.default):
            return "nothing is done"
        return f"`{field.default!r}`".replace("PosixPath('.')", "Path()")
    if field.default_factory is not MISSING:
        return f"`{field.default_factory()!r}`"
    return "needed"


def _blocks() -> list[type]:
    found = [cls for cls in vars(blocks).values() if isinstance(cls, type) and cls.__module__ == blocks.__name__]
    return [cls for cls in found if cls is not blocks.Results]


def _promised(those: Any) -> str:
    rows = [
        f"| `{name}` | {one.text} | {one.cure[0].upper()}{one.cure[1:]} |\n".replace(" | None", " \\| None")
        for name, one in those.items()
    ]
    return "| name | what holds | to mend it |\n|---|---|---|\n" + "".join(rows)


def _prose(text: str) -> str:
    """Turns a Google-style docstring into Markdown."""
    paragraphs = []
    for part in re.split(r"\n\s*\n", inspect.cleandoc(text)):
        head, _, rest = part.partition("\n")
        if head.rstrip(":") in {"Args", "Returns", "Raises", "Yields"} and head.endswith(":"):
            items = re.split(r"\n(?=    \S)", rest)
            said = [f"- {_item(' '.join(item.split()))}" for item in items]
            paragraphs.append(f"{head}\n\n" + "\n".join(_wrapped(line, "  ") for line in said))
        else:
            paragraphs.append(_wrapped(" ".join(part.split())))
    return "\n\n".join(paragraphs) + "\n"


def _item(text: str) -> str:
    name, colon, said = text.partition(": ")
    return f"`{name}`: {said}" if colon and re.fullmatch(r"[\w.]+", name) else text


def _wrapped(text: str, indent: str = "") -> str:
    return "\n".join(
        textwrap.wrap(
            text.replace("``", "`"), 118, break_long_words=False, break_on_hyphens=False, subsequent_indent=indent
        )
    )


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
