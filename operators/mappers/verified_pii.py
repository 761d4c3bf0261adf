"""The mapper that hides e-mail addresses, public IPs, phone, card, account and social security numbers, each one verified.

A candidate that a pattern finds is replaced only if it proves to be what it looks like: by check digits, by the lists of who
gives out numbers, or by what addresses are for. So version numbers, ids and amounts stay.
"""

import functools
import ipaddress
import re
from collections.abc import Callable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ..base import mapper
from ..kernels.strings import masked
from .verifying import card, iban, social_security

Check = Callable[[str], int]  # how much of a candidate, from its begin on, is what it looks like: code points

_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_LOCAL = r"A-Za-z0-9!#$%&'*+/=?^_`{|}~.-"
_PATTERNS = {
    "emails": re.compile(
        rf"(?<![{_LOCAL}])[{_LOCAL}]{{1,64}}@(?:{_LABEL}\.){{1,8}}(?:[A-Za-z]{{2,24}}|xn--[A-Za-z0-9-]{{2,59}})(?![A-Za-z0-9-])"),
    "ibans": re.compile(r"(?<![A-Za-z0-9])[A-Z]{2}[0-9]{2}(?: ?[A-Z0-9]){11,30}(?![A-Za-z0-9])"),
    "cards": re.compile(r"(?<![0-9A-Za-z.-])[0-9](?:[ -]?[0-9]){12,18}(?![0-9A-Za-z]|[.-][0-9])"),
    "ips": re.compile(
        r"(?<![0-9A-Za-z.])(?:[0-9]{1,3}\.){3}[0-9]{1,3}(?![0-9]|\.[0-9])"
        r"|(?<![0-9A-Za-z:.])[0-9A-Fa-f]{1,4}(?:::?[0-9A-Fa-f]{1,4}){1,7}(?![0-9A-Za-z:])"),
    "ssns": re.compile(r"(?<![0-9A-Za-z-])[0-9]{3}-[0-9]{2}-[0-9]{4}(?![0-9A-Za-z]|-[0-9])"),
    "phones": re.compile(r"(?<![0-9A-Za-z+./-])(?:\+|\()?[0-9][0-9 ().\-\u00a0/]{5,22}[0-9](?![0-9A-Za-z])"),
}
_HINTS = {  # RE2: what every match holds
    "emails": "@[A-Za-z0-9]", "ibans": "[A-Z]{2}[0-9]{2} ?[A-Z0-9]", "cards": "[0-9](?:[ -]?[0-9]){12}",
    "ips": r"[0-9]\.[0-9]{1,3}\.[0-9]|[0-9A-Fa-f]:[0-9A-Fa-f:]", "ssns": "[0-9]{3}-[0-9]{2}-[0-9]{4}",
    "phones": r"[0-9][0-9 ().\-\x{a0}/]{5}",
}
KINDS = tuple(_PATTERNS)
_PICTURES = ("png", "jpg", "jpeg", "gif", "svg", "webp")
_GLOBAL = ipaddress.ip_network("2000::/3")


@mapper("verified_pii_mapper", stats=tuple(f"pii_{kind}" for kind in KINDS), version=2)
def without_pii(
    text: pa.StringArray, *, emails: bool = True, ips: bool = True, phones: bool = True, cards: bool = True, ibans: bool = True,
    ssns: bool = True, public_ips_only: bool = True, phone_regions: tuple[str, ...] = ("US",),
    email_replacement: str = "[EMAIL_REDACTED]", ip_replacement: str = "[IP_REDACTED]",
    phone_replacement: str = "[PHONE_REDACTED]", card_replacement: str = "[CARD_REDACTED]",
    iban_replacement: str = "[IBAN_REDACTED]", ssn_replacement: str = "[SSN_REDACTED]",
) -> pa.StructArray:
    """Text with what names a person replaced, and how much of each kind: struct<text, pii_emails, pii_ibans, pii_cards ...>.

    E-mail: local part of 64 characters at most, a domain with a top level that is no picture's suffix. IP: v4 and v6,
    with `public_ips_only` only those that all the world can reach. Card: issuer, length and Luhn's digit. IBAN: the country's
    length and mod 97. SSN: numbers that can be given out. Phone: valid by Google's lists; without a +, only in the groups
    that one of `phone_regions` writes, with one mark between them. Empty: empty. Null: null. Cost: a search per kind; then
    Python on texts with a candidate. Raises ValueError where phonenumbers is not installed.
    Source: Penedo et al. 2024 (FineWeb: e-mail, public IPs), Soldaini et al. 2024 (Dolma), ISO 7812, ISO 13616, SSA.
    >>> without_pii(pa.array(["at 8.8.8.8, not 10.0.0.1"]), phones=False)[0].as_py()["text"]
    'at [IP_REDACTED], not 10.0.0.1'
    """
    asked: dict[str, tuple[bool, Check, str]] = {
        "emails": (emails, _email, email_replacement), "ibans": (ibans, iban, iban_replacement),
        "cards": (cards, card, card_replacement), "ips": (ips, functools.partial(_ip, public=public_ips_only), ip_replacement),
        "ssns": (ssns, social_security, ssn_replacement), "phones": (phones, _nothing, phone_replacement),
    }
    if phones:
        asked["phones"] = True, _phone_check(tuple(phone_regions)), phone_replacement
    counts = []
    for kind, (wanted, check, put) in asked.items():
        count = [0] * len(text)
        found = pc.fill_null(pc.match_substring_regex(text, _HINTS[kind]), False)
        places = np.flatnonzero(found) if wanted else np.empty(0, np.int64)
        rows, changed = text.take(pa.array(places, pa.int64())).to_pylist(), []
        for place, row in zip(places, rows, strict=True):
            row, count[place] = _replaced(row, _PATTERNS[kind], check, put)
            changed.append(row)
        if changed != rows:
            text = pc.replace_with_mask(text, found, pa.array(changed, text.type))
        counts.append(masked(np.array(count, np.int64), text))
    return pa.StructArray.from_arrays([text, *counts], names=["text", *(f"pii_{kind}" for kind in asked)])


def _replaced(row: str, pattern: "re.Pattern[str]", check: Check, put: str) -> tuple[str, int]:
    """The row with every candidate replaced that passes, and how many did."""
    kept, done, at, count = [], 0, 0, 0
    while (match := pattern.search(row, at)) is not None:
        size = check(match.group())
        at = match.start() + (size or 1)
        if size:
            kept += [row[done : match.start()], put]
            done, count = at, count + 1
    return ("".join([*kept, row[done:]]), count) if count else (row, 0)


def _nothing(candidate: str) -> int:
    return 0


def _email(candidate: str) -> int:
    local, _, domain = candidate.partition("@")
    good = local[0] != "." and local[-1] != "." and ".." not in local and len(domain) <= 253
    return len(candidate) if good and domain.rsplit(".", 1)[1].lower() not in _PICTURES else 0


def _ip(candidate: str, public: bool) -> int:
    try:
        address = ipaddress.ip_address(candidate)
    except ValueError:
        return 0
    real = address.is_global and (address.version == 4 or address in _GLOBAL) and not address.is_multicast
    return len(candidate) if real or (not public and not address.is_unspecified) else 0


def _as_written(number: str, usual: str) -> bool:
    """Whether a number stands in its country's usual groups, a country's 1 before them or not, with one mark between them."""
    groups, wanted = re.findall("[0-9]+", number), re.findall("[0-9]+", usual)
    marks = set(re.sub(r"^1[ .-]|\([0-9]*\)[ .-]?|[0-9]", lambda m: "", number))
    return groups in (wanted, ["1", *wanted]) and len(marks) <= 1


def _phone_check(regions: tuple[str, ...]) -> Check:
    try:
        import phonenumbers
    except ImportError as e:
        raise ValueError("verified_pii_mapper needs the extra 'pii' for phone numbers (or phones: false): "
                         "pip install 'tamis[pii]'") from e
    unknown = sorted(set(regions) - set(phonenumbers.SUPPORTED_REGIONS))
    if unknown:
        raise ValueError(f"phone_regions: {unknown[0]!r} is no region with a numbering plan; it is a code such as US, GB or DE")

    @functools.lru_cache(maxsize=4096)
    def valid(number: str) -> bool:
        for region in (None,) if number.startswith("+") else regions:
            try:
                parsed = phonenumbers.parse(number, region)
            except phonenumbers.NumberParseException:
                continue
            usual = phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.NATIONAL)
            if phonenumbers.is_valid_number(parsed) and (region is None or _as_written(number, usual)):
                return True
        return False

    def check(candidate: str) -> int:
        """The longest part of whole groups that is a number."""
        ends = [m.end() for m in re.finditer(r"[0-9]+", candidate)]
        for end in reversed(ends):
            number = candidate[:end]
            digits = sum(map(str.isdigit, number))
            grouped = number[0] == "+" or (end != ends[0] or number[0] == "(")
            if 7 <= digits <= 15 and grouped and number.count("(") == number.count(")") and valid(number):
                return end
        return 0

    return check
