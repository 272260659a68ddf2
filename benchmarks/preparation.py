"""The data stage on short reviews: seconds, peak memory, recall and precision of planted near-duplicates.

    .venv/bin/python benchmarks/preparation.py [N]          # 1,200,000 by default
    .venv/bin/python benchmarks/preparation.py --peers [N]  # near-duplicates alone, beside other libraries; 200,000

Reviews are synthetic (`synthetic.py`): a Zipf vocabulary with 5% planted near-duplicates. Everything that `harness
prepare` does is in the measure: reading the CSV, exact and near duplicates, leak gate, split, quality, training files.
"""

from __future__ import annotations

import csv
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from synthetic import grams, jaccard, reviews

PEERS = ("rensa==0.5.0", "datasketch==2.0.0")


def whole(n: int) -> None:
    """Runs the command on `n` reviews, in a process of its own."""
    made = reviews(n)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "reviews.csv")
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(["text", "stars"])
            writer.writerows(zip(made.texts, made.labels, strict=True))
        out = Path(folder, "prepared")
        began = time.perf_counter()
        harness = Path(sys.executable).with_name("harness")
        command = [harness, "prepare", path, "-o", out, "--text", "text", "--label", "stars"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        seconds = time.perf_counter() - began
        assert done.returncode == 0, done.stderr
        peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1e6
        report = json.loads((out / "quality.json").read_text(encoding="utf-8"))
        size = path.stat().st_size / 1e6
    removed = report["removed"]
    assert report["rows_in"] == n == sum(report["rows_out"].values()) + sum(removed.values())
    print(f"{n:,} reviews ({size:.0f} MB): {seconds:.1f} s, peak {peak:.2f} GB; {n / seconds:,.0f} rows/s")
    print(f"removed {removed}; planted near-duplicates {len(made.planted):,}")
    for line in done.stderr.splitlines():
        print(f"  {line}")


def near(n: int) -> None:
    """Compares ways of finding the planted near-duplicates, each in a process of its own."""
    from peers import environment

    python = environment("near-duplicates", PEERS)
    rows = [("harness", sys.executable)] + [(name, python) for name in ("rensa", "datasketch")]
    print(f"{n:,} reviews | seconds | peak GB | recall | precision")
    for name, interpreter in rows:
        done = subprocess.run(
            [interpreter, __file__, "--one", name, str(n)], capture_output=True, text=True, check=False
        )
        print(f"{name} | {done.stdout.strip() or done.stderr.strip()[-300:]}")


def one(name: str, n: int) -> None:
    """Finds near-duplicates in one way and prints its line."""
    made = reviews(n)
    texts = list(dict.fromkeys(made.texts))
    began = time.perf_counter()
    pairs = {"harness": _harness, "rensa": _rensa, "datasketch": _datasketch}[name](texts)
    seconds = time.perf_counter() - began
    place = {text: position for position, text in enumerate(texts)}
    root = _roots(len(texts), pairs)
    wanted = [(place[made.texts[a]], place[made.texts[b]]) for a, b in made.planted]
    recall = sum(root[a] == root[b] for a, b in wanted) / len(wanted)
    right = sum(_similar(texts[a], texts[b]) for a, b in pairs)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    print(f"{seconds:.1f} | {peak:.2f} | {recall:.4f} | {right / max(1, len(pairs)):.4f}")


def _roots(n: int, pairs: list[tuple[int, int]]) -> list[int]:
    root = list(range(n))

    def find(node: int) -> int:
        while root[node] != node:
            root[node] = root[root[node]]
            node = root[node]
        return node

    for a, b in pairs:
        root[find(a)] = find(b)
    return [find(node) for node in range(n)]


def _similar(a: str, b: str) -> bool:
    return jaccard(a, b) >= 0.8


def _harness(texts: list[str]) -> list[tuple[int, int]]:
    from harness.prepare.duplicates import near_earlier
    from harness.prepare.shingles import prefixes

    like = near_earlier(texts, prefixes(texts))
    return [(first, second) for second, first in enumerate(like) if first is not None]


def _rensa(texts: list[str]) -> list[tuple[int, int]]:
    from rensa import RMinHash, RMinHashLSH

    hashes = []
    for text in texts:
        one = RMinHash(num_perm=126, seed=42)
        one.update(list(grams(text)))
        hashes.append(one)
    index = RMinHashLSH(threshold=0.8, num_perm=126, num_bands=21)
    index.insert_many(hashes)
    found = ((a, b) for b, one in enumerate(hashes) for a in index.query(one) if a < b)
    return [(a, b) for a, b in found if _similar(texts[a], texts[b])]


def _datasketch(texts: list[str]) -> list[tuple[int, int]]:
    from datasketch import MinHash, MinHashLSH

    index = MinHashLSH(num_perm=126, params=(21, 6))
    pairs = []
    for b, text in enumerate(texts):
        one = MinHash(num_perm=126, seed=1)
        one.update_batch([gram.encode("utf-8") for gram in grams(text)])
        pairs += [(a, b) for a in index.query(one) if _similar(texts[a], texts[b])]
        index.insert(b, one)
    return pairs


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["--one", name, n]:
            one(name, int(n))
        case ["--peers", *rest]:
            near(int(rest[0]) if rest else 200_000)
        case rest:
            whole(int(rest[0]) if rest else 1_200_000)
