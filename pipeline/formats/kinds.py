"""What a file's name says: its format, its compression, whether it is data; and whether many names go together."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import PurePath

from ..errors import RecipeError
from .compression import CODECS

FORMATS = {".jsonl": "jsonl", ".json": "json", ".parquet": "parquet", ".csv": "csv", ".tsv": "tsv", ".txt": "text", ".md": "text"}
PACKED = ("jsonl", "json", "csv", "tsv")  # formats that are also read through .gz and .zst
FAMILY = {"jsonl": "json"}  # formats that may lie side by side
DOCUMENTATION = re.compile(
    r"(readme|licen[cs]e|copying|notice|changelog|citation|authors|contributing|manifest|sha256sums|md5sums|dataset_infos?)\b.*"
    r"|.*\.(md5|sha256|crc)", re.IGNORECASE,
)


def suffix_of(name: str) -> str:
    """The last suffix in lower case, with the one before it where the last is a codec.

    >>> suffix_of("web/a.b.JSONL.gz"), suffix_of("LICENSE")
    ('.jsonl.gz', '')
    """
    path = PurePath(name.lower())
    return "".join(path.suffixes[-2:]) if path.suffix in CODECS else path.suffix


def format_of(name: str, wanted: Sequence[str] = ()) -> tuple[str | None, str | None]:
    """Format and codec by a file's name; (None, None) for a suffix that is no format and not in `wanted`."""
    *inner, last = PurePath(name.lower()).suffixes or [""]
    codec = CODECS.get(last)
    format = FORMATS.get(inner[-1] if codec and inner else last)
    if format and (codec is None or format in PACKED):
        return format, codec
    return ("text", None) if codec is None and name.lower().endswith(tuple(w.lower() for w in wanted)) else (None, None)


def readable() -> list[str]:
    """Every suffix that is a format."""
    return [*FORMATS, *(f"{s}{c}" for s, f in FORMATS.items() if f in PACKED for c in CODECS)]


def one_family(names: list[str], wanted: Sequence[str], told: str) -> None:
    """Nothing, where all names are of one family of formats. Raises RecipeError with the counts where they are not."""
    formats = {name: format_of(name, wanted)[0] for name in names}
    unknown = [name for name, format in formats.items() if format is None]
    families = {FAMILY.get(f, f) for f in formats.values() if f}
    if unknown and (not families or len(names) == 1):
        raise RecipeError(
            f"dataset_path {told!r}: {counted(unknown)} is no format that is read. Readable: {' '.join(readable())}; "
            f"`suffixes: [{suffix_of(unknown[0]) or '.ext'}]` reads such files as text, one row each"
        )
    if not wanted and (unknown or len(families) > 1):
        most = Counter(suffix_of(n) for n, f in formats.items() if f).most_common(1)[0][0]
        raise RecipeError(
            f"dataset_path {told!r}: files of several kinds lie there: {counted(names)}. "
            f"Say which are data, for example `suffixes: [{most}]`"
        )


def counted(names: Iterable[str]) -> str:
    """How many files there are of each suffix, most first: "3 .jsonl, 1 .csv"."""
    counts = Counter(suffix_of(name) or "without suffix" for name in names)
    return ", ".join(f"{n} {suffix}" for suffix, n in sorted(counts.items(), key=lambda c: (-c[1], c[0])))
