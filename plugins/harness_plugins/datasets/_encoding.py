"""From bytes to text: marks are recognised, nothing is guessed in silence, and a wrong byte is named."""

from __future__ import annotations

import codecs
import io
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager

import harness
from harness_plugins.datasets._notes import shown
from harness_plugins.datasets._source import Source, check_beginning, opened

_MARKS = (  # UTF-32 first: its little-endian mark begins with that of UTF-16
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
    (codecs.BOM_UTF8, "utf-8-sig"),
)
_CANDIDATES = ("utf-8", "cp1252", "cp1251", "shift_jis", "gb18030", "euc_kr")
_AROUND = 12
"""Characters on each side of a wrong byte that a hint shows."""


class _Bytes(io.RawIOBase):
    """Passes bytes on and stops at a NUL."""

    def __init__(self, inner: io.BufferedIOBase) -> None:
        self._inner = inner

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray | memoryview, /) -> int:  # type: ignore[override]
        n = self._inner.readinto(buffer)
        if bytes(buffer[:n]).find(0) >= 0:
            raise _NulError
        return n


class _NulError(Exception):
    """A NUL byte in what should be text."""


@contextmanager
def text(source: Source, newline: str) -> Iterator[io.TextIOWrapper]:
    """Opens a file as text, without its byte-order mark; a mark says more than the option.

    Args:
        source: The file.
        newline: What ends a line, as `open` takes it: "" for any line end, or a line feed alone.

    Raises:
        harness.DataError: The encoding does not exist, or bytes are not in it: file, line, byte.
    """
    encoding = _encoding(source)
    wide = encoding.replace("_", "-").lower().startswith(("utf-16", "utf-32", "utf16", "utf32"))
    try:
        with opened(source) as raw:
            checked = raw if wide else io.BufferedReader(_Bytes(raw), 1 << 20)  # type: ignore[arg-type]
            with io.TextIOWrapper(checked, encoding, newline=newline) as wrapper:
                yield wrapper
    except UnicodeError:
        raise _undecodable(source, encoding) from None
    except _NulError:
        raise _nul(source) from None


def _encoding(source: Source) -> str:
    with opened(source) as raw:
        beginning = raw.read(16)
    check_beginning(source, beginning)
    try:
        known = codecs.lookup(source.encoding)
        "".encode(source.encoding)  # refuses codecs that are none of text, e.g. "hex"
    except (LookupError, UnicodeError, ValueError):
        raise harness.DataError(
            f'dataset.encoding = "{shown(source.encoding)}" is no encoding',
            'give one like "utf-8", "cp1252" or "utf-16"',
        ) from None
    for mark, encoding in _MARKS:
        if beginning.startswith(mark):
            return encoding
    return source.encoding if known.name != "utf-8" else "utf-8"


def _undecodable(source: Source, encoding: str) -> harness.DataError:
    """Reads the file once more and says which byte is wrong, and what would read it."""
    with opened(source) as file:
        raw = file.read()
    try:
        raw.decode(encoding)
    except UnicodeDecodeError as error:
        return harness.DataError(
            f"{source.name}, line {_line(raw, error.start, encoding)}: byte 0x{raw[error.start]:02x} is not {encoding} "
            f"(byte {error.start:,} of the file)",
            _advice(raw, error.start, encoding),
        )
    except UnicodeError as error:
        reason = shown(error, 120)
    else:
        reason = "its bytes end within a character"
    return harness.DataError(f"{source.name} is not {encoding}: {reason}", "save the file as UTF-8")


def _nul(source: Source) -> harness.DataError:
    with opened(source) as file:
        raw = file.read()
    place = raw.find(0)
    line = raw.count(b"\n", 0, place) + 1
    return harness.DataError(
        f"{source.name}, line {line}: a NUL byte (byte {place:,} of the file)",
        _wide(raw) or "the file is damaged, or no text: write it again from its source",
    )


def _line(raw: bytes, start: int, encoding: str) -> int:
    return raw[:start].decode(encoding, "replace").count("\n") + 1


def _wide(raw: bytes) -> str:
    """Returns a hint where every other byte is NUL, as in UTF-16 without a mark."""
    for encoding, first in (("utf-16-le", 1), ("utf-16-be", 0)):
        if len(raw) % 2 == 0 and raw[first::2].count(0) > len(raw) / 4 and raw[1 - first :: 2].count(0) == 0:
            return f'it looks like UTF-16 without a mark: dataset.encoding = "{encoding}"'
    return ""


def _advice(raw: bytes, start: int, wrong: str) -> str:
    """Returns which encodings read the whole file, likelier ones first, and how the place would look in them."""
    readable = []
    for encoding in _CANDIDATES:
        if codecs.lookup(encoding).name == codecs.lookup(wrong).name:
            continue
        try:
            whole = raw.decode(encoding)
        except UnicodeError:
            continue
        place = len(raw[:start].decode(encoding, "ignore"))
        readable.append((_strangeness(whole), encoding, _excerpt(whole, place)))
    if not readable:
        return "no common encoding reads the whole file: it is damaged, or several files in one; save it as UTF-8"
    (_, best, looks), *others = sorted(readable, key=lambda each: each[0])[:3]
    so_do = ", ".join(f'"{encoding}" with "{excerpt}"' for _, encoding, excerpt in others)
    more = f"; so do {so_do}" if so_do else ""
    return f'dataset.encoding = "{best}" reads it, with "{looks}"{more}; or save it as UTF-8'


def _excerpt(whole: str, place: int) -> str:
    start = whole.rfind("\n", 0, place) + 1
    return shown(whole[max(start, place - _AROUND) : place + _AROUND].split("\n")[0].rstrip("\r"))


def _strangeness(whole: str) -> float:
    """Returns the share of characters beyond ASCII that a reader of that encoding would stumble over.

    In Latin scripts accented letters stand between plain ones, so two in a row are strange; in others letters of one
    script stand together, so a change of script within a word is.
    """
    odd = beyond = 0
    before = ""
    for char in whole[:200_000]:
        if char > "\x7f":
            beyond += 1
            if unicodedata.category(char) in ("Cc", "Co", "Cn", "Sc", "Sk", "So", "No", "Lm", "Sm"):
                odd += 1
            elif before.isalpha() and char.isalpha():
                odd += _script(before) != _script(char) or (_script(char) == "LATIN" and before > "\x7f")
        elif char.isalpha() and before > "\x7f" and before.isalpha() and _script(before) != "LATIN":
            odd += 1
        before = char
    return odd / max(beyond, 1)


def _script(char: str) -> str:
    name = unicodedata.name(char, "?").split(" ")[0].split("-")[0]
    return "CJK" if name in ("HIRAGANA", "KATAKANA") else name
