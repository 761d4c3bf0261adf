"""One entry of a recipe's `process` list, typed: the operator, its settings, the range of values that stays."""

import inspect
import math
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from pydantic import ConfigDict, TypeAdapter, ValidationError

from ..operators import catalog as operators
from ..operators.base import Operator, Range, Unit
from ..selectors import catalog as selectors
from ..selectors.base import Pool, Selector
from . import custom, data_juicer
from .errors import did_you_mean
from .formats.places import shown_all
from .index.layout import INDEXABLE

# Data-Juicer gives these to every operator. They steer its own engine and mean nothing to ours, which shares rows out
# itself; recipes carry them along, so they are accepted and noted, never an error.
IGNORED = frozenset((
    "num_proc", "np", "batch_size", "batch_mode", "adaptive_batching", "auto_op_parallelism", "turbo", "accelerator",
    "cpu_required", "gpu_required", "mem_required", "num_cpus", "num_gpus", "memory", "runtime_env", "ray_execution_mode",
    "work_dir", "skip_op_error", "stats_export_path", "index_key", "image_key", "audio_key", "video_key", "image_bytes_key",
))

_URLS = ("paths", "evaluation", "target_path")  # settings that may be URLs, which may hold passwords
_RANGE_FLAGS: dict[str, tuple[Any, Any]] = {
    "min_closed_interval": (bool, True), "max_closed_interval": (bool, True), "reversed_range": (bool, False),
}
_KEEP: dict[str, tuple[Any, Any]] = {
    "keep": (Literal["first", "longest", "best", "oldest"], "first"), "score_key": (str | None, None),
    "against": (str | None, None), "remember": (bool | str | None, None),  # docs/incremental.md
}
EMBEDDING: dict[str, tuple[Any, Any]] = {"vector_key": (str | None, None), "cache": (str | None, None)}  # docs/embedding.md
SCORING: dict[str, tuple[Any, Any]] = {"factors": (str | None, None)}  # docs/influence.md
_BUDGET: dict[str, tuple[Any, Any]] = {
    "select_num": (int | None, None), "select_ratio": (float | None, None), "select_tokens": (float | None, None),
    "cost_key": (str | None, None), "quality_key": (str | None, None),
}


@dataclass(frozen=True)
class Step:
    """A step of the recipe, ready to run.

    Attributes:
        number: 1, 2, 3 ... in the process list.
        op: the catalog's record.
        settings: every declared setting with its value, defaults filled in.
        text_key: the column that stands for `text`.
        keep: of a filter: the values that stay.
        extra: settings that the spine itself reads (keep rule, budget).
        stats: of a filter: the columns its numbers are stored in.
        line: where it stands in the recipe file (0: not from a file).
        stale: of a filter: it decides by the number that an earlier step of its name has computed (compat: data-juicer).
    """

    number: int
    op: Operator | Selector
    settings: Mapping[str, Any]
    text_key: str
    keep: Range | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)
    stats: tuple[str, ...] = ()
    line: int = 0
    stale: bool = False

    @property
    def name(self) -> str:
        """The recipe's name of the operator."""
        return self.op.name

    @property
    def kind(self) -> str:
        """filter, mapper, deduplicator, trimmer, embedder, scorer or selector."""
        return self.op.kind if isinstance(self.op, Operator) else "selector"

    @property
    def needs(self) -> tuple[str, ...]:
        """What a selector reads of the pool: with a `cluster_key`, that column in place of vectors."""
        needs = self.op.needs if isinstance(self.op, Selector) else ()
        return tuple("field" if n == "embedding" and self.settings.get("cluster_key") else n for n in needs)

    @property
    def shown_settings(self) -> dict[str, Any]:
        """The settings, without passwords where they are URLs."""
        return {k: shown_all(v) if k in _URLS else v for k, v in self.settings.items()}

    def describe(self) -> dict[str, Any]:
        """All that decides this step's answer, as plain JSON values: for fingerprints, manifest and report."""
        told = {"step": self.number, "op": self.name, "version": self.op.version, "text_key": self.text_key,
                "settings": self.shown_settings, **{k: v for k, v in self.extra.items() if v is not None}}
        if self.keep is not None:
            told |= {"keep": str(self.keep), "stats": list(self.stats)}
        elif self.stats:
            told |= {"stats": list(self.stats)}
        return told | ({"stale": True} if self.stale else {})


def known_names() -> list[str]:
    """Every name that may stand in a process list."""
    return [op.name for op in operators.table() if op.kind != "feature"] + [s.name for s in selectors.table()]


def find(name: str) -> Operator | Selector | None:
    """The catalog's record of that name, or None."""
    for catalog in (operators, selectors):
        try:
            record = catalog.by_name(name)
        except KeyError:
            continue
        if not (isinstance(record, Operator) and record.kind == "feature"):
            return record
    return custom.find(name)


def declared_settings(op: Operator | Selector) -> dict[str, tuple[Any, Any]]:
    """Every setting that a recipe may give this operator: name -> (annotation, default)."""
    wanted = {s.name: (s.annotation, s.default) for s in op.settings.values()}
    if isinstance(op, Selector):
        if "field" in op.needs:  # what a field selector picks, its own settings say
            return wanted
        return wanted | _BUDGET | (SCORING if "influence" in op.resources.values() else {})
    if op.kind == "table":
        return wanted
    wanted["text_key"] = (str | None, None)
    if op.unit is not None and op.keep is not None:
        number = float if op.unit.suffix in ("ratio", "score", "ppl", "value") else int
        if op.unit.suffix:
            wanted |= {f"min_{op.unit.suffix}": (number | None, op.keep.min), f"max_{op.unit.suffix}": (number | None, op.keep.max)}
        wanted |= _RANGE_FLAGS
    if op.kind == "deduplicator":
        wanted |= _KEEP
    if op.kind == "embedder":
        wanted |= EMBEDDING if "encoder" in op.resources.values() else {"cache": EMBEDDING["cache"]}
    if op.kind == "scorer" and "influence" in op.resources.values():
        wanted |= SCORING
    return wanted


def offered_settings(op: Operator | Selector) -> dict[str, tuple[Any, Any]]:
    """Those of `declared_settings` that do something: not those that are accepted so that it can be said why they cannot be had."""
    hidden = {key for name, key in data_juicer.ONLY_DEFAULT if name == op.name}
    if op.name not in INDEXABLE:
        hidden |= {"against", "remember"}
    return {key: told for key, told in declared_settings(op).items() if key not in hidden}


def typed(name: str, annotation: Any, value: Any) -> Any:
    """`value` as `annotation`, strictly, but 1e5 is an int and 3 is a float. Raises ValueError in one sentence."""
    if isinstance(value, float) and not math.isfinite(value):  # no bound and no budget; and JSON has neither
        raise ValueError(f"{name} must be {in_words(annotation)}, not {value}")
    if _admits(annotation, int) and isinstance(value, float) and value.is_integer():
        value = int(value)
    elif isinstance(value, int) and not isinstance(value, bool) and _admits(annotation, float) and not _admits(annotation, int):
        value = float(value)
    if isinstance(value, list) and typing.get_origin(annotation) is tuple:  # YAML knows lists only
        value = tuple(value)
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        raise ValueError(f"{name} is {value}, beyond all whole numbers of 64 bits")
    try:
        return TypeAdapter(annotation, config=ConfigDict(strict=True)).validate_python(value)
    except ValidationError as e:
        raise ValueError(f"{name} must be {in_words(annotation)}, not {value!r}") from e


def _admits(annotation: Any, kind: type) -> bool:
    return annotation is kind or kind in typing.get_args(annotation)


def in_words(annotation: Any) -> str:
    """An annotation as people say it."""
    plain = {int: "a whole number", float: "a number", str: "text", bool: "true or false", list: "a list", dict: "a mapping"}
    if annotation in plain:
        return plain[annotation]
    origin, args = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is Literal:
        return "one of " + ", ".join(map(str, args))
    if origin in (types.UnionType, typing.Union):
        return " or ".join(in_words(a) for a in args if a is not type(None))
    if origin in (list, tuple):
        return f"a list, each {in_words(args[0])}" if args else "a list"
    return str(annotation)


def build(
    number: int, name: str, given: Mapping[str, Any], default_text_key: str, line: int = 0
) -> tuple[Step | None, list[str], list[str]]:
    """One step from the recipe's words: the step (None where it cannot be), what is wrong, and what was ignored."""
    op = find(name) or find(data_juicer.ALIASES.get(name, ""))
    if op is None and (reason := data_juicer.refusal(name)):
        return None, [f"this operator of Data-Juicer is not supported: {reason}"], []
    if op is None:
        return None, [f"unknown operator {name!r}.{did_you_mean(name, known_names())}"], []
    wanted, wrong, notes, values = declared_settings(op), [], [], {}
    for key in given:
        if key not in wanted and (key in IGNORED or (op.name != name and key in data_juicer.ENGINE_SETTINGS)):
            notes.append(f"{key!r} is Data-Juicer's and steers its engine; ignored")
        elif key not in wanted:
            takes = did_you_mean(str(key), wanted) or f" It takes: {', '.join(sorted(offered_settings(op)))}."
            wrong.append(f"unknown setting {key!r}.{takes}")
    for key, (annotation, default) in wanted.items():
        if key not in given and default is inspect.Parameter.empty:
            wrong.append(f"{key} must be given ({in_words(annotation)})")
        elif key in given and (given[key] is not None or default is None or _admits(annotation, type(None))):
            try:
                values[key] = typed(key, annotation, given[key])
            except ValueError as e:
                wrong.append(str(e))
        else:
            values[key] = default
    if wrong:
        return None, wrong, notes
    step = _assemble(number, op, values, default_text_key, line)
    return step, _impossible(step), notes


def _assemble(number: int, op: Operator | Selector, values: dict[str, Any], text_key: str, line: int) -> Step:
    settings = {k: values[k] for k in op.settings}
    if isinstance(op, Selector):
        return Step(number, op, settings, text_key, extra={k: values.get(k) for k in (*_BUDGET, *SCORING)}, line=line)
    keep = None
    if op.unit is not None:
        low, high = (values.get(f"{end}_{op.unit.suffix}", getattr(op.keep, end)) for end in ("min", "max"))
        keep = Range(low, high, values["min_closed_interval"], values["max_closed_interval"], values["reversed_range"])
    kept = {"deduplicator": _KEEP, "embedder": EMBEDDING, "scorer": SCORING}.get(op.kind, {})
    extra = {k: values[k] for k in kept if k in values}
    # a deduplicator that reads something else than text says which column that is
    own = op.reads[0] if op.kind == "deduplicator" and op.reads[0] != "text" else text_key
    return Step(number, op, settings, values.get("text_key") or own, keep, extra, _stats(op, settings), line)


def _stats(op: Operator, settings: Mapping[str, Any]) -> tuple[str, ...]:
    """The numbers that there shall be."""
    if op.chosen is None:
        return op.stats
    listed = typing.get_args(typing.get_args(op.settings[op.chosen].annotation)[0])
    return tuple(s for s in op.stats if s not in listed or s in settings[op.chosen])


def _impossible(step: Step) -> list[str]:
    """What no data could satisfy, or what contradicts itself."""
    if isinstance(step.op, Selector):
        return _budget_problems(step.extra) or _refused(step.op, step.settings)
    if step.kind == "deduplicator" and step.extra["keep"] == "best" and not step.extra["score_key"]:
        return ["keep: best needs score_key: the column or stat whose largest value stays"]
    if step.kind == "deduplicator" and step.extra["keep"] == "oldest" and not step.extra["score_key"]:
        return ["keep: oldest needs score_key: the column whose smallest number or earliest date (ISO 8601) stays"]
    if step.keep is None or step.op.unit is None or step.keep.reverse:
        return []
    low, high, unit = step.keep.min, step.keep.max, step.op.unit
    if low is not None and high is not None and low > high:
        return [f"min_{unit.suffix} {low:g} is larger than max_{unit.suffix} {high:g}: no row could stay"]
    return _outside(low, high, unit)


def _refused(op: Selector, settings: Mapping[str, Any]) -> list[str]:
    """What a selector says against its settings where there is nothing to choose from; one that reads files is not tried."""
    k, most = settings.get("k"), settings.get("most")
    if isinstance(k, int) and k < 1:
        return [f"k must be 1 or more clusters, it is {k}"]
    if isinstance(most, int) and most < 1:
        return [f"most must be 1 or more rows of a cluster, it is {most}"]
    if set(op.resources.values()) - {"trainer"} or "paths" in settings:
        return []
    none, words = np.empty(0), np.empty(0, object)
    scores = dict.fromkeys(settings.get("score_keys") or (), none)
    nothing = Pool(none.astype(np.int64), np.empty((0, 2), np.float32), none, None, words, words, scores)
    try:
        op.function(nothing, 1.0, seed=0, **settings, **dict.fromkeys(op.resources))
    except ValueError as e:
        return [str(e)]
    return []


def _outside(low: float | None, high: float | None, unit: Unit) -> list[str]:
    if low is not None and unit.high is not None and low > unit.high:
        return [f"min_{unit.suffix} is {low:g}, but the number is a {unit.name}: no row could stay"]
    if high is not None and unit.low is not None and high < unit.low:
        return [f"max_{unit.suffix} is {high:g}, but the number is never below {unit.low:g}: no row could stay"]
    return []


def _budget_problems(extra: Mapping[str, Any]) -> list[str]:
    wrong = []
    for key in ("select_num", "select_ratio", "select_tokens"):
        if extra[key] is not None and extra[key] < 0:
            wrong.append(f"{key} must not be negative, it is {extra[key]:g}")
    if extra["select_ratio"] is not None and extra["select_ratio"] > 1:
        wrong.append(f"select_ratio is a share, 0 to 1, it is {extra['select_ratio']:g}")
    if extra["select_tokens"] is not None and (extra["select_num"] is not None or extra["select_ratio"] is not None):
        wrong.append("give a budget in rows (select_num, select_ratio) or in tokens (select_tokens), not both")
    return wrong
