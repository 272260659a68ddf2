"""Runs to explore: texts in many scripts, shots, slices, odd ids; and what a page holds of them, unpacked."""

from __future__ import annotations

import base64
import gzip
import json
import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from harness.blocks import Results
from support.report import make_results

SCRIPTS = (
    "Das Gerät läuft seit gestern wieder einwandfrei.",
    "المنتج جيد جدًا لكن التوصيل تأخر كثيرًا.",
    "המוצר הגיע שבור, אבל השירות מצוין.",
    "电池很快就没电了,不推荐。",
    "배송이 빨라서 좋았어요 😀👩‍👩‍👧",
    "=SUM(A1:A9) is how it begins",
    'Quotes "here", a comma\nand a second line',
)
ODD_IDS = ("a/b?c=d&e#f", "100% <b>", "ä:ö:ü", " space ", "x" * 80)


def explored(n: int = 120, arms: int = 4, seed: int = 5) -> Results:
    """Makes results whose examples have texts in many scripts, some odd ids, slices, and shots of a train split."""
    results = make_results(n=n, arms=arms)
    draw = random.Random(seed)
    old = sorted(results.examples["id"])
    names = dict(zip(old, [*ODD_IDS[:n], *old[len(ODD_IDS) :]], strict=True))
    train = [f"train{number:03}" for number in range(20)]
    own = {key: tuple(draw.sample(train, 3)) for key in old}
    shots = {"8-shot": lambda key: tuple(train[:8]), "zero-shot": lambda key: (), "tuned": lambda key: own[key]}
    columns = results.predictions
    predictions = {
        **columns,
        "reused": tuple(place % 7 == 0 for place in range(len(columns["arm"]))),
        "reasoning_tokens": tuple(24 if arm == "8-shot" else None for arm in columns["arm"]),
        "example_id": tuple(names[key] for key in columns["example_id"]),
        "shot_ids": tuple(
            shots.get(arm, shots["zero-shot"])(key)
            for arm, key in zip(columns["arm"], columns["example_id"], strict=True)
        ),
    }
    texts = [f"{SCRIPTS[place % len(SCRIPTS)]} No. {place}" for place in range(n)]
    labels = dict(zip(results.examples["id"], results.examples["label"], strict=True))
    examples = {
        "id": (*(names[key] for key in old), *train),
        "split": ("test",) * n + ("train",) * len(train),
        "label": (*(labels[key] for key in old), *(("positive", "negative")[place % 2] for place in range(len(train)))),
        "text": (*texts, *(f"A shot: {SCRIPTS[place % len(SCRIPTS)]} {key}" for place, key in enumerate(train))),
        "slices": tuple(
            json.dumps({"country": ("de", "مصر", "kr")[place % 3]}) if place < n else "{}" for place in range(n + 20)
        ),
    }
    return replace(results, predictions=predictions, examples=examples)


def answers(results: Results) -> dict[str, dict[str, dict[str, Any]]]:
    """Returns arm → example → its answer."""
    columns = results.predictions
    found: dict[str, dict[str, dict[str, Any]]] = {}
    for place, (arm, key) in enumerate(zip(columns["arm"], columns["example_id"], strict=True)):
        found.setdefault(arm, {})[key] = {name: values[place] for name, values in columns.items()}
    return found


def islands(html: str, name: str) -> list[str]:
    """Returns the content of a page's scripts of data of one class."""
    return re.findall(rf'<script type="[^"]+" class="{name}">(.*?)</script>', html, re.DOTALL)


def unpacked(text: str) -> Any:
    """Unpacks what a browser would."""
    return json.loads(gzip.decompress(base64.b64decode(text)))


def held(html: str, files: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Returns what a page's explorer and the files beside it hold: `config`, `columns`, row chunks, shot chunks."""
    [config], [columns] = islands(html, "x-config"), islands(html, "x-columns")
    parts = json.loads(config)
    inline = islands(html, "x-chunk")
    texts = [
        unpacked(_argument((files or {})[file]) if file else inline[place])
        for place, (_, _, file) in enumerate([*parts["chunks"], *parts["shots"]])
    ]
    rows = len(parts["chunks"])
    return {"config": parts, "columns": unpacked(columns), "rows": texts[:rows], "shots": texts[rows:]}


def _argument(script: str) -> str:
    found = re.fullmatch(r'harnessChunk\("([0-9a-f]{16})","([A-Za-z0-9+/=]+)"\);\n', script)
    assert found is not None
    return found.group(2)


def joined(parts: Sequence[Mapping[str, Any]], name: str) -> list[Any]:
    """Returns a column over all chunks."""
    return [value for part in parts for value in part[name]]
