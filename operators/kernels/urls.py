"""Numba: URLs in one form, byte by byte."""

import numpy as np
from numba import njit

COLON, SLASH, QUESTION, HASH, AT, AND, EQUALS, STAR = 58, 47, 63, 35, 64, 38, 61, 42


@njit(cache=True, nogil=True)
def _small(byte: int) -> int:
    return byte + 32 if 65 <= byte <= 90 else byte


@njit(cache=True, nogil=True)
def _index(data: np.ndarray, start: int, end: int, byte: int) -> int:
    """Where `byte` stands first; `end` where it does not."""
    while start < end and data[start] != byte:
        start += 1
    return start


@njit(cache=True, nogil=True)
def _listed(data: np.ndarray, start: int, end: int, names: np.ndarray, bounds: np.ndarray) -> bool:
    """Whether `data[start:end]`, in lower case, is one of the names; a name that ends with * stands for all that begin so."""
    for k in range(len(bounds) - 1):
        low, high = bounds[k], bounds[k + 1]
        prefix = high > low and names[high - 1] == STAR
        size = high - low - prefix
        same = end - start >= size if prefix else end - start == size
        for i in range(size if same else 0):
            same &= _small(data[start + i]) == names[low + i]
        if same:
            return True
    return False


@njit(cache=True, nogil=True)
def _scheme(data: np.ndarray, start: int, end: int) -> int:
    """Where the scheme ends: at a `:` that `//` follows; `start` where there is none."""
    at = start
    while at < end:
        low = _small(data[at])
        if not (97 <= low <= 122 or (at > start and (48 <= low <= 57 or low == 43 or low == 45 or low == 46))):
            break
        at += 1
    return at if at > start and at + 2 < end and data[at] == COLON and data[at + 1] == SLASH and data[at + 2] == SLASH else start


@njit(cache=True, nogil=True)
def _is(data: np.ndarray, start: int, end: int, word: bytes) -> bool:
    same = end - start == len(word)
    for i in range(len(word) if same else 0):
        same &= _small(data[start + i]) == word[i]
    return same


@njit(cache=True, nogil=True)
def _authority(data: np.ndarray, start: int, end: int, http: bool, https: bool, out: np.ndarray, n: int) -> int:
    """Write user (as it is), host (lower case) and port (unless the scheme's own)."""
    host, at = start, start
    while at < end:
        if data[at] == AT:
            host = at + 1
        at += 1
    for i in range(start, host):
        out[n] = data[i]
        n += 1
    port = end
    while port > host and 48 <= data[port - 1] <= 57:
        port -= 1
    if port > host and data[port - 1] == COLON:
        plain = port == end or (not https and _is(data, port, end, b"80")) or (not http and _is(data, port, end, b"443"))
        end = port - 1 if plain and (port == end or http or https) else end
    if end > host and data[end - 1] == 46:  # the root's own dot
        end -= 1
    for i in range(host, end):
        out[n] = _small(data[i])
        n += 1
    return n


@njit(cache=True, nogil=True)
def normal(
    data: np.ndarray, start: int, end: int, names: np.ndarray, bounds: np.ndarray, keep_scheme: bool, out: np.ndarray
) -> int:
    """Write the URL `data[start:end]` in one form to `out`; answers its length, at most that of the URL."""
    end = _index(data, start, end, HASH)
    colon, n = _scheme(data, start, end), 0
    http, https = _is(data, start, colon, b"http"), _is(data, start, colon, b"https")
    if keep_scheme or not (http or https or colon == start):
        for i in range(start, colon):
            out[n] = _small(data[i])
            n += 1
        if colon > start:
            out[n] = COLON
            n += 1
    at = colon + 3 if colon > start else start
    query = _index(data, at, end, QUESTION)
    path = _index(data, at, query, SLASH)
    n = _authority(data, at, path, http, https, out, n)
    stop = query - 1 if query > path and data[query - 1] == SLASH else query
    for i in range(path, stop):
        out[n] = data[i]
        n += 1
    mark = QUESTION
    at = query + 1
    while at < end:
        following = _index(data, at, end, AND)
        if following > at and not _listed(data, at, _index(data, at, following, EQUALS), names, bounds):
            out[n] = mark
            n += 1
            mark = AND
            for i in range(at, following):
                out[n] = data[i]
                n += 1
        at = following + 1
    return n
