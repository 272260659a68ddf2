"""Columns of texts, as a whole: what all have in common, what some hold. Compiled loops only, no step for each row."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


CACHED = 1 << 18
"""Bytes that stay in a processor's cache from one comparison to the next."""


def flat(column: Any) -> Any:
    """Returns a column of Arrow (in chunks or not) as one array of `large_string`; nulls stay."""
    import pyarrow as pa

    large = column if column.type == pa.large_string() else column.cast(pa.large_string())
    return large.combine_chunks() if isinstance(large, pa.ChunkedArray) else large


def pair(prompts: Any, completions: Any) -> tuple[Any, Any]:
    """Returns two columns as `flat` does.

    Raises:
        ValueError: They are not of one length.
    """
    asked, told = flat(prompts), flat(completions)
    if len(asked) != len(told):
        raise ValueError(f"{len(asked)} prompts and {len(told)} completions, expected as many of both")
    return asked, told


def encoded(texts: Any) -> tuple[NDArray[np.int64], Any]:
    """Returns each row's number among the distinct texts, and these in the order of their first appearance."""
    import numpy as np

    found = texts.dictionary_encode()
    return found.indices.to_numpy(zero_copy_only=False).astype(np.int64), found.dictionary


def repeated(first: NDArray[np.int64], second: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Returns which rows have both numbers of an earlier one; the numbers are those of `encoded`."""
    import numpy as np

    pairs = first * (second.max(initial=0) + 1) + second
    repeats = np.ones(len(pairs), np.bool_)
    repeats[np.unique(pairs, return_index=True)[1]] = False
    return repeats


def blank(texts: Any) -> NDArray[np.bool_]:
    """Returns which texts hold nothing but white space, or nothing."""
    import pyarrow.compute as pc

    empty = pc.or_(pc.equal(pc.binary_length(texts), 0), pc.utf8_is_space(texts))
    return _array(empty)


def common_prefix(texts: Any) -> str:
    """Returns the longest beginning of all texts; empty where there is no text."""
    return _common(texts).decode("utf-8", "ignore")  # a cut may fall within a character, whose rest is dropped


def common_suffix(texts: Any) -> str:
    """Returns the longest ending of all texts; empty where there is no text."""
    import pyarrow as pa
    import pyarrow.compute as pc

    backwards = pc.binary_reverse(texts.cast(pa.large_binary()))
    return _common(backwards)[::-1].decode("utf-8", "ignore")


def _common(texts: Any) -> bytes:
    """What the first and the last in order have in common, all have."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if not len(texts):
        return b""
    ends = pc.min_max(texts.cast(pa.large_binary()))
    first, last = ends["min"].as_py(), ends["max"].as_py()
    length = next((i for i, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), min(len(first), len(last)))
    return bytes(first[:length])


def whole_ending(texts: Any, ending: str) -> str:
    """Returns a common ending cut back to where a word begins: `positive` and `negative` have none in common."""
    import pyarrow.compute as pc

    rest = ending
    while rest and _in_word(rest[0]):
        rest = rest[1:]
    if rest == ending:
        return ending
    length = len(ending)
    before = pc.unique(pc.utf8_slice_codeunits(texts, -length - 1, -length)).to_pylist()
    return rest if any(map(_in_word, before)) else ending


def _in_word(character: str) -> bool:
    return character.isalnum() or character == "_"


def holding(texts: Any, text: str) -> int:
    """Returns how many texts hold `text`."""
    import pyarrow.compute as pc

    return int(pc.sum(pc.match_substring(texts, text)).as_py() or 0)


def holding_before_end(texts: Any, ending: str) -> NDArray[np.bool_]:
    """Returns which texts hold `ending`, with which all of them end, in an earlier place too (it may overlap)."""
    import pyarrow.compute as pc

    place = _array(pc.find_substring(texts, ending))
    return place < _array(pc.binary_length(texts)) - len(ending.encode())


def absent(candidates: Iterable[str], grow: str, *columns: Any) -> str:
    """Returns the first candidate that no text of `columns` holds.

    Args:
        candidates: Tried in their order.
        grow: Where all are held: a template whose `{}` is filled with more and more `#`.
        columns: Columns of texts.
    """
    for candidate in candidates:
        if not any(holding(texts, candidate) for texts in columns):
            return candidate
    length = 4
    while any(holding(texts, grow.format("#" * length)) for texts in columns):
        length += 1
    return grow.format("#" * length)


def cased_letters(texts: Any) -> tuple[int, int]:
    """Returns the numbers of upper-case and of lower-case letters in all texts together."""
    import numpy as np

    raw, upper, lower = _bytes(texts), 0, 0
    for start in range(0, len(raw), CACHED):
        part = raw[start : start + CACHED]
        upper += int(np.count_nonzero(part - np.uint8(ord("A")) < 26))  # what lies below wraps round
        lower += int(np.count_nonzero(part - np.uint8(ord("a")) < 26))
    if raw.max(initial=0) > 127:
        beyond = raw[raw > 127]  # what is left without the ASCII bytes is valid UTF-8 again
        codes = np.frombuffer(beyond.tobytes().decode("utf-8", "replace").encode("utf-32-le"), np.uint32)
        for code, count in zip(*np.unique(codes, return_counts=True), strict=True):
            upper += int(count) * chr(code).isupper()
            lower += int(count) * chr(code).islower()
    return upper, lower


def _bytes(texts: Any) -> NDArray[np.uint8]:
    """Returns the bytes of all texts, one after the other; `texts` has no nulls."""
    import numpy as np

    offsets, data = texts.buffers()[1:3]
    if offsets is None or data is None or not len(texts):
        return np.zeros(0, np.uint8)
    places = np.frombuffer(offsets, np.int64)
    start, end = places[texts.offset], places[texts.offset + len(texts)]
    return np.frombuffer(data, np.uint8)[start:end]


def _array(values: Any) -> NDArray[Any]:
    found: NDArray[Any] = values.to_numpy(zero_copy_only=False)
    return found
