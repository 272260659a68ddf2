"""Strings that look like personal data or keys: few patterns, each with a low rate of false alarms.

IPv4 addresses are left out, for version and section numbers look the same, and national telephone numbers without
separators, for order numbers do. MAC addresses name devices.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import replace

from harness.keys import KEYS, may_hold_key
from harness.types import Example, content_id

_EMAIL = re.compile(r"(?<![\w.+-])[\w.+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63}){0,4}\.[A-Za-z]{2,24}\b")
_IBAN = re.compile(r"(?<![A-Za-z0-9])[A-Z]{2}[0-9]{2}(?: ?[A-Z0-9]){11,30}")
_CARD = re.compile(r"(?<![\d.-])\d(?:[ -]?\d){12,18}(?![\d.-]*\d)")
_PRINTED_CARD = re.compile(
    r"""(?x) (?<![\d.-]) (?=(?P<card> (?:
        (?: [2456][0-9]{3} | 35[0-9]{2} ) (?P<a>[ -]) [0-9]{4} (?P=a) [0-9]{4} (?P=a) [0-9]{4}
      | 3[0-9]{3} (?P<b>[ -]) [0-9]{6} (?P=b) [0-9]{4,5}                                # American Express, Diners
      | [2-6][0-9]{12,18} ) (?![\d.-]*\d) ))"""
)
"""A card number in the groups in which it is printed, also beside other digits such as an expiry date; first digits of
payment cards only (ISO/IEC 7812-1). It is looked ahead for, since it may begin within what looks like one."""
_PHONE = re.compile(r"(?<![\w.+-])(?:\+\d{1,3}[ .-]?)(?:\(?\d{1,4}\)?[ .-]?){2,4}\d{2,4}(?!\w)")
_NATIONAL_PHONE = re.compile(
    r"""(?x) (?<![\w.+/-]) (?<![0-9]\ ) (?:
      (?:1[ .-])? (?: \([2-9][0-9]{2}\)[ ]? [2-9][0-9]{2}[ .-][0-9]{4}                           # (212) 555-0123
                    | [2-9][0-9]{2}(?P<a>[.-])[2-9][0-9]{2}(?P=a)[0-9]{4} )                      # 212-555-0123
    | (?:0[1-9][0-9]{1,3}(?P<b>[ -])|\(0[1-9][0-9]{1,3}\)[ ]) [0-9]{3,4}(?(b)(?P=b)|[ -])[0-9]{3,4}  # 020 7946 0958
    | 0[1-9](?P<c>[ .-])(?:[0-9]{2}(?P=c)){3}[0-9]{2}                                            # 01 23 45 67 89
    ) (?! \w | [ .-]?[0-9] )"""
)
"""North American numbers, those with a trunk 0 in three groups, French ones; no run of digits, no date."""
_SSN = re.compile(r"(?<![\w-])(?!000|666|9)[0-9]{3}-(?!00)[0-9]{2}-(?!0000)[0-9]{4}(?![\w-])")
"""Dashed US social security numbers in the ranges that are given out (Social Security Administration)."""

_MANY_DIGITS = re.compile(r"\d[\d ().-]{8}")
_IBAN_START = re.compile(r"[A-Z]{2}[0-9]{2}")
_NUMBER = re.compile(r"[\dA-Z](?:[\d ().-]{8}|[A-Z][0-9]{2})")
_ASCII_NUMBER = re.compile(r"[0-9A-Z](?:[0-9 ().-]{8}|[A-Z][0-9]{2})")
"""The two that match where one of the first two does: half the price of both, and the ASCII one two thirds of that."""

BESIDE = 256
"""Characters behind something that was found in which more of its kind is looked for."""

_IBAN_LENGTHS = {
    code: int(length)
    for code, length in re.findall(
        "([A-Z]{2})([0-9]{2})",
        "AD24 AE23 AL28 AT20 AZ28 BA20 BE16 BG22 BH22 BI27 BR29 BY28 CH21 CR22 CY28 CZ24 DE22 DJ27 DK18 DO28 EE20 EG29 "
        "ES24 FI18 FK18 FO18 FR27 GB22 GE22 GI23 GL18 GR27 GT28 HR21 HU28 IE22 IL23 IQ23 IS26 IT27 JO30 KW30 KZ20 LB28 "
        "LC32 LI21 LT20 LU20 LV21 LY25 MC27 MD24 ME22 MK19 MN20 MR27 MT31 MU30 NI28 NL18 NO15 OM23 PK24 PL28 PS29 PT25 "
        "QA29 RO24 RS22 RU33 SA24 SC31 SD18 SE24 SI19 SK24 SM27 SO23 ST25 SV28 TL23 TN24 TR26 UA29 VA22 VG24 XK20 YE30",
    )
}
"""Characters of an account number by country: SWIFT's IBAN registry (ISO 13616)."""

Spans = Iterable[tuple[int, int]]

Rule = Callable[[str, int], Spans]
"""Takes a text and the place of its first long number; returns the places of what it finds."""


def kinds(text: str) -> frozenset[str]:
    """Returns the kinds of personal data that `text` seems to hold, those that `mask` would replace.

    They are `email`, `key`, `iban`, `card`, `phone` and `ssn`.
    """
    return masked(text)[1]


def masked(text: str) -> tuple[str, frozenset[str]]:
    """Returns the text with signs in place of what was found, and the kinds that were found."""
    if not _suspect(text):
        return text, frozenset()
    found: set[str] = set()
    changed = True
    while changed:  # what stood beside a replaced string can be recognised now; each round leaves less to find
        changed = False
        number = _first_number(text)
        for kind, rule in _RULES:
            if spans := tuple(rule(text, number)):
                changed = True
                found.add(kind)
                text = _replaced(text, spans, f"[{kind.upper()}]")
                number = _first_number(text)
    return text, frozenset(found)


def mask(example: Example) -> Example:
    """Returns the example with `[EMAIL]`, `[KEY]`, `[IBAN]`, … in place of such strings; of that, `kinds` is empty.

    Where the id was that of the text, it becomes that of the masked text, so that it gives nothing away.
    """
    fields = {name: masked(value)[0] for name, value in example.fields.items()}
    if fields == dict(example.fields):
        return example
    own = example.id == content_id(example.fields)
    return replace(example, fields=fields, id=content_id(fields) if own else example.id)


def _suspect(text: str) -> bool:
    """Returns `False` only where no rule finds anything: for most texts this is all that is done."""
    if "@" in text or "+" in text:
        return True
    return (_ASCII_NUMBER if text.isascii() else _NUMBER).search(text) is not None or may_hold_key(text)


def _first_number(text: str) -> int:
    """Returns the place from which nine digits may stand close together, the text's length where they do not."""
    found = _MANY_DIGITS.search(text)
    return max(0, found.start() - 1) if found else len(text)  # a bracket may stand before the first digit


def _replaced(text: str, spans: tuple[tuple[int, int], ...], sign: str) -> str:
    kept = [text[end:start] for (_, end), (start, _) in zip([(0, 0), *spans], [*spans, (len(text), 0)], strict=True)]
    return sign.join(kept)


def _emails(text: str, _: int) -> Spans:
    return _all(_EMAIL, text) if "@" in text else ()


def _keys(text: str, _: int) -> Spans:
    return _all(KEYS, text) if may_hold_key(text) else ()


def _cards(text: str, number: int) -> Spans:
    """Numbers as they are printed first, or a loose reading would take in what stands beside them."""
    end, printed = 0, []
    for found in _PRINTED_CARD.finditer(text, number):
        if found.start() >= end and _luhn(found["card"]):
            end = found.end("card")
            printed.append(found.span("card"))
    return printed or (found.span() for found in _CARD.finditer(text, number) if _luhn(found.group()))


def _phones(text: str, number: int) -> Spans:
    """International numbers first: those of the other forms beside them are found in the next round."""
    international = tuple(_all(_PHONE, text, 0, _NATIONAL_PHONE)) if "+" in text else ()
    return international or _all(_NATIONAL_PHONE, text, number, _PHONE)


def _ssns(text: str, number: int) -> Spans:
    return _all(_SSN, text, number)


def _all(pattern: re.Pattern[str], text: str, start: int = 0, *kin: re.Pattern[str]) -> Spans:
    """Yields what a pattern finds, and what can be recognised beside it once it is replaced.

    Without the latter, a text of nothing but keys would lose one in each round.
    """
    while found := pattern.search(text, start):
        span: tuple[int, int] | None = found.span()
        while span is not None:
            yield span
            start = span[1]
            span = _beside((pattern, *kin), text, start)


def _beside(patterns: tuple[re.Pattern[str], ...], text: str, start: int) -> tuple[int, int] | None:
    """Returns what a pattern finds at `start` or a sign or two behind it if the text began there."""
    after = text[start : start + BESIDE]
    for pattern in patterns:
        for skipped in range(3 if after else 0):
            found = pattern.match(after, skipped)
            # What reaches the end might go on: the next round sees it whole
            if found and (found.end() < len(after) - 24 or start + BESIDE >= len(text)):
                return start + found.start(), start + found.end()
    return None


def _ibans(text: str, _: int) -> Spans:
    start = _IBAN_START.search(text)
    place = start.start() if start else len(text)
    while found := _IBAN.search(text, place):
        end = _iban_end(text, found.start())
        if end is None:
            place = found.start() + 2
        else:
            yield found.start(), end
            place = end


def _iban_end(text: str, start: int) -> int | None:
    """Returns where the account number that begins at `start` ends, `None` where there is none.

    The number of characters is the country's, and letters taken as 10 to 35 the number is 1 modulo 97, its first four
    characters put last (ISO 13616, ISO/IEC 7064).
    """
    length = _IBAN_LENGTHS.get(text[start : start + 2], 0)
    number, end = "", start
    while len(number) < length and end < len(text):
        if text[end] != " ":
            number += text[end]
        end += 1
    if not length or len(number) < length or not number.isascii() or not number.isalnum():
        return None
    if text[end : end + 1].isalnum() or int("".join(str(int(c, 36)) for c in number[4:] + number[:4])) % 97 != 1:
        return None
    return end


def _luhn(number: str) -> bool:
    """Whether the check digit of a card number is right (ISO/IEC 7812-1)."""
    digits = [int(character) for character in reversed(number) if character.isdecimal()]
    doubled = [sum(divmod(2 * digit, 10)) for digit in digits[1::2]]
    return (sum(digits[::2]) + sum(doubled)) % 10 == 0 and len(set(digits)) > 1


_RULES: tuple[tuple[str, Rule], ...] = (
    ("key", _keys),
    ("email", _emails),
    ("iban", _ibans),
    ("card", _cards),
    ("phone", _phones),
    ("ssn", _ssns),
)
"""In the order in which they replace. Keys come first, for no part of one may stay; an account number, which holds
digits enough for a card, before the card."""
