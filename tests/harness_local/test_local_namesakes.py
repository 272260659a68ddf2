"""Two models of one name, served one after the other: a run takes over nothing that is of the other's weights."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from support.lab import Lab

from harness.execution.local_endpoint import adapter_of
from harness.runs import RunFolder
from harness.weights import fingerprint

SPLIT = "[prepare]\nsplit = { train = 0.4, validation = 0.2, test = 0.4 }\n"
ARMS = """
[[arms]]
name = "zero"
backend = { plugin = "few-shot", endpoint = "local", model = "checkpoint-500" }

[[arms]]
name = "tuned"
backend = { plugin = "fine-tuned", endpoint = "local", base = "checkpoint-500", n_epochs = 1 }
"""


def other_weights(folder: Path) -> None:
    """Makes a model's weights a little larger."""
    from safetensors.torch import load_file, save_file

    file = folder / "model.safetensors"
    save_file({name: tensor * 1.5 for name, tensor in load_file(file).items()}, file, metadata={"format": "pt"})


@pytest.mark.thorough
def test_a_model_by_the_name_of_another_is_asked_and_trained_anew(tiny: Path, tmp_path: Path) -> None:
    lab = Lab.make(tmp_path, 30)
    places = [tmp_path / run / "checkpoint-500" for run in ("run-a", "run-b")]
    for place in places:
        shutil.copytree(tiny, place)
    other_weights(places[1])
    assert len({fingerprint([place / "model.safetensors"]) for place in places}) == 2
    for place in places:
        lab.write(ARMS, dataset=f'{SPLIT}[endpoints.local]\nmodel = "{place}"\n')
        done = lab.run()
        assert done.code == 0, done
        assert "taken over" not in done.err
        assert "everything is there" in lab.run().err
    models = []
    for run in lab.runs:
        assert not any(row["reused"] for row in lab.predictions(run))
        models.append(lab.arms(run)["tuned"]["model"])
        assert adapter_of(RunFolder(run).endpoint, models[-1]) is not None
    assert len(set(models)) == 2


@pytest.mark.thorough
def test_weights_that_were_replaced_in_their_place_are_asked_anew(tiny: Path, tmp_path: Path) -> None:
    lab, place = Lab.make(tmp_path, 30), tmp_path / "checkpoint-500"
    shutil.copytree(tiny, place)
    lab.write(ARMS.split("\n\n[[arms]]")[0], dataset=f'{SPLIT}[endpoints.local]\nmodel = "{place}"\n')
    assert lab.run().code == 0
    n = len(lab.predictions())
    assert "everything is there" in lab.run().err
    other_weights(place)
    done = lab.run()
    assert done.code == 0, done
    assert f"weights have changed since this run began: its {n} answers are asked again" in done.err
    assert lab.journal("SELECT count(*) FROM answers") == [(2 * n,)]
    shutil.rmtree(place)
    assert "everything is there" in lab.run().err  # all that the weights have answered is still there
