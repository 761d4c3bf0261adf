"""Numbers of accounts, cards and persons: made by the rules of those who give them out, and spoilt one rule at a time."""

import random

import pyarrow as pa
import pytest

from tamis.operators.mappers.verified_pii import without_pii
from tamis.operators.mappers.verifying import IBAN_LENGTH, card, iban, luhn, social_security

# Examples that the countries' registrars publish.
REGISTERED = [
    "AD1200012030200359100100", "AT611904300234573201", "BE68539007547034", "CH9300762011623852957", "CZ6508000000192000145399", "DK5000400440116243",
    "EE382200221020145685", "ES9121000418450200051332", "FI2112345600000785", "FR1420041010050500013M02606", "GR1601101250000000012300695",
    "HU42117730161111101800000000", "IE29AIBK93115212345678", "IL620108000000099999999", "IS140159260076545510730339", "IT60X0542811101000000123456",
    "LI21088100002324013AA", "LT121000011101001000", "LU280019400644750000", "LV80BANK0000435195001", "MC5811222000010123456789030", "MT84MALT011000012345MTLCAST001S",
    "NL91ABNA0417164300", "NO9386011117947", "PL61109010140000071219812874", "PT50000201231234567890154", "RO49AAAA1B31007593840000", "SA0380000000608010167519",
    "SE4550000000058398257466", "SI56191000000123438", "SK3112000000198742637541", "SM86U0322509800000000270100", "TN5910006035183598478831", "TR330006100519786457841326",
    "AE070331234567890123456", "BG80BNBG96611020345678", "CY17002001280000001200527600", "DO28BAGR00000001212453611324", "GE29NB0000000101904917", "GI75NWBK000000007099453",
    "HR1210010051863000160", "KZ86125KZT5004100100", "LB62099900000001001901229114", "MK07250120000058984", "MR1300020001010000123456753", "MU17BOMM0101101030300200000MUR", "HN88CABF00000000000250005469",
    "RS35260005601001611379", "BR1800360305000010009795493C1", "UA213223130000026007233566001", "VG96VPVG0000012345678901", "XK051212012345678906",
]


def made(country: str, rng: random.Random) -> str:
    """A number of that country: any account, and the check digits that ISO 13616 makes of it."""
    account = "".join(rng.choice("0123456789ABCXYZ") for _ in range(IBAN_LENGTH[country] - 4))
    rest = int("".join(str(int(c, 36)) for c in f"{account}{country}00")) % 97
    return f"{country}{98 - rest:02}{account}"


@pytest.mark.parametrize("number", REGISTERED)
def test_published_account_numbers_are_numbers(number: str) -> None:
    assert iban(number) == len(number) == IBAN_LENGTH[number[:2]]
    grouped = " ".join(number[i : i + 4] for i in range(0, len(number), 4))
    assert without_pii(pa.array([f"to {grouped}, please"]), phones=False)[0].as_py()["text"] == "to [IBAN_REDACTED], please"


@pytest.mark.parametrize("country", sorted(IBAN_LENGTH))
def test_every_country_has_its_length_and_its_check_digits(country: str) -> None:
    rng = random.Random(country)
    for _ in range(5):
        number = made(country, rng)
        assert iban(number) == len(number)
        assert iban(number[:-1]) == 0 and iban(number + "0") == 0, "no digit more or less"
        assert iban(number + " 12") == len(number), "what follows a blank is not of it"
        wrong = [f"{country}{digits:02}{number[4:]}" for digits in range(2, 99) if f"{digits:02}" != number[2:4]]
        assert not any(map(iban, wrong))
        swapped = number[:6] + number[7] + number[6] + number[8:]
        if number[6:8].isdigit() and swapped != number:  # B is 11: B1 and 1B are one number
            assert iban(swapped) == 0, "digits exchanged are found out"
    assert iban("ZZ" + number[2:]) == 0


def numbered(prefix: int, length: int, rng: random.Random) -> str:
    body = str(prefix) + "".join(rng.choice("0123456789") for _ in range(length - len(str(prefix)) - 1))
    return next(body + d for d in "0123456789" if luhn(body + d))


ISSUERS = [  # (first four digits, lengths that are given out): Visa, Mastercard, American Express, Discover, JCB, Diners, UnionPay; and who gives out none
    (4000, {13, 16, 19}), (4999, {13, 16, 19}), (5000, set()), (5099, set()), (5100, {16}), (5599, {16}), (5600, set()), (2220, set()), (2221, {16}), (2720, {16}), (2721, set()),
    (3400, {15}), (3499, {15}), (3500, set()), (3700, {15}), (3799, {15}), (6011, {16, 19}), (6012, set()), (6440, {16, 19}), (6439, set()), (6599, {16, 19}),
    (6600, set()), (3527, set()), (3528, {16, 17, 18, 19}), (3589, {16, 17, 18, 19}), (3590, set()), (3000, {14, 16, 19}), (3059, {14, 16, 19}), (3060, set()),
    (3095, {14, 16, 19}), (3600, {14, 16, 19}), (3699, {14, 16, 19}), (3800, {14, 16, 19}), (6200, {16, 17, 18, 19}), (6299, {16, 17, 18, 19}), (1234, set()), (9999, set()),
]


@pytest.mark.parametrize(("prefix", "lengths"), ISSUERS)
def test_cards_have_their_issuers_digits_and_lengths(prefix: int, lengths: set[int]) -> None:
    rng = random.Random(prefix)
    for length in range(12, 20):
        number = numbered(prefix, length, rng)
        assert (card(number) > 0) == (length in lengths), number
        assert card(number[:-1] + str((int(number[-1]) + 1) % 10)) == 0, "another last digit is none"


def test_cards_are_grouped_as_on_cards() -> None:
    visa, amex, diners = "4111111111111111", "378282246310005", "30569309025904"
    assert card("4111 1111 1111 1111") == card("4111-1111-1111-1111") == 19 and card("3782 822463 10005") == 17 and card("3056 930902 5904") == 16
    assert card(visa) == 16 and card(amex) == 15 and card(diners) == 14
    for odd in ("4111-1111 1111-1111", "41111111 1111 1111", "411 1111 1111 11111", "3782 8224 6310 005", "4111 1111  1111 1111"):
        assert card(odd) == (len(odd) if odd == "3782 8224 6310 005" else 0), odd
    assert card("0000000000000000") == card("4444444444444444444"[:16].replace("4", "0")) == 0


@pytest.mark.parametrize(("number", "given_out"), [
    ("001-01-0001", True), ("665-99-9999", True), ("667-01-0001", True), ("899-01-0001", True), ("000-01-0001", False), ("666-01-0001", False),
    ("900-01-0001", False), ("999-99-9999", False), ("123-00-4567", False), ("123-45-0000", False), ("078-05-1120", False), ("219-09-9999", False),
])
def test_social_security_numbers_are_those_that_can_be_given_out(number: str, given_out: bool) -> None:
    assert social_security(number) == (11 if given_out else 0)
    shown = without_pii(pa.array([f"SSN {number}."]), phones=False)[0].as_py()
    assert shown["pii_ssns"] == int(given_out) and (number in shown["text"]) != given_out


@pytest.mark.parametrize(("address", "public", "real"), [
    ("1.1.1.1", True, True), ("100.64.0.1", False, True), ("169.254.1.1", False, True), ("172.15.0.1", True, True), ("172.16.0.1", False, True),
    ("172.31.255.255", False, True), ("172.32.0.1", True, True), ("198.18.0.1", False, True), ("192.0.2.1", False, True), ("224.0.0.1", False, True),
    ("0.0.0.0", False, False), ("255.255.255.255", False, True), ("1.2.3.256", False, False), ("01.2.3.4", False, False), ("2606:4700:4700::1111", True, True),
    ("fc00:0:0:0:0:0:0:1", False, True), ("2001:db8:0:0:0:0:0:1", False, True), ("ff02:0:0:0:0:0:0:1", False, True), ("1:2:3:4:5:6:7:8", False, True), ("1:2:3:4:5:6:7", False, False),
])
def test_addresses_of_machines_that_all_the_world_can_reach(address: str, public: bool, real: bool) -> None:
    for only_public, goes in ((True, public), (False, real)):
        shown = without_pii(pa.array([f"<{address}>"]), public_ips_only=only_public, phones=False)[0].as_py()
        assert (shown["text"], shown["pii_ips"]) == (f"<{'[IP_REDACTED]' if goes else address}>", int(goes))


def test_each_kind_is_replaced_by_its_own_words() -> None:
    text = "a@b.de 8.8.8.8 4111111111111111 GB82WEST12345698765432 123-45-6789 +1 650-253-0000"
    shown = without_pii(pa.array([text]), email_replacement="E", ip_replacement="I", card_replacement="C", iban_replacement="B", ssn_replacement="S",
                        phone_replacement=r"\1")[0].as_py()
    assert shown["text"] == "E I C B S \\1" and sum(v for k, v in shown.items() if k != "text") == 6
    again = without_pii(without_pii(pa.array([text])).field("text"))[0].as_py()
    assert sum(v for k, v in again.items() if k != "text") == 0, "nothing is left to find"
