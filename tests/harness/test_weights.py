"""Weights of a model on this machine: where they lie, and what tells them from others."""

from __future__ import annotations

import time
from pathlib import Path

from harness.weights import fingerprint, fingerprint_at, weight_files


def test_the_files_of_a_model_are_those_that_hold_its_weights(tmp_path: Path) -> None:
    assert weight_files(tmp_path) == [tmp_path / "model.safetensors"]
    assert weight_files(tmp_path, "q.gguf") == [tmp_path / "q.gguf"]
    index = tmp_path / "model.safetensors.index.json"
    index.write_text('{"weight_map": {"a": "2.safetensors", "b": "1.safetensors", "c": "2.safetensors"}}')
    assert weight_files(tmp_path) == [tmp_path / "1.safetensors", tmp_path / "2.safetensors"]


def test_a_place_without_weights_has_no_fingerprint(tmp_path: Path) -> None:
    assert fingerprint_at(tmp_path) == ""
    assert fingerprint_at(tmp_path / "gone") == ""
    assert fingerprint_at(tmp_path / "gone.gguf") == ""
    (tmp_path / "1.safetensors").write_bytes(b"weights")
    for index in ("no JSON", "[]", "{}", '{"weight_map": ["1.safetensors"]}', '{"weight_map": {"a": "gone"}}'):
        (tmp_path / "model.safetensors.index.json").write_text(index)
        assert fingerprint_at(tmp_path) == "", index


def test_a_folder_or_a_file_is_told_by_its_weights_alone(tmp_path: Path) -> None:
    (tmp_path / "q.gguf").write_bytes(b"quantised")
    assert fingerprint_at(tmp_path) == fingerprint_at(tmp_path / "q.gguf") != ""
    whole = tmp_path / "model.safetensors"
    whole.write_bytes(b"weights")
    before = fingerprint_at(tmp_path)
    assert before == fingerprint([whole]) != fingerprint_at(tmp_path / "q.gguf")
    (tmp_path / "README.md").write_text("About it")
    assert fingerprint_at(tmp_path) == before
    whole.write_bytes(b"weighty")
    assert fingerprint_at(tmp_path) != before


def test_large_files_are_told_apart_by_samples_of_them(tmp_path: Path) -> None:
    file = tmp_path / "weights"
    with file.open("wb") as stream:
        stream.truncate(2**33)  # it takes no room on the disk
    began = time.thread_time()
    first = fingerprint([file])
    assert time.thread_time() - began < 1
    with file.open("r+b") as stream:
        stream.seek(2**32)
        stream.write(b"1" * 2**24)
    second = fingerprint([file])
    assert len({first, second, fingerprint([file, file]), fingerprint([])}) == 4
