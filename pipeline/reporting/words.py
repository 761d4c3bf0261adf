"""Numbers, shares and reasons as people read them; and texts, so that they can be read."""

import re
import unicodedata
from collections.abc import Mapping

from ...operators.base import Range, Unit

REASONS = {
    "below_min": "below the minimum", "above_max": "above the maximum", "not_member": "not one of the wanted values",
    "in_reversed_range": "inside the reversed range", "no_number": "no number", "null_text": "no text",
    "duplicate": "duplicate", "emptied": "nothing left", "indexed": "already in the index", "not_selected": "not selected",
    "grouped": "put into a group",
    "error": "error",
}


def number(value: float | None) -> str:
    """A number with at most four significant digits; whole numbers whole; nothing: a dash."""
    if value is None or value != value:
        return "–"
    if value in (float("inf"), float("-inf")):
        return "∞" if value > 0 else "−∞"
    if float(value).is_integer() and abs(value) < 1e15:
        told = f"{int(value):,}"
    elif abs(value) >= 1000:
        told = f"{value:,.0f}"
    else:
        told = f"{value:.4g}" if abs(value) >= 1 else f"{value:.3g}"
    return told.replace("-", "−") if "e" not in told else told


def share(part: float, whole: float) -> str:
    """`12.3%`; nothing of nothing: a dash. Never 0% of something, nor 100% of less than all."""
    if not whole:
        return "–"
    percent = 100 * part / whole
    if not part:
        return "0%"
    if 0 < percent < 0.1:
        return "<0.1%"
    if 99.9 < percent < 100:
        return ">99.9%"
    return f"{percent:.1f}%" if part != whole else "100%"


def counted(count: int, noun: str) -> str:
    """`1 file`, `3,000 files`."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def seconds(value: float) -> str:
    """`0.42 s`, `12.3 s`, `4 min 10 s`, `2 h 5 min`."""
    if value < 10:
        return f"{value:.2f} s"
    if value < 120:
        return f"{value:.1f} s"
    minutes, rest = divmod(round(value), 60)
    return f"{minutes} min {rest} s" if minutes < 120 else f"{minutes // 60} h {minutes % 60} min"


def size(count: float) -> str:
    """Bytes as `3.6 MB`."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:,.1f} TB"


def reasons(left: Mapping[str, int]) -> str:
    """`120 below the minimum, 3 no number`, most frequent first."""
    order = sorted(left.items(), key=lambda item: (-item[1], item[0]))
    return ", ".join(f"{n:,} {REASONS.get(reason, reason.replace('_', ' '))}" for reason, n in order)


def drawn(keep: Range, unit: Unit) -> list[tuple[str, float]]:
    """The named bounds that can exclude a value: those that are set, and not merely where the unit ends."""
    low = keep.min is not None and (keep.min != unit.low or keep.reverse or not keep.min_closed)
    high = keep.max is not None and (keep.max != unit.high or keep.reverse or not keep.max_closed)
    return [(name, float(v)) for name, v, there in (("min", keep.min, low), ("max", keep.max, high)) if there and v is not None]


def stays(keep: Range, unit: Unit) -> str:
    """The values that stay: `at least 200`, `200 to 100,000`, `at most 1 or at least 5`; trivial bounds are not told."""
    told = dict(drawn(keep, unit))
    low = f"{'at least' if keep.min_closed else 'more than'} {number(told['min'])}" if "min" in told else ""
    high = f"{'at most' if keep.max_closed else 'less than'} {number(told['max'])}" if "max" in told else ""
    if keep.reverse:
        # both ends were flipped: the reverse of [a, b] keeps a and b themselves
        low = f"{'at most' if keep.min_closed else 'less than'} {number(told['min'])}" if low else ""
        high = f"{'at least' if keep.max_closed else 'more than'} {number(told['max'])}" if high else ""
        return " or ".join(w for w in (low, high) if w) or "nothing"
    if low and high and keep.min_closed and keep.max_closed:
        return f"{number(told['min'])} to {number(told['max'])}"
    return " and ".join(w for w in (low, high) if w) or "any value"


def row_id(value: int) -> str:
    """A row's id as 16 hex digits, as `tamis why` takes it."""
    return f"{value & 0xFFFFFFFFFFFFFFFF:016x}"


def ids_of(word: str) -> list[int]:
    """The ids that someone may mean by a word: of decimal digits, of 16 hexadecimal ones, or both."""
    found = set()
    for base in (10, 16):
        try:
            value = int(word, base)
        except ValueError:
            continue
        if base == 10 or len(word.removeprefix("0x")) == 16:
            found.add(value - (1 << 64) if 1 << 63 <= value < 1 << 64 else value)
    return sorted(i for i in found if -(1 << 63) <= i < 1 << 63)


def boxed(text: str) -> str:
    """A text with a box for each character that is not seen itself but commands, turns or hides others. Line breaks stay."""
    if text.isprintable():
        return text
    blank = {c for c in set(text) if c == "\t" or unicodedata.category(c) == "Zs"}
    return "".join(" " if c in blank else c if c.isprintable() or c == "\n" else "□" for c in text)


def oneline(text: str) -> str:
    """`boxed` on one line: line breaks and the white space around them as ⏎."""
    return boxed(re.sub(r"[ \t\r]*\n\s*", " ⏎ ", text.strip()))
