"""Whether a number is one: by check digits, lengths, and what those who give out such numbers have reserved."""

# Length of an account number by country: the IBAN registry (SWIFT, ISO 13616).
_LENGTHS = {
    length: countries.split() for length, countries in {
        15: "NO", 16: "BE", 18: "DK FI FO GL NL SD FK", 19: "MK SI", 20: "AT BA EE KZ LT LU XK MN", 21: "CH CR HR LI LV",
        22: "BG BH DE GB GE IE ME RS VA", 23: "AE GI IL IQ OM TL SO", 24: "AD CZ ES MD PK RO SA SE SK TN VG", 25: "LY PT ST",
        26: "IS TR", 27: "BI DJ FR GR IT MC MR SM", 28: "AL AZ BY CY DO GT HN HU LB NI PL SV", 29: "BR EG PS QA UA",
        30: "JO KW MU YE", 31: "MT SC", 32: "LC", 33: "RU",
    }.items()
}
IBAN_LENGTH = {country: length for length, countries in _LENGTHS.items() for country in countries}
# First digits and lengths of cards: Visa, Mastercard, American Express, Discover, JCB, Diners Club, UnionPay, Maestro.
_CARDS: tuple[tuple[int, int, tuple[int, ...]], ...] = (
    (4000, 4999, (13, 16, 19)), (5100, 5599, (16,)), (2221, 2720, (16,)), (3400, 3499, (15,)), (3700, 3799, (15,)),
    (6011, 6011, (16, 19)), (6440, 6599, (16, 19)), (3528, 3589, (16, 17, 18, 19)), (3000, 3059, (14, 16, 19)),
    (3095, 3095, (14, 16, 19)), (3600, 3699, (14, 16, 19)), (3800, 3999, (14, 16, 19)), (6200, 6299, (16, 17, 18, 19)),
)


def luhn(digits: str) -> bool:
    """Whether the last digit is the one that Luhn's rule makes of the others (ISO 7812)."""
    total = 0
    for i, digit in enumerate(reversed(digits)):
        n = int(digit) * (1 + i % 2)
        total += n - 9 if n > 9 else n
    return total % 10 == 0


def card(candidate: str) -> int:
    """Length of the candidate if it is the number of a card: an issuer's first digits and length, and Luhn's digit; else 0.

    In groups it must be written as on a card: four digits each, or 4, 6 and 4 or 5, one mark between them.
    """
    groups = [len(g) for g in candidate.replace("-", " ").split(" ")]
    usual = len(groups) == 1 or groups[:-1] == [4] * (len(groups) - 1) or groups in ([4, 6, 4], [4, 6, 5])
    if not usual or (" " in candidate and "-" in candidate):
        return 0
    digits = candidate.replace(" ", "").replace("-", "")
    first = int(digits[:4])
    issued = any(low <= first <= high and len(digits) in lengths for low, high, lengths in _CARDS)
    return len(candidate) if issued and luhn(digits) and len(set(digits)) > 1 else 0


def iban(candidate: str) -> int:
    """How much of the candidate is an account number: as long as its country has them, and 1 by modulus 97; else 0."""
    wanted, end, size = IBAN_LENGTH.get(candidate[:2], 0), 0, 0
    while end < len(candidate) and size < wanted:
        size += candidate[end] != " "
        end += 1
    if not wanted or size < wanted or (end < len(candidate) and candidate[end] != " "):
        return 0
    number = candidate[:end].replace(" ", "")
    return end if int("".join(str(int(c, 36)) for c in number[4:] + number[:4])) % 97 == 1 else 0


def social_security(candidate: str) -> int:
    """Length of the candidate if the United States' administration can have given that number out (since 2011); else 0."""
    area, group, serial = candidate.split("-")
    given = area not in ("000", "666") and area < "900" and group != "00" and serial != "0000"
    return len(candidate) if given and candidate not in ("078-05-1120", "219-09-9999") else 0
