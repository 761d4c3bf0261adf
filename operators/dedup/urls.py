"""Rows of one address: URLs that are equal once they are written in one form."""

import numpy as np
import pyarrow as pa
from numba import njit

from ..base import deduplicator
from ..kernels.digest import digest
from ..kernels.folding import Texts, scratch_size, stripped
from ..kernels.strings import strings
from ..kernels.urls import normal
from .folding import as_lists, texts

# What advertising and mailing systems append, and no page depends on; a trailing * stands for anything.
TRACKING = (
    "utm_*", "gclid", "gclsrc", "dclid", "gbraid", "wbraid", "fbclid", "msclkid", "yclid", "twclid", "ttclid", "igshid",
    "mc_cid", "mc_eid", "_ga", "_gl", "_hsenc", "_hsmi", "mkt_tok", "oly_anon_id", "oly_enc_id", "vero_id", "wickedid",
)


@njit(cache=True, nogil=True)
def _normal_rows(
    urls: Texts, names: np.ndarray, bounds: np.ndarray, keep_scheme: bool
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """(offsets int64[n + 1], bytes, first and second hash uint64[n]) of the URLs in one form."""
    n = len(urls.start)
    out, scratch = np.empty((urls.end - urls.start).sum(), np.uint8), np.empty(scratch_size(urls), np.uint8)
    ends, first, second = np.zeros(n + 1, np.int64), np.zeros(n, np.uint64), np.zeros(n, np.uint64)
    for row in range(n):
        size = 0
        if urls.valid[row]:
            size = normal(urls.data, *stripped(urls.data, urls.start[row], urls.end[row]), names, bounds, keep_scheme, scratch)
            first[row], second[row] = digest(scratch, 0, size)
        out[ends[row] : ends[row] + size] = scratch[:size]
        ends[row + 1] = ends[row] + size
    return ends, out[: ends[n]], first, second


def _names(tracking_parameters: tuple[str, ...]) -> tuple[np.ndarray, np.ndarray]:
    wrong = [name for name in tracking_parameters if not name.rstrip("*") or "*" in name[:-1] or set(name) & set("&=#? ")]
    if wrong:
        raise ValueError(f"tracking_parameters names a query parameter, or its beginning and *; {wrong[0]!r} is neither")
    encoded = [name.lower().encode() for name in tracking_parameters]
    return np.frombuffer(b"".join(encoded), np.uint8), np.append(0, np.cumsum([len(e) for e in encoded])).astype(np.int64)


def normal_urls(url: pa.StringArray, tracking_parameters: tuple[str, ...] = TRACKING, keep_scheme: bool = False) -> pa.StringArray:
    """Each URL in one form; see `url_keys`. Null: null.

    >>> normal_urls(pa.array(["HTTP://Example.com:80/a/?utm_source=x&b=1#top"])).to_pylist()
    ['example.com/a?b=1']
    """
    ends, data, _, _ = _normal_rows(texts(url, False), *_names(tracking_parameters), keep_scheme)
    return strings(ends, data, like=url)


def _one_each(url: pa.StringArray, half: int, tracking_parameters: tuple[str, ...], keep_scheme: bool) -> pa.ListArray:
    column = texts(url, False)
    ends, _, *hashes = _normal_rows(column, *_names(tuple(tracking_parameters)), keep_scheme)
    there = np.diff(ends) > 0
    return as_lists(hashes[half][there], np.append(0, np.cumsum(there)), url)


def url_evidence(
    url: pa.StringArray, *, tracking_parameters: tuple[str, ...] = TRACKING, keep_scheme: bool = False
) -> pa.ListArray:
    """The other 64 bits of each URL's digest, as a set of one. Shape: list<uint64>[n]. Null: null."""
    return _one_each(url, 1, tracking_parameters, keep_scheme)


@deduplicator("document_url_deduplicator", evidence=url_evidence)
def url_keys(
    url: pa.StringArray, *, tracking_parameters: tuple[str, ...] = TRACKING, keep_scheme: bool = False
) -> pa.ListArray:
    """One key for each URL: 64 bits of the 128-bit digest of the address in one form.

    That form: no white space around it; no fragment (from `#` on); http, https or no scheme the same (with `keep_scheme`
    they differ), another scheme in lower case; host in lower case, without a dot at its end; no port where it is empty or the
    scheme's own (80 for http, 443 for https); no slash at the end of the path; no query parameters of
    `tracking_parameters` (names, or beginnings and *), nor empty ones. All else counts as it is written: path, order of
    the parameters, percent-encoding, `www.`, user names. Reads the column `url` unless text_key names another.
    Shape: list<uint64>[n], one each. Empty: an empty list, so rows without an address are not duplicates. Null: null.
    Raises ValueError for a parameter name that cannot be one. Source: RFC 3986, 6.2; 128 bits as of `document_deduplicator`.
    """
    return _one_each(url, 0, tracking_parameters, keep_scheme)
