"""`learning_curve` and `shot_curve` of an arm: both forms, their order, and every mistake with its place."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.errors import ExperimentError
from harness.experiment import Experiment
from harness.experiment.reader import load
from harness.plugins import Plugins
from harness.plugins.discovery import discover

HEAD = 'name = "food"\n[dataset]\nplugin = "files"\npath = "r.csv"\ntext = "t"\nlabel = "l"\n'
HEAD += '[endpoints.api]\nbase_url = "https://api.example.com/v1"\n'
FEW = '[[arms]]\nname = "few"\nbackend = { plugin = "few-shot", endpoint = "api", model = "m" }\nshots = { k = 4 }\n'
ZERO = '[[arms]]\nname = "zero"\nbackend = { plugin = "few-shot", endpoint = "api", model = "m" }\n'
TUNED = '[[arms]]\nname = "tuned"\nbackend = { plugin = "fine-tuned", endpoint = "api", base = "m" }\n'
GIVEN = '[[arms]]\nname = "given"\nbackend = { plugin = "fine-tuned", endpoint = "api", model = "ft:m" }\n'
CLASSICAL = '[[arms]]\nname = "c"\nbackend = { plugin = "classical" }\n'


@pytest.fixture(scope="module")
def plugins() -> Plugins:
    return discover()


def read(tmp_path: Path, arm: str, plugins: Plugins) -> Experiment:
    path = tmp_path / "experiment.toml"
    path.write_text(HEAD + arm)
    return load(path, plugins)


def test_a_list_stands_for_the_usual_number_of_seeds_or_draws(tmp_path: Path, plugins: Plugins) -> None:
    arm = read(tmp_path, TUNED + 'learning_curve = [64, "all", 16]\n', plugins).arms[0]
    assert arm.learning_curve is not None
    assert (arm.learning_curve.sizes, arm.learning_curve.seeds) == ((16, 64, "all"), 3)
    arm = read(tmp_path, FEW + "shot_curve = { k = [8, 0, 2], draws = 5 }\n", plugins).arms[0]
    assert arm.shot_curve is not None
    assert (arm.shot_curve.k, arm.shot_curve.draws) == ((0, 2, 8), 5)
    assert read(tmp_path, CLASSICAL + "learning_curve = [10]\n", plugins).arms[0].learning_curve is not None


def test_curves_are_no_part_of_what_names_a_run(tmp_path: Path, plugins: Plugins) -> None:
    before = read(tmp_path, FEW, plugins).answer_settings()
    assert read(tmp_path, FEW + "shot_curve = [0, 2]\n", plugins).answer_settings() == before


def test_shots_may_come_from_a_choice(tmp_path: Path, plugins: Plugins) -> None:
    chosen = read(tmp_path, ZERO + 'shot_curve = [1]\n[arms.choose]\n"shots.k" = [1, 2]\n', plugins)
    assert chosen.arms[0].shot_curve is not None


LINE = HEAD.count("\n")


@pytest.mark.parametrize(
    ("arm", "line", "place", "said"),
    [
        (TUNED + "learning_curve = [16, 0]\n", 4, "arms[0].learning_curve[1]", "greater than or equal to 1"),
        (TUNED + "learning_curve = [16, 8, 16]\n", 4, "arms[0].learning_curve", "16 is listed twice"),
        (TUNED + 'learning_curve = ["all", "all"]\n', 4, "arms[0].learning_curve", "all is listed twice"),
        (TUNED + 'learning_curve = ["most"]\n', 4, "arms[0].learning_curve[0]", "'all'"),
        (TUNED + "learning_curve = [1.5]\n", 4, "arms[0].learning_curve[0]", "a whole number"),
        (TUNED + "learning_curve = [true]\n", 4, "arms[0].learning_curve[0]", "a whole number"),
        (TUNED + "learning_curve = []\n", 4, "arms[0].learning_curve", "at least 1 item"),
        (TUNED + "learning_curve = 64\n", 4, "arms[0].learning_curve", "a list of numbers is expected"),
        (TUNED + "learning_curve = { sizes = [8], seeds = 0 }\n", 4, "arms[0].learning_curve.seeds", "greater than"),
        (TUNED + "learning_curve = { sizes = [8], seeds = 21 }\n", 4, "arms[0].learning_curve.seeds", "less than"),
        (TUNED + "learning_curve = { size = [8] }\n", 4, "arms[0].learning_curve", "sizes"),
        (FEW + "shot_curve = { k = [8], draw = 2 }\n", 5, "arms[0].shot_curve.draw", 'did you mean "draws"?'),
        (FEW + "shot_curve = [-1]\n", 5, "arms[0].shot_curve[0]", "greater than or equal to 0"),
        (FEW + "shot_curve = [2, 2]\n", 5, "arms[0].shot_curve", "2 is listed twice"),
        (FEW + "learning_curve = [8]\n", 5, "arms[0].learning_curve", "nothing is trained by few-shot"),
        (GIVEN + "learning_curve = [8]\n", 4, "arms[0].learning_curve", "nothing is trained by fine-tuned"),
        (ZERO + "shot_curve = [1]\n", 4, "arms[0].shot_curve", "the arm shows no shots"),
    ],
)
def test_a_mistake_is_told_with_its_place(
    tmp_path: Path, plugins: Plugins, arm: str, line: int, place: str, said: str
) -> None:
    with pytest.raises(ExperimentError) as caught:
        read(tmp_path, arm, plugins)
    assert f"line {LINE + line}: {place}" in caught.value.message
    assert said in caught.value.message
