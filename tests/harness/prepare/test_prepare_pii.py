import time
from dataclasses import replace

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from harness.keys import KEYS, may_hold_key
from harness.prepare import pii
from harness.prepare.pii import kinds, mask
from harness.types import Example, content_id

KEY = "sk-" + "a1B2" * 6
FOUND = {
    "key": [
        *(KEY, "ghp_" + "a1B2" * 9, "hf_" + "aB" * 16, "AKIA" + "A1" * 8, "AIza" + "a1-_x" * 7, "xoxb-1234567890"),
        *("glpat-" + "a1" * 10, "sk_live_" + "a1" * 10, "gsk_" + "a1" * 20, "r8_" + "a1" * 15),
        *("github_pat_" + "a1" * 20, "eyJ" + "a1" * 5 + ".eyJ" + "a1" * 5 + "." + "a1" * 5),
        *("-----BEGIN RSA PRIVATE KEY-----", "-----BEGIN PRIVATE KEY-----"),
    ],
    "email": ["jane.doe+news@mail.example.org", "j_d@example.co", "müller@example.de"],
    "iban": [
        *("DE89 3704 0044 0532 0130 00", "DE89370400440532013000", "GB29 NWBK 6016 1331 9268 19"),
        *("NO93 8601 1117 947", "MT84 MALT 0110 0001 2345 MTLC AST0 01S", "ES91 2100 0418 4502 0005 1332"),
    ],
    "card": ["4111 1111 1111 1111", "4111-1111-1111-1111", "5555555555554444", "378282246310005"],
    "phone": [
        *("+44 20 7946 0958", "+1 (212) 555-0123", "+4930901820", "+49 (30) 901-82052"),
        *("(212) 555-0123", "(212)555-0123", "212-555-0123", "212.555.0123", "1-212-555-0123", "1 (212) 555 0123"),
        *("020 7946 0958", "(020) 7946 0958", "0808 157 0192", "0808-157-0192", "01 99 00 12 34", "01.99.00.12.34"),
    ],
    "ssn": ["123-45-6789", "899-99-9999"],
}
HARMLESS = [
    "me@home, you @ work, a@b",
    "order 4111 1111 1111 1112",  # check digit
    "order 4111 1111 1111 1112 12/26",
    "0000 0000 0000 0000",
    "call 7946 0958 or 5550123",
    "1234567890, 09061701461 and 123456789012",
    "on 01-02-2024 at 10.30, 01.02.2024 10:30, 2024-01-02 03-04-05",
    "from 100-200-3000 to 250 300 4000",
    "192.168.100.200 and version 10.12.14.16",
    "9 to 5, 7 by 24: +5, +10 and +100",
    "DE88 3704 0044 0532 0130 00",  # check digits
    "DE89 3704 0144 0532 0130",  # too short
    "5 0532 0130 0140 and 0044 0532 0130",
    "XX89 3704 0044 0532 0130 00",  # no such country
    "ABDE89370400440532013000, DE89370400440532013000X",
    "000-45-6789, 666-45-6789, 912-45-6789, 123-00-6789, 123-45-0000",
    "part 1123-45-6789 or 123-45-6789-1",
    "task-force sk-short, hf_model and gh-pages",
    "dishwasher-proof, AKIA and eyJ",
]
cases = [(kind, text) for kind, texts in FOUND.items() for text in texts]
anything = st.one_of(
    st.text(),
    st.text("0123456789 -.()+@aZ_/\u0663"),
    st.lists(
        st.sampled_from([text for _, text in cases])
        | st.text("0123456789 -.+@aZ", max_size=4)
        | st.sampled_from(HARMLESS),
        max_size=6,
    ).map("".join),
)


def masked(text):
    return mask(Example(fields={"text": text}, label="x")).fields["text"]


@pytest.mark.parametrize(("kind", "text"), cases)
@pytest.mark.parametrize("around", ["{}", "write {} today", "({}).", "first\n{}\nlast", "né {}, ja", "{}; {}"])
def test_is_found_and_replaced(kind, text, around):
    assert kinds(around.format(text, text)) == {kind}
    assert masked(around.format(text, text)) == around.format(f"[{kind.upper()}]", f"[{kind.upper()}]")


@pytest.mark.parametrize("text", HARMLESS)
def test_harmless_text_stays(text):
    assert kinds(text) == frozenset()
    assert masked(text) == text


def test_each_kind_of_a_text_is_named():
    text = " / ".join(texts[0] for texts in FOUND.values())
    assert kinds(text) == set(FOUND)
    assert masked(text) == " / ".join(f"[{kind.upper()}]" for kind in FOUND)


@pytest.mark.parametrize("card", [*FOUND["card"], "4012888888881881", "3530 1113 3330 0000", "3782 822463 10005"])
@pytest.mark.parametrize(
    "around",
    ["{} 12/26", "{} 12/2026", "{} 123", "{} 2 times", "{} 01 29", "Room 12 {}", "12 {} 12/26", "4111 {} 4111"],
)
def test_a_card_is_found_beside_other_digits(card, around):
    assert kinds(around.format(card)) == {"card"}
    assert masked(around.format(card)) == around.format("[CARD]")


def test_every_card_of_a_row_is_found():
    cards = FOUND["card"][0]
    assert masked(f"{cards} {cards} 12/26 {cards} 123") == "[CARD] [CARD] 12/26 [CARD] 123"


def test_words_after_an_account_number_stay():
    assert masked("to ES91 2100 0418 4502 0005 1332 PLUS 5 EUR") == "to [IBAN] PLUS 5 EUR"
    assert masked("DE89 3704 0044 0532 0130 00 NO93 8601 1117 947 NOW") == "[IBAN] [IBAN] NOW"


def test_no_part_of_a_key_stays():
    assert masked(f"a@b.co.{KEY}") == "[EMAIL].[KEY]"
    assert kinds(f"{KEY}@example.org") == {"key"}


@given(anything)
@example("4111111111111111a@b.co+4111111111111111")
@example("a@b.co.sk-" + "a1" * 12)
@example("+44 20 7946 0958 and (212) 555-0123")
@example("\u0664\u0661" + "\u0661" * 14)
def test_of_a_masked_text_nothing_is_left(text):
    once = masked(text)
    assert kinds(once) == frozenset()
    assert masked(once) == once
    assert (once == text) == (not kinds(text))


@given(anything, anything)
def test_fields_are_masked_each(title, body):
    shown = mask(Example(fields={"title": title, "body": body}, label="x"))
    assert shown.fields == {"title": masked(title), "body": masked(body)}
    assert list(shown.fields) == ["title", "body"]
    assert kinds(shown.text) == frozenset()


@given(st.one_of(st.from_regex(KEYS), anything))
def test_no_text_with_a_key_is_passed_over(text):
    assert may_hold_key(text) or not KEYS.search(text)


def test_most_texts_hold_no_key():
    assert not may_hold_key("a well-made case, as good as new")
    assert not may_hold_key("")


def test_an_id_made_of_the_text_changes_with_it():
    own = Example(fields={"text": "to jane@example.org"}, label="x")
    shown = mask(own)
    assert shown.id == content_id(shown.fields) != own.id
    given_id = replace(own, id="row-7")
    assert mask(given_id).id == "row-7"
    plain = Example(fields={"text": "nothing"}, label="x")
    assert mask(plain) is plain


def test_a_private_key_goes_whole_and_what_follows_stays():
    body = "\n".join(["MIIEowIBAAKCAQEA" * 4] * 3 + ["Qk0="])
    key = f"-----BEGIN RSA PRIVATE KEY-----\n{body}\n-----END RSA PRIVATE KEY-----"
    row = Example(fields={"text": f"my key: {key} is secret"}, label="x")
    assert mask(row).text == "my key: [KEY] is secret"
    cut = Example(fields={"text": f"my key: {key[:150]}\nand more"}, label="x")
    assert mask(cut).text == "my key: [KEY]\nand more"


@pytest.mark.parametrize("piece", ["AKIA", "AKIA0123456789ABCDEF", "+49 123 456 7890", "+a@b.cc", "(212) 555-0123"])
def test_ten_times_the_text_takes_ten_times_the_time(piece: str) -> None:
    def seconds(letters: int) -> float:
        text = (piece * (letters // len(piece) + 1))[:letters]
        start = time.process_time()
        pii.masked(text)
        return time.process_time() - start

    short = min(seconds(20_000) for _ in range(5))
    assert min(seconds(200_000) for _ in range(3)) < 20 * short


@pytest.mark.parametrize("filler", ["", " ", "+", ";", "\n", "x"])
def test_nothing_is_left_of_keys_that_stand_close_together(filler: str) -> None:
    text = filler.join(["AKIA0123456789ABCDEF"] * 40)
    clean, found = pii.masked(text)
    assert found == {"key"}
    assert pii.masked(clean) == (clean, frozenset())
    assert "AKIA" not in clean or filler == "x"


@pytest.mark.parametrize("end", ["\u00e9", "-", "\u00b2", "\uff12"])
def test_an_account_number_that_breaks_off_is_none(end):
    text = f"GB82WEST1234569876543{end}"
    assert "iban" in kinds("GB82WEST12345698765432")
    assert "iban" not in kinds(text)
