import pytest

import harness
from harness import assets
from harness_plugins.datasets.amazon_snippets import AmazonSnippets

ROWS = ["1_1\t-1.5\tterrible.", "1_2\t-0.5\tbad", "2_1\t-0.45\tso so"]
ROWS += ["2_2\t0.5\tgood", "10_1\t1.5\tgreat", "10_2\t1.45\tok"]
LINES = "\r\n".join([*ROWS, ""])


@pytest.fixture
def path(tmp_path):
    (tmp_path / "amazonReviewSnippets_GroundTruth.txt").write_bytes(LINES.encode())
    return tmp_path / "amazonReviewSnippets_GroundTruth.txt"


@pytest.mark.parametrize(
    ("levels", "labels"),
    [
        (3, ["negative", "negative", "neutral", "positive", "positive", "positive"]),
        (5, ["1", "2", "3", "4", "5", "4"]),
    ],
)
def test_cuts_the_mean_rating(path, levels, labels):
    rows = list(AmazonSnippets(levels=levels).read(path))
    assert [row.label for row in rows] == labels
    assert [row.group for row in rows] == ["1", "1", "2", "2", "10", "10"]
    assert rows[0].fields == {"text": "terrible."}


def test_knows_its_labels():
    assert AmazonSnippets().labels == ("negative", "neutral", "positive")
    assert AmazonSnippets().ordered is False
    assert AmazonSnippets(levels=5).labels == ("1", "2", "3", "4", "5")
    assert AmazonSnippets(levels=5).ordered is True
    assert AmazonSnippets().share is False


def test_loads_what_was_fetched(path, monkeypatch):
    asked = []
    monkeypatch.setattr(assets, "fetch", lambda asset: asked.append(asset) or path.parent)
    assert len(list(AmazonSnippets().load(harness.Context()))) == 6
    assert asked[0].files == (path.name,)
    assert (asked[0].version, asked[0].kind) == ("3.3.2", "sdist")


def test_another_form_is_refused(path):
    path.write_text("1_1\tterrible\n", encoding="utf-8")
    with pytest.raises(harness.DataError, match="line 1: expected id, mean rating and text"):
        list(AmazonSnippets().read(path))
