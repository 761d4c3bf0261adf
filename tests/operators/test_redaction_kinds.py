"""What points at people, kind by kind: each mask hides its own and nothing else; looking only where it can be changes nothing."""

import re
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tamis.operators.mappers import redaction
from tamis.operators.mappers.redaction import redacted
from tamis.operators.mappers.replacing import without_ips

PLANTED = {
    "mask_pem": ("-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY-----", "[PEM_REDACTED]"),
    "mask_jwt": ("eyJhbGciOi.eyJzdWIiOi.c2lnbmF0dXJl", "[JWT_REDACTED]"),
    "mask_urls": ("https://example.org/a?b=c", "[URL_REDACTED]"), "mask_ips": ("203.0.113.255", "[IP_REDACTED]"),
    "mask_macs": ("00:1B:44:11:3A:b7", "[MAC_REDACTED]"), "mask_paths": ("/home/ann/notes.txt", "[PATH_REDACTED]"),
    "mask_emails": ("ann.b+c@mail.example.org", "[EMAIL_REDACTED]"), "mask_secrets": ("api_key: hunter2", "api_key: [REDACTED]"),
    "mask_ids": ("request-id=af12.9", "request-id[ID_REDACTED]"), "mask_channel_ids": ("channel = dingtalk", "channel = [CHANNEL_ID_REDACTED]"),
    "mask_platform_open_ids": ("ou_0123456789abcdef0123456789abcdef", "[CHANNEL_ID_REDACTED]"), "mask_phones": ("13812345678", "[PHONE_REDACTED]"),
    "mask_id_cards": ("11010519491231002X", "[ID_CARD_REDACTED]"),
}
TEXT = " ; ".join(secret for secret, _ in PLANTED.values())
REPLACEMENTS = {
    "mask_pem": "pem_replacement", "mask_jwt": "jwt_replacement", "mask_urls": "url_replacement", "mask_ips": "ip_replacement",
    "mask_macs": "mac_replacement", "mask_paths": "path_replacement", "mask_emails": "email_replacement", "mask_secrets": "secret_replacement",
    "mask_ids": "id_replacement", "mask_phones": "phone_replacement", "mask_id_cards": "id_card_replacement",
}


def one(text: str, **how: Any) -> str:
    return redacted(pa.array([text]), **how).to_pylist()[0]  # type: ignore[no-any-return]


def test_there_are_thirteen_kinds_and_all_but_links_are_hidden() -> None:
    assert len(PLANTED) == 13
    assert one(TEXT) == " ; ".join(secret if mask == "mask_urls" else put for mask, (secret, put) in PLANTED.items())


@pytest.mark.parametrize("mask", PLANTED)
def test_a_mask_that_is_off_leaves_its_kind_and_hides_the_others(mask: str) -> None:
    on = dict.fromkeys(PLANTED, True)
    assert one(TEXT, **on) == " ; ".join(put for _, put in PLANTED.values())
    assert one(TEXT, **(on | {mask: False})) == " ; ".join(secret if m == mask else put for m, (secret, put) in PLANTED.items())
    alone = dict.fromkeys(PLANTED, False) | {mask: True}
    assert one(TEXT, **alone) == " ; ".join(put if m == mask else secret for m, (secret, put) in PLANTED.items())


@pytest.mark.parametrize(("mask", "setting"), REPLACEMENTS.items())
def test_a_kind_has_a_replacement_of_its_own(mask: str, setting: str) -> None:
    secret, put = PLANTED[mask]
    shown = one(f"x {secret} y", **(dict.fromkeys(PLANTED, False) | {mask: True, setting: "<hidden>"}))
    assert shown == "x " + re.sub(r"\[[A-Z_]+\]", "<hidden>", put) + " y"


def test_channels_and_platform_ids_share_one_replacement() -> None:
    shown = one("channel: 飞书 u_0123456789abcdefgh", channel_id_replacement="C")
    assert shown == "channel: C C"


PIECES = st.sampled_from([
    "a", "b@", "c.d", "@e.fg", " ", "\n", "é", "1", "10", "255", "256", ".", ":", "00:", "-", "AB", "[", "]", "::1", "/home", "/etc/", "(", "=", "C:\\", "\\\\",
    "srv", "'", '"', "password", "Token", "auth", "session_id", "uid_", "ou_", "0123456789abcdef", "channel", "feishu", "邮箱", "+49", " 151234567",
    "138", "12345678", "110105", "19491231", "002X", "eyJ", "https://", "-----BEGIN A-----", "-----END A-----", "٣", "ſ", "İ", "_", "\x85", "，", "当前的",
])


def plainly(text: str) -> str:
    """Every expression on the whole text, in the published order."""
    put = {
        "jwt": "[JWT_REDACTED]", "ipv4": "[IP_REDACTED]", "ipv6": "[IP_REDACTED]", "mac": "[MAC_REDACTED]", "unix": r"\1[PATH_REDACTED]",
        "windows": r"\1[PATH_REDACTED]", "share": r"\1[PATH_REDACTED]", "secret": r"\1[REDACTED]", "id": r"\1[ID_REDACTED]",
        "channel": r"\1[CHANNEL_ID_REDACTED]", "feishu": "[CHANNEL_ID_REDACTED]", "platform": "[CHANNEL_ID_REDACTED]",
        "phone_cn": "[PHONE_REDACTED]", "phone": "[PHONE_REDACTED]", "card": "[ID_CARD_REDACTED]",
    }
    text = re.sub(r"-----BEGIN [A-Z0-9 -]+-----[\s\S]*?-----END [A-Z0-9 -]+-----", "[PEM_REDACTED]", text)
    for name, replacement in put.items():
        if name == "secret":
            text = re.sub(r"[a-zA-Z0-9][\w.+-]*@[\w.-]+\.(?:[a-zA-Z]{2,}|\w{2,})", "[EMAIL_REDACTED]", text)
        text = re.sub(redaction._PATTERNS[name][0], replacement, text, flags=redaction._PATTERNS[name][1])
    return text


@settings(max_examples=200)
@given(st.lists(st.lists(PIECES, max_size=14).map("".join) | st.none(), max_size=4))
def test_looking_where_a_kind_can_be_finds_what_looking_everywhere_finds(texts: list[str | None]) -> None:
    expected = [None if t is None else plainly(t) for t in texts]
    assert redacted(pa.array(["pad", *texts], pa.string()).slice(1)).to_pylist() == expected
    shown = redacted(pa.array(texts, pa.string()), email_replacement="<E>").to_pylist()  # any other replacement: no shortcut
    assert [s and s.replace("<E>", "[EMAIL_REDACTED]") for s in shown] == expected


@settings(max_examples=200)
@given(st.lists(PIECES, max_size=14).map("".join))
def test_what_is_hidden_stays_hidden_and_is_not_hidden_twice(text: str) -> None:
    once = one(text, mask_secrets=False, mask_ids=False, mask_channel_ids=False, mask_paths=False)
    assert one(once, mask_secrets=False, mask_ids=False, mask_channel_ids=False, mask_paths=False, mask_ips=False) == once or "::" in once


def test_expressions_of_ones_own_come_last_and_see_the_placeholders() -> None:
    assert one("me@x.org and ID7", extra_patterns=[[r"\[EMAIL_REDACTED\]", "someone"], [r"ID(\d)", r"<\1>"]]) == "someone and <7>"
    nothing = dict.fromkeys(PLANTED, False)
    assert one(TEXT, **nothing) == TEXT and one("a1", **nothing, extra_patterns=[["a", "b"]]) == "b1"


def test_rows_without_anything_are_the_same_array() -> None:
    text = pa.array(["plain", None, "", "10:30 (a) and/or b"])
    assert redacted(text) is text


@pytest.mark.parametrize(("text", "left"), [
    ("0.0.0.0", ""), ("255.255.255.255", ""), ("256.1.1.1", "2"), ("1.2.3", "1.2.3"), ("01.2.3.4", "0"), ("1.2.3.4567", "67"),
    ("1:2:3:4:5:6:7:8", ""), ("fe80::1", "fe80::1"), ("ABCD:0:0:0:0:0:0:ffff/64", "/64"),
])
def test_addresses_of_machines_are_octets_to_255_without_word_borders(text: str, left: str) -> None:
    assert without_ips(pa.array([text])).to_pylist() == [left]
    assert without_ips(pa.array([text]), repl="<>").to_pylist() == [text if left == text else text.replace(text.replace(left, ""), "<>") if left else "<>"]
    assert without_ips(pa.array([text, None]), pattern=r"\d", repl="#").to_pylist() == [re.sub(r"\d", "#", text), None]
