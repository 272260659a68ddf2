"""Adapters from elsewhere: what is taken for one, and how it comes into an endpoint's memory."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from harness.errors import UsageError
from harness_local.adopting import found
from harness_local.inference.adapters import AdapterError
from harness_local.state import State


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An adapter as `peft` saves it."""
    saved = tmp_path / "saved"
    saved.mkdir()
    saved.joinpath("adapter_config.json").write_text("{}")
    saved.joinpath("adapter_model.safetensors").write_bytes(b"weights")
    saved.joinpath("README.md").write_text("not taken along")
    return saved


def fits(_: Path) -> None:
    """Says that an adapter can be applied."""


def test_an_adapter_is_taken_in_once_and_named_by_its_weights(folder: Path, state: State) -> None:
    names = {found(folder).take_in(state, "small", fits) for _ in range(2)}
    (row,) = state.models("small")
    assert names == {row["id"]}
    assert row["id"].startswith("ft:small::")
    taken = sorted(path.name for path in row["folder"].iterdir())
    assert taken == ["adapter_config.json", "adapter_model.safetensors"]
    assert row["folder"].joinpath("adapter_model.safetensors").read_bytes() == b"weights"


def test_what_export_wrote_keeps_its_name_and_belongs_to_its_base(folder: Path, state: State) -> None:
    exported = folder.parent / "exported"
    exported.mkdir()
    folder.rename(exported / "adapter")
    exported.joinpath("arm.json").write_text(json.dumps({"model": "ft:Small::mine", "base": "Small"}))
    assert found(exported).take_in(state, "small", fits) == "ft:Small::mine"
    with pytest.raises(UsageError, match="was trained on Small, and large is served"):
        found(exported).take_in(state, "large", fits)


def test_what_cannot_be_applied_is_not_taken_in(folder: Path, state: State) -> None:
    def check(place: Path) -> None:
        assert place == folder
        raise AdapterError("the adapter cannot be used: use_dora is not supported")

    with pytest.raises(UsageError, match="use_dora is not supported") as refused:
        found(folder).take_in(state, "small", check)
    assert f"--adapter {folder}" in str(refused.value)
    assert state.models() == []
    assert not state.folder.joinpath("brought").exists()


@pytest.mark.parametrize("name", ["adapter_config.json", "adapter_model.safetensors"])
def test_a_folder_that_is_no_adapter_is_refused(folder: Path, name: str) -> None:
    folder.joinpath(name).unlink()
    with pytest.raises(UsageError, match=f"there is no {name} in it"):
        found(folder)


@pytest.mark.parametrize("told", ["{", [], "small", {"base": 5}, {"model": ["ft:small::mine"]}])
def test_an_arm_that_nobody_exported_is_refused(folder: Path, told: Any) -> None:
    folder.joinpath("arm.json").write_text(told if told == "{" else json.dumps(told))
    with pytest.raises(UsageError, match=r"arm\.json is not as harness export writes it"):
        found(folder)
