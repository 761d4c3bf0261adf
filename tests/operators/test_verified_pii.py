"""What names a person goes, what only looks like it stays."""

import itertools
import time
from typing import Any

import pyarrow as pa
import pytest

from tamis.operators.mappers import verifying
from tamis.operators.mappers.verified_pii import KINDS, without_pii


def one(text: str, **settings: Any) -> tuple[str, dict[str, int]]:
    answer = without_pii(pa.array([text]), **settings)[0].as_py()
    return answer["text"], {kind: n for kind in KINDS if (n := answer[f"pii_{kind}"])}


@pytest.mark.parametrize("text, kind", [
    ("a@b.de", "emails"), ("first.last+tag@mail.example.co.uk", "emails"), ("x_y@xn--bcher-kva.example", "emails"),
    ("8.8.8.8", "ips"), ("2001:4860:4860::8888", "ips"), ("2a00:1450:4001:81b:0:0:0:200e", "ips"),
    ("4111 1111 1111 1111", "cards"), ("378282246310005", "cards"), ("3782 822463 10005", "cards"), ("5555-5555-5555-4444", "cards"), ("6011111111111117", "cards"),
    ("DE89370400440532013000", "ibans"), ("GB82 WEST 1234 5698 7654 32", "ibans"), ("FR14 2004 1010 0505 0001 3M02 606", "ibans"),
    ("123-45-6789", "ssns"), ("+1 650-253-0000", "phones"), ("(212) 736-5000", "phones"), ("+49 30 901820", "phones"),
    ("212.736.5000", "phones"), ("1-212-736-5000", "phones"), ("1 (212) 736-5000", "phones"), ("+442079460958", "phones"),
])
def test_what_is_one_goes_wherever_it_stands(text: str, kind: str) -> None:
    for before, after in itertools.product(("", "see ", "(", "é "), ("", " now", ", so", ".", ")\n")):
        changed, counts = one(before + text + after)
        assert counts == {kind: 1} and changed.startswith(before + "[") and changed.endswith("]" + after) and text not in changed


@pytest.mark.parametrize("text", [
    "logo@2x.png", "@handle", "a@b", "a..b@c.de", ".a@c.de", "x" * 65 + "@c.de", "10.0.0.1", "192.168.1.1", "127.0.0.1", "256.1.1.1",
    "version 1.2.3.4.5", "1.2.3", "::1", "fe80::1", "12:30:45", "ab::cd", "4111 1111 1111 1112", "1234567890123456", "0000 0000 0000 0000",
    "DE88370400440532013000", "XX89370400440532013000", "000-12-3456", "666-12-3456", "900-12-3456", "123-00-4567", "123-45-0000",
    "2127365000", "555-0199", "+1 000 000 0000", "3.14159265358979", "4096 4096 204800 1", "4111-1111 1111-1111", "41 11 11 11 11 11 11 11", "1999-2004", "ISBN 978-3-16-148410-0", "12 345 678", "(100) 200",
    "20,000 to 30,000", "17:4:2020 18:22:11", "sha 9f86d081884c7d659a2feaa0c55ad015", "2014-03-26 18:22", "128.1.2128.1.2.0", "252.227-7013", "v3.8.4.2", "212 73 65 000",
])
def test_what_only_looks_like_it_stays(text: str) -> None:
    assert one(f"before {text} after") == (f"before {text} after", {})


def test_several_in_one_text_are_counted_and_their_neighbours_stay() -> None:
    text, counts = one("a@b.de, c@d.fr; call +1 650-253-0000 2024 from 8.8.8.8 or 1.1.1.1.", email_replacement="<E>")
    assert text == "<E>, <E>; call [PHONE_REDACTED] 2024 from [IP_REDACTED] or [IP_REDACTED]."
    assert counts == {"emails": 2, "phones": 1, "ips": 2}


def test_each_kind_only_where_it_is_asked_for() -> None:
    text = "a@b.de 8.8.8.8 10.0.0.1 4111111111111111 GB82WEST12345698765432 123-45-6789 +1 650-253-0000 020 7946 0958"
    assert one(text, **dict.fromkeys(KINDS, False)) == (text, {})
    assert one(text, public_ips_only=False)[1]["ips"] == 2
    assert one(text)[1]["phones"] == 1 and one(text, phone_regions=("US", "GB"))[1]["phones"] == 2
    with pytest.raises(ValueError, match="numbering plan"):
        without_pii(pa.array([], pa.string()), phone_regions=("XX",))


def test_luhn_is_one_digit_in_ten() -> None:
    for n in range(0, 100_000, 777):
        assert sum(verifying.luhn(f"{n:06}{d}") for d in range(10)) == 1
    assert verifying.luhn("79927398713") and not verifying.luhn("79927398710")


def test_an_iban_with_any_digit_changed_is_none() -> None:
    good = "DE89370400440532013000"
    assert verifying.iban(good) == len(good)
    for i in range(2, len(good)):
        for digit in "0123456789":
            if digit != good[i]:
                assert verifying.iban(good[:i] + digit + good[i + 1 :]) == 0


@pytest.mark.parametrize("text", ["1" * 200_000, "1 " * 100_000, "a@" * 100_000, "a." * 100_000, "a:" * 100_000, "(1" * 100_000,
                                  "a:" + "a" * 28 + "z ", "DE89" * 50_000, "+1-" * 70_000, "x@" + "a-" * 100_000, "1.1.1." * 40_000])
def test_hostile_texts_take_no_long(text: str) -> None:
    began = time.perf_counter()
    one(text * (1 if len(text) > 1000 else 5000))
    assert time.perf_counter() - began < 10


def test_a_slice_and_nulls() -> None:
    text = pa.array(["x", None, "a@b.de", "y", None]).slice(1, 3)
    answer = without_pii(text)
    assert [a["text"] for a in answer.to_pylist()] == [None, "[EMAIL_REDACTED]", "y"]
    assert [a["pii_emails"] for a in answer.to_pylist()] == [None, 1, 0]
