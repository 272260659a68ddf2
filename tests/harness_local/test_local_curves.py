"""A learning curve that is really trained, by the endpoint that a run starts itself."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.lab import Lab

SPLIT = "[prepare]\nsplit = { train = 0.4, validation = 0.2, test = 0.4 }\n"


@pytest.mark.thorough
def test_a_local_model_is_trained_once_for_each_point(tiny: Path, tmp_path: Path) -> None:
    lab = Lab.make(tmp_path, 45)
    backend = f'{{ plugin = "fine-tuned", endpoint = "local", base = "{tiny.name}", n_epochs = 1 }}'
    arm = f'[[arms]]\nname = "tuned"\nbackend = {backend}\n'
    local = f'[endpoints.local]\nmodel = "{tiny}"\n'
    lab.write(arm + 'learning_curve = { sizes = [12, "all"], seeds = 1 }\n', dataset=SPLIT + local)
    done = lab.run()
    assert done.code == 0, done
    (curve,) = lab.results()["curves"]
    assert [(point["n_train"], point["seed"]) for point in curve["points"]] == [(12, 0), (18, 0)]
    for point in curve["points"]:
        assert point["accuracy"] is not None
        assert point["training_s"] is not None
        assert point["seconds"] > 0
    jobs = dict(lab.journal("SELECT arm, count(*) FROM jobs WHERE status = 'succeeded' GROUP BY arm"))
    assert jobs == {"tuned": 1, "tuned@12#0": 1}  # the point of all examples is the arm's own
    assert "everything is there" in lab.run().err
