"""Texts as TF-IDF vectors of words, word pairs and parts of words."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import Any

MAX_FEATURES = 10_000
"""Most frequent terms that are kept of each kind; fewer gave less precision in `benchmarks/label_errors.py`."""


def features(words: Sequence[tuple[str, ...]]) -> Any | None:
    """Returns a sparse matrix (texts × terms), or `None` where no term stands in two texts.

    Word 1- and 2-grams beside character 2- to 4-grams within words, each kind weighted by 1 + ln(frequency) and by
    inverse document frequency and scaled to length 1 (Salton and Buckley 1988).
    """
    from scipy import sparse

    if not any(words):
        return None
    vocabulary, counts, pairs = _counts(words)
    kinds = (sparse.hstack([counts, pairs], format="csr"), counts @ _parts(vocabulary))
    weighted = [matrix for matrix in map(_weighted, kinds) if matrix is not None]
    return sparse.hstack(weighted, format="csr") if weighted else None


def word_vectors(words: Sequence[tuple[str, ...]]) -> Any | None:
    """Returns a sparse matrix (texts × words) of TF-IDF vectors of length 1, or `None` where no two share a word."""
    return _weighted(_counts(words)[1]) if any(words) else None


def _counts(words: Sequence[tuple[str, ...]]) -> tuple[list[str], Any, Any]:
    """Returns the vocabulary in order, and how often each word and each pair of neighbours stands in each text.

    Pairs are counted as numbers, which takes a third of the time of a `CountVectorizer` that joins them as strings.
    """
    import numpy as np

    vocabulary = sorted(set(chain.from_iterable(words)))
    code = {word: number for number, word in enumerate(vocabulary)}
    sizes = np.array([len(text) for text in words], dtype=np.int64)
    flat = np.fromiter(map(code.__getitem__, chain.from_iterable(words)), dtype=np.int64, count=int(sizes.sum()))
    rows = np.repeat(np.arange(len(words)), sizes)
    together = np.flatnonzero(rows[1:] == rows[:-1])
    different, column = np.unique(flat[together] * len(vocabulary) + flat[together + 1], return_inverse=True)
    return (
        vocabulary,
        _matrix(rows, flat, (len(words), len(vocabulary))),
        _matrix(rows[together], column, (len(words), len(different))),
    )


def _matrix(rows: Any, columns: Any, shape: tuple[int, int]) -> Any:
    import numpy as np
    from scipy import sparse

    return sparse.csr_matrix((np.ones(len(rows), dtype=np.float32), (rows, columns)), shape=shape)


def _parts(vocabulary: Sequence[str]) -> Any:
    """Returns the character n-grams of each word: counted once for a word, however often it stands in the texts."""
    import numpy as np
    from sklearn.feature_extraction.text import CountVectorizer

    vectoriser = CountVectorizer(analyzer="char_wb", ngram_range=(2, 4), lowercase=False, dtype=np.float32)
    return vectoriser.fit_transform(vocabulary)


def _weighted(counts: Any) -> Any | None:
    """Keeps the most frequent terms that stand in at least two texts, and weighs them."""
    import numpy as np
    from sklearn.feature_extraction.text import TfidfTransformer

    texts = np.bincount(counts.indices, minlength=counts.shape[1])
    total = np.asarray(counts.sum(axis=0), dtype=np.float64).ravel()
    shared = np.flatnonzero(texts >= 2)
    if not len(shared):
        return None
    # The order of the terms follows from the vocabulary alone, so that a stable sort settles ties the same each time.
    kept = np.sort(shared[np.argsort(-total[shared], kind="stable")[:MAX_FEATURES]])
    return TfidfTransformer(sublinear_tf=True).fit_transform(counts[:, kept]).astype(np.float32)
