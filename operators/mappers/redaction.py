"""The mapper that hides what points at people, machines and accounts: thirteen kinds, each with a placeholder.

Data-Juicer's expressions, in its order. A text in which none of them can match is not looked at twice; where one of them
would take the square of a long text (addresses), the same matches are found from their fixed part.
"""

import functools
import re
from collections.abc import Callable

import pyarrow as pa
import pyarrow.compute as pc
import regex

from ..base import mapper
from .rewriting import substitute

_OCTET = r"(?:25[0-5]|2[0-4]\d|[01]?\d\d?)"
_PATTERNS: dict[str, tuple[str, int]] = {
    "jwt": (r"\beyJ[A-Za-z0-9_=-]+\.[A-Za-z0-9_=-]+\.[A-Za-z0-9_=-]+\b", 0),
    "url": (r"https?://[^\s\"'<>]+", 0),
    "ipv4": (rf"(?<![0-9.])(?:{_OCTET}\.){{3}}{_OCTET}(?![0-9])", 0),
    "ipv6": (r"\[[0-9a-fA-F:.]{3,}\](?::\d{1,5})?\b", 0),
    "mac": (r"(?<![0-9A-Fa-f:])(?:[0-9A-Fa-f]{2}[:-]){5}[0-9A-Fa-f]{2}\b", 0),
    "unix": (r"(^|[\s\"'(\[=])(/(?:Users?|home|tmp|etc|var|opt|Applications)[^\s\"')\]]*)", 0),
    "windows": (r"(^|[\s\"'(\[=])([A-Za-z]:\\[^\s\"')\]]*)", 0),
    "share": (r"(^|[\s\"'(\[=])(\\\\[^\s\"')\]]+)", 0),
    "domain": (r"@[\w.-]+\.(?:[a-zA-Z]{2,}|\w{2,})", 0),
    "secret": (
        r"(\b(?:api[_-]?key|apikey|secret|password|passwd|token|auth|authorization"
        r"|credential|license[_-]?key)\s*[:=]\s*[\"']?)([^\s\"',}\]]+)", re.IGNORECASE,
    ),
    "id": (r"\b(session[_-]?id|user[_-]?id|request[_-]?id|trace[_-]?id)\s*[:=]\s*[\"']?[\w.-]+", re.IGNORECASE),
    "channel": (
        r"(\bchannel\s*[:=]\s*[\"']?|当前的\s*channel\s*[:：]\s*)"
        r"(feishu|dingtalk|wecom|wechat_work|email|mail|飞书|钉钉|企业微信|邮箱)\b", re.IGNORECASE,
    ),
    "feishu": (r"\bou_[0-9a-f]{32}\b", re.IGNORECASE),
    "platform": (r"\b(ou_|u_|uid_)[0-9a-zA-Z_-]{16,64}\b", 0),
    "phone_cn": (r"\b1[3-9]\d{9}\b", 0),
    "phone": (r"\+\d{1,4}[-.\s]?\d{6,14}\b", 0),
    "card": (r"\b[1-9]\d{5}(?:19|20)\d{2}(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])\d{3}[\dXx]\b", 0),
}
_BLOCK = regex.compile(r"-----BEGIN [A-Z0-9 -]+-----[\s\S]*?-----END [A-Z0-9 -]+-----")  # `regex` can be stopped

# RE2: what every match holds, so that a kind is sought only where it can be. Digits and blanks may be of any script, and
# ignoring case ſ, ı, İ are letters s and i. Placeholders hold none of it: one kind put in makes no room for another.
_THEN = r"[\s\pZ\x0b\x1c-\x1f\x{85}]*[:=]"
_HINTS = {
    "pem": "-----BEGIN ", "jwt": "eyJ", "url": "https?://", "ipv4": r"\p{Nd}\.\p{Nd}", "ipv6": r"\[[0-9a-fA-F:.]{3,}\]",
    "mac": "[0-9a-fA-F]{2}[:-][0-9a-fA-F]{2}[:-]", "unix": "/(User|home|tmp|etc|var|opt|Application)", "windows": r"[a-zA-Z]:\\",
    "share": r"\\\\", "email": r"@[^\s@]+\.",
    "secret": rf"(?i)(key|secret|passwd|password|token|auth|author[iİı]zat[iİı]on|credent[iİı]al){_THEN}",
    "id": rf"(?i)[iİı]d{_THEN}", "channel": "(?i)channel", "feishu": "(?i)ou_[0-9a-f]{16}",
    "platform": "(u_|uid_)[0-9a-zA-Z_-]{16}",
    "phone_cn": r"1[3-9]\p{Nd}{7}", "phone": r"\+\p{Nd}", "card": r"\p{Nd}{9}",
}


@mapper("pii_redaction_mapper")
def redacted(
    text: pa.StringArray, *, mask_paths: bool = True, mask_emails: bool = True, mask_secrets: bool = True, mask_ids: bool = True,
    mask_phones: bool = True, mask_id_cards: bool = True, mask_channel_ids: bool = True, mask_platform_open_ids: bool = True,
    mask_pem: bool = True, mask_jwt: bool = True, mask_urls: bool = False, mask_ips: bool = True, mask_macs: bool = True,
    path_replacement: str = "[PATH_REDACTED]", email_replacement: str = "[EMAIL_REDACTED]",
    secret_replacement: str = "[REDACTED]", id_replacement: str = "[ID_REDACTED]",
    phone_replacement: str = "[PHONE_REDACTED]", id_card_replacement: str = "[ID_CARD_REDACTED]",
    channel_id_replacement: str = "[CHANNEL_ID_REDACTED]", pem_replacement: str = "[PEM_REDACTED]",
    jwt_replacement: str = "[JWT_REDACTED]", url_replacement: str = "[URL_REDACTED]", ip_replacement: str = "[IP_REDACTED]",
    mac_replacement: str = "[MAC_REDACTED]", extra_patterns: list[list[str]] | None = None,
) -> pa.StringArray:
    """Text with paths, e-mail addresses, secrets, ids, phone numbers ... replaced by placeholders, each kind if its mask is on.

    `extra_patterns`: pairs of expression (`re` syntax) and replacement, applied last. Only the text is looked at: give a
    step per column. Empty: empty. Null: null. Cost: one search; the expressions only on texts in which one could match, and
    with `extra_patterns` on everything. Raises ValueError for an expression that is not valid. Source: Data-Juicer.
    >>> redacted(pa.array(["token=abc from me@example.com"])).to_pylist()
    ['token=[REDACTED] from [EMAIL_REDACTED]']
    """
    masks: list[tuple[bool, tuple[str, ...], str]] = [
        (mask_pem, ("pem",), pem_replacement), (mask_jwt, ("jwt",), jwt_replacement), (mask_urls, ("url",), url_replacement),
        (mask_ips, ("ipv4", "ipv6"), ip_replacement), (mask_macs, ("mac",), mac_replacement),
        (mask_paths, ("unix", "windows", "share"), r"\1" + path_replacement), (mask_emails, ("email",), email_replacement),
        (mask_secrets, ("secret",), r"\1" + secret_replacement), (mask_ids, ("id",), r"\1" + id_replacement),
        (mask_channel_ids, ("channel",), r"\1" + channel_id_replacement),
        (mask_platform_open_ids, ("feishu", "platform"), channel_id_replacement),
        (mask_phones, ("phone_cn", "phone"), phone_replacement), (mask_id_cards, ("card",), id_card_replacement),
    ]
    changes = [(name, _change(name, put)) for wanted, names, put in masks if wanted for name in names]
    own = [functools.partial(_pair(p).sub, put) for p, put in extra_patterns or []]
    plain = all(_PLACEHOLDER.fullmatch(put) for _, _, put in masks)
    any_of = "|".join(_HINTS[name] if "(?i)" not in _HINTS[name] else f"({_HINTS[name]})" for name, _ in changes)
    needy = pc.fill_null(pc.is_valid(text) if own or not changes else pc.match_substring_regex(text, any_of), False)
    rows = text.filter(needy)
    maybe = [pc.match_substring_regex(rows, _HINTS[name]).to_pylist() if plain else [True] * len(rows) for name, _ in changes]
    made = []
    for row, hints in zip(rows.to_pylist(), zip(*maybe, strict=True) if maybe else [()] * len(rows), strict=True):
        for hint, (_, change) in zip(hints, changes, strict=True):
            row = change(row) if hint else row
        for change in own:
            row = change(row)
        made.append(row)
    return pc.replace_with_mask(text, needy, pa.array(made, text.type)) if made else text


_PLACEHOLDER = re.compile(r"(\\1)?\[[A-Z_]+\]")


def _pair(pattern: str) -> "re.Pattern[str]":
    try:
        return re.compile(pattern)
    except re.error as e:
        raise ValueError(f"extra_patterns: {pattern!r} is not a valid regular expression: {e}") from e


def _change(name: str, put: str) -> Callable[[str], str]:
    if name == "email":
        return functools.partial(_without_addresses, put=put)
    if name == "pem":
        return functools.partial(substitute, _BLOCK, put)
    return functools.partial(re.compile(*_PATTERNS[name]).sub, put)


_DOMAIN = re.compile(_PATTERNS["domain"][0])


def _without_addresses(row: str, put: str) -> str:
    r"""As `[a-zA-Z0-9][\w.+-]*@domain` would have it, found from the @ on."""
    kept, done, at = [], 0, row.find("@")
    while at >= 0:
        after, domain = at + 1, _DOMAIN.match(row, at)
        if domain is not None:
            start = at
            while start > done and (row[start - 1].isalnum() or row[start - 1] in "_.+-"):
                start -= 1
            while start < at and not (row[start].isascii() and row[start].isalnum()):
                start += 1
            if start < at:
                kept += [row[done:start], put]
                done = after = domain.end()
        at = row.find("@", after)
    return "".join([*kept, row[done:]])
