"""The shape of an operator: a plain function whose signature is its declaration.

Positional parameters are the columns and features it reads, keyword-only parameters are its settings. A mark
(`@filter`, `@mapper`, `@feature`, `@deduplicator`, `@trimmer`, `@embedder`, `@scorer`) writes an `Operator` record beside the
function and returns the function itself unchanged: it stays callable in a notebook, in a test, on Spark.

Features are fixtures: a parameter named after a `@feature` receives that feature of the text, computed once per batch.
Resources are handed in: a keyword-only parameter that a mark lists in `resources` (a word list, a model) is loaded
once per worker by the engine, never by the operator, which opens no file and no socket.
"""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, TypeVar

import pyarrow as pa
import pyarrow.compute as pc

Kind = Literal["filter", "mapper", "feature", "deduplicator", "trimmer", "embedder", "scorer", "grouper", "table"]
Function = TypeVar("Function", bound=Callable[..., Any])


@dataclass(frozen=True)
class Unit:
    """What a number means, where it can lie, and how Data-Juicer's settings for its bounds are called.

    `low` and `high` are the values that it can take (None: unbounded); `suffix` makes `min_<suffix>`, `max_<suffix>`.
    """

    name: str
    suffix: str
    low: float | None = None
    high: float | None = None


RATIO = Unit("share of the text, 0 to 1", "ratio", 0.0, 1.0)
LENGTH = Unit("code points", "len", 0.0)
COUNT = Unit("count", "num", 0.0)
CONFIDENCE = Unit("probability, 0 to 1", "score", 0.0, 1.0)


@dataclass(frozen=True)
class Range:
    """The values that stay: `min <= v <= max`, each end open where its `closed` is False, all negated by `reverse`.

    A reversed range flips both `closed` flags first, as Data-Juicer does: the reverse of [a, b] keeps v <= a and v >= b.
    """

    min: float | None = None
    max: float | None = None
    min_closed: bool = True
    max_closed: bool = True
    reverse: bool = False

    def holds(self, values: pa.Array) -> pa.BooleanArray:
        """Whether each value stays. Null: null (the caller decides what a missing number means)."""
        inside: Any = pa.scalar(True)
        if self.min is not None:
            inside = pc.and_(inside, (pc.greater_equal if self._closed(self.min_closed) else pc.greater)(values, self.min))
        if self.max is not None:
            inside = pc.and_(inside, (pc.less_equal if self._closed(self.max_closed) else pc.less)(values, self.max))
        if isinstance(inside, pa.Scalar):
            inside = pc.if_else(pc.is_valid(values), True, None)
        return pc.invert(inside) if self.reverse else inside

    def _closed(self, closed: bool) -> bool:
        return closed != self.reverse

    def __str__(self) -> str:
        low = "" if self.min is None else f"{self.min:g} {'<=' if self._closed(self.min_closed) else '<'} "
        high = "" if self.max is None else f" {'<=' if self._closed(self.max_closed) else '<'} {self.max:g}"
        return f"{'not ' if self.reverse else ''}{low}v{high}" if low or high else "any value"


@dataclass(frozen=True)
class Rule:
    """One of the decisions of a filter that has several: values of `stat` stay between its settings named `low` and `high`.

    A bound whose setting is None asks nothing.
    """

    stat: str
    low: str | None = None
    high: str | None = None

    def range(self, settings: Mapping[str, Any]) -> Range:
        """What stays by these settings."""
        low, high = (None if name is None else settings[name] for name in (self.low, self.high))
        return Range(low, high)


@dataclass(frozen=True)
class Setting:
    """One keyword-only parameter: its annotation and its default (`inspect.Parameter.empty`: it must be given)."""

    name: str
    annotation: Any
    default: Any


@dataclass(frozen=True)
class Operator:
    """One line of the catalog.

    Attributes:
        name: the recipe's name for it (`alphanumeric_filter`).
        kind: filter, mapper, feature, deduplicator, trimmer, embedder, scorer, grouper or table (of a data lake, not rows).
        function: the marked function itself.
        reads: its positional parameters: columns and features.
        settings: its keyword-only parameters, without resources.
        resources: keyword -> kind of thing the engine loads and passes in (`"stopwords"`, `"language_model"` ...).
        version: part of a stage's fingerprint; raise it when an answer changes.
        stats: names of the stat columns (a filter's function name, or the fields of its struct; a trimmer's two; what
            follows the text in a mapper's struct).
        unit, keep: of a filter: what its number means and which values stay by default.
        member: of a filter: (stat, setting): the stat must be one of the setting's values, where that is not empty.
        rules: of a filter whose number says how many of them a text breaks: the ledger names the first that is broken.
        note: of a filter: the stat, a text, that the ledger quotes.
        many: of a mapper: it answers list<string>, a row for each element.
        evidence: of a deduplicator: text -> list<uint64> sets for the exact check of candidates, or None (keys decide).
        probe: of a deduplicator: text -> (keys, uint64[n] that two texts share with the probability of their likeness),
            from one pass, or None: by it a sample of pairs is drawn that does not depend on the keys.
        near: of a deduplicator whose one key a row is a hash: (hashes, rows, **settings) -> edges between near ones, or None.
        limit: of a trimmer: (rows, **settings) -> how often a unit may be seen and stay.
        chosen: of a scorer: the setting that lists which of `stats` are wanted; those that it cannot list are always there.
        once_a_row: of a trimmer: whether a unit counts once for each row, however often it stands there.
    """

    name: str
    kind: Kind
    function: Callable[..., Any]
    reads: tuple[str, ...]
    settings: Mapping[str, Setting]
    resources: Mapping[str, str] = field(default_factory=dict)
    version: int = 1
    stats: tuple[str, ...] = ()
    unit: Unit | None = None
    keep: Range | None = None
    member: tuple[str, str] | None = None
    rules: tuple[Rule, ...] = ()
    note: str | None = None
    many: bool = False
    evidence: Callable[..., Any] | None = None
    probe: Callable[..., Any] | None = None
    near: Callable[..., Any] | None = None
    limit: Callable[..., int] | None = None
    once_a_row: bool = False
    chosen: str | None = None

    @property
    def summary(self) -> str:
        """First line of the docstring."""
        return (inspect.getdoc(self.function) or "").split("\n", 1)[0]

    @property
    def number(self) -> str | None:
        """The stat that `keep` looks at: the last of `stats`."""
        return self.stats[-1] if self.stats else None


def declared(function: Callable[..., Any]) -> Operator:
    """The `Operator` that a mark wrote beside `function`. Raises AttributeError where none did."""
    return function.__operator__  # type: ignore[attr-defined, no-any-return]


def _read_signature(function: Callable[..., Any], resources: Mapping[str, str]) -> tuple[tuple[str, ...], dict[str, Setting]]:
    reads, settings = [], {}
    for p in inspect.signature(function, eval_str=True).parameters.values():
        if p.kind in (p.VAR_KEYWORD, p.VAR_POSITIONAL):
            raise TypeError(f"{function.__name__}: an operator names every parameter; *{p.name} swallows misspelt settings")
        if p.kind is not p.KEYWORD_ONLY:
            reads.append(p.name)
        elif p.name not in resources:
            settings[p.name] = Setting(p.name, p.annotation, p.default)
    return tuple(reads), settings


def _mark(kind: Kind, name: str | None, resources: Mapping[str, str] | None = None, **facts: Any) -> Callable[[Function], Function]:
    def write(function: Function) -> Function:
        reads, settings = _read_signature(function, resources or {})
        record = Operator(name or function.__name__, kind, function, reads, settings, dict(resources or {}), **facts)
        if kind == "filter" and not record.stats:
            record = replace(record, stats=(function.__name__,))
        function.__operator__ = record  # type: ignore[attr-defined]
        return function

    return write


def filter(
    name: str, *, unit: Unit, keep: Range, stats: tuple[str, ...] = (), member: tuple[str, str] | None = None,
    rules: tuple[Rule, ...] = (), note: str | None = None, resources: Mapping[str, str] | None = None, version: int = 1,
) -> Callable[[Function], Function]:
    """Mark a function columns -> number. The number stays as the stat column; `keep` decides, from the recipe's bounds.

    A function that answers a struct names its fields in `stats`; the last one is the number. With `rules` that is how many
    of them are broken; each has a stat and settings of its own.
    """
    return _mark(
        "filter", name, resources, version=version, stats=stats, unit=unit, keep=keep, member=member, rules=rules, note=note)


def mapper(
    name: str, *, many: bool = False, stats: tuple[str, ...] = (), resources: Mapping[str, str] | None = None, version: int = 1
) -> Callable[[Function], Function]:
    """Mark a function text -> text. The answer replaces the column that it read.

    A struct sets the columns of its fields' names instead; with `stats` its first field is the text and the others are
    those numbers. With `many` the answer is list<string>, and each row becomes as many rows as its list has elements. A
    parameter called `rows` receives all columns as one struct.
    """
    return _mark("mapper", name, resources, version=version, many=many, stats=stats)


def feature(function: Function) -> Function:
    """Mark a function text -> intermediate column that several operators share; they ask for it by parameter name."""
    return _mark("feature", None)(function)


def deduplicator(
    name: str, *, evidence: Callable[..., Any] | None = None, probe: Callable[..., Any] | None = None,
    near: Callable[..., Any] | None = None, resources: Mapping[str, str] | None = None, version: int = 1,
) -> Callable[[Function], Function]:
    """Mark a function text -> list<uint64>: the keys of each row. Rows that share a key are candidates for one cluster.

    `evidence`, called with the same settings, answers list<uint64>: the sorted set by which candidates are compared
    exactly (Jaccard) before an edge counts. Without it, sharing a key is being equal.
    `probe`, with the same settings, answers the keys and one more number: see `Operator.probe`.
    What is listed in `resources` is handed to all of these.
    `near`: keys are hashes of which not equality counts but how little they differ; it answers the pairs.
    """
    return _mark("deduplicator", name, resources, version=version, evidence=evidence, probe=probe, near=near)


def trimmer(
    name: str, *, limit: Callable[..., int], once_a_row: bool, stats: tuple[str, str], version: int = 1
) -> Callable[[Function], Function]:
    """Mark a function text -> list<struct> of units (`dedup/repeats.py`): pieces that go where the corpus repeats them.

    A unit seen more than `limit` times goes, in all rows or, by the setting `keep_first`, in all but the first place.
    `stats` names two numbers of each row: how many pieces and how many code points went.
    """
    return _mark("trimmer", name, version=version, limit=limit, once_a_row=once_a_row, stats=stats)


def embedder(name: str, *, resources: Mapping[str, str], version: int = 1) -> Callable[[Function], Function]:
    """Mark a function text -> fixed_size_list<float32>[d] of unit vectors."""
    return _mark("embedder", name, resources, version=version)


def scorer(
    name: str, *, resources: Mapping[str, str], stats: tuple[str, ...] = (), chosen: str | None = None, version: int = 1,
) -> Callable[[Function], Function]:
    """Mark a function text -> number that asks a model of each row: a stage of its own, done where the accelerator is.

    The number stays as a column; no row leaves. A function that answers a struct names its fields in `stats`; `chosen` is the
    setting that says which of these there shall be, besides those that it cannot leave out. A parameter called `prompt` receives
    what is read before the text. With a setting `fit_rows` the model is fitted first.
    """

    def write(function: Function) -> Function:
        told = stats or (function.__name__,)
        return _mark("scorer", name, resources, version=version, stats=told, chosen=chosen)(function)

    return write


def grouper(name: str, *, many: bool = False, version: int = 1) -> Callable[[Function], Function]:
    """Mark a function rows -> int64[n]: the number of each row's group; or, with `many`, how many rows each row becomes."""
    return _mark("grouper", name, version=version, many=many)


def tables(name: str, *, version: int = 1) -> Callable[[Function], Function]:
    """Mark a function over a lake of tables, name -> table. Alone in a recipe's process: its dataset is a lake, not rows."""
    return _mark("table", name, version=version)
