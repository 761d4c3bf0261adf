"""Before anything is read: whether a recipe can take its data into the pool that it names, and which version it will see."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from .. import corpus, resources
from ..errors import StaleError, did_you_mean
from ..formats.places import shown
from ..index import pinning as index_pinning
from ..resources import Pin
from ..steps import Step
from ..workspace import Place
from . import store
from .asked import PoolAsked
from .store import Version

TAKERS = ("cluster_pruning_selector", "adapt_selector")


@dataclass(frozen=True)
class PoolPin:
    """The pool of a run, as the plan found it.

    Attributes:
        asked, folder: what the recipe says, and where that is.
        step: the number of the step that chooses what the pool keeps.
        key: what this run's rows, and the way they are chosen, are called in the pool.
        base: the version that the run sees; None: none, the pool is begun.
        state: that version's state, "" where there is none.
        taken: the version that this very run has made already, or 0.
        inputs: (source, digest) of the run's files.
        embedding, numbers: what vectors and numbers are made with.
        again: numbers that a step computes anew for a sample of the pool's rows.
    """

    asked: PoolAsked
    folder: Path
    step: int
    key: str
    base: Version | None
    state: str
    taken: int
    inputs: tuple[tuple[str, str], ...]
    embedding: Mapping[str, Any]
    numbers: Mapping[str, Any]
    again: tuple[str, ...]

    def __str__(self) -> str:
        if self.taken:
            return f"pool: {self.folder}, where this is version {self.taken:04d} already: nothing will change"
        if self.base is None:
            return f"pool: {self.folder}, begun by this run"
        told = self.base.told
        again = f"; of {self.asked.drift:.0%}, {', '.join(self.again)} anew" if self.again and self.asked.drift else ""
        held = f"{told['rows']:,} rows and {told['clusters']['k']:,} clusters"
        return f"pool: {self.folder}, version {self.base.number:04d}: {held} join, with the vectors and scores they have{again}"


def taker(process: Sequence[Step]) -> Step | None:
    """The step that chooses what the pool keeps: the first that can."""
    return next((s for s in process if s.name in TAKERS), None)


def problems(asked: PoolAsked, process: Sequence[Step], place: Place, data: Sequence[Path]) -> list[tuple[Step | None, str]]:
    """What is wrong with the way a recipe uses a pool: the step at fault, if one is, and a sentence. `data`: what it reads."""
    step = taker(process)
    wrong: list[tuple[Step | None, str]] = [(None, p) for p in _place_problems(asked, place, data)]
    if step is None:
        return [*wrong, (None, f"a pool needs a step that chooses what it keeps: end process with {' or '.join(TAKERS)}")]
    wrong += [(s, "a pool keeps rows, not groups of them: leave it out") for s in process if s.kind == "grouper"]
    if step.extra["select_ratio"] is not None or (step.extra["select_num"] is None and step.extra["select_tokens"] is None):
        wrong.append((step, "a pool needs a cap that does not grow with it: select_num (rows) or select_tokens, not select_ratio"))
    if step.settings.get("clustering") not in (None, "kmeans"):
        wrong.append((step, "clusters of a pool keep their identity by k-means: leave out clustering"))
    return wrong


def _place_problems(asked: PoolAsked, place: Place, data: Sequence[Path]) -> list[str]:
    if "://" in asked.path:
        return [f"pool {shown(asked.path)!r} must be a folder of this machine"]
    try:
        pool = asked.folder.resolve()
    except RuntimeError:
        return [f"pool {asked.path!r}: there is no such home directory, or its links lead in a circle"]
    if pool.exists() and not pool.is_dir():
        return [f"pool {asked.path!r} is a file, not a folder"]
    for own in (place.run.resolve(), place.work.resolve()):
        if pool.is_relative_to(own) or own.is_relative_to(pool):
            return [f"pool {asked.path!r} and the run's folder {str(own)!r} lie in one another; give the pool a folder of its own"]
    for folder in data:
        if pool.is_relative_to(folder.resolve()) or folder.resolve().is_relative_to(pool):
            return [f"pool {asked.path!r} and dataset_path {str(folder)!r} lie in one another: the pool would be read as data"]
    if (pool / "current.json").exists():
        return []
    if not asked.begin:
        return [f"pool {asked.path!r}: there is none (begin: false). {_near(pool)}".strip()]
    if not pool.parent.parent.is_dir():  # one folder above is made, as for export_path; two are a slip
        return [f"pool {asked.path!r} is to be begun, but there is no folder {str(pool.parent.parent)!r}: make it or mend the path"]
    there = [p.name for p in pool.glob("*")] if pool.is_dir() else []
    strange = [n for n in there if n not in (".lock", "versions") and not (n.startswith(".current.json.") and n.endswith(".tmp"))]
    if strange:
        return [f"pool {asked.path!r} holds {', '.join(sorted(strange)[:3])}, which no pool does; name a folder of its own"]
    return []


def _near(pool: Path) -> str:
    others = [p.parent.name for p in pool.parent.glob("*/current.json")] if pool.parent.is_dir() else []
    return did_you_mean(pool.name, others).strip() or (f"Pools beside it: {', '.join(sorted(others)[:5])}." if others else "")


def pin(
    asked: PoolAsked, process: Sequence[Step], pins: Mapping[int, tuple[Pin, ...]], before: str,
    inputs: tuple[tuple[str, str], ...], schema: pa.Schema,
) -> PoolPin:
    """The pool as this run will see it. `before`: fingerprint of the stages before. Raises ValueError with what does not fit."""
    step, folder = taker(process), asked.folder
    assert step is not None
    earlier = [s for s in process if s.number < step.number]
    embedding, numbers = _embedding(earlier, pins), _numbers(step, earlier, pins)
    key = store.state_of({"before": before, "step": _made_with(step, pins[step.number]), **asked.decides()})
    try:
        newest = store.current(folder)
        takes = newest.told["takes"] if newest else []
        mine = next((t for t in takes if t["key"] == key), None)
        begun = store.version(folder, 1) if newest is None else None  # a run that died, or current.json is lost
        if begun is not None and begun.told["takes"][-1]["key"] != key:
            raise StaleError(f"{folder}: a first version is there, and no current.json: write {store.pointer(1)} there, or remove "
                             "the folder")
        base = newest if mine is None else store.version(folder, mine["version"] - 1)
        if mine is not None and base is not None and base.state != mine["before"]:
            base = None  # made since, by one who went back to an older version: not the one that this run saw
    except StaleError as e:
        raise ValueError(str(e)) from e
    if mine is None:
        _not_twice(takes, asked.path, inputs)
    if newest is not None:
        _fits(asked, newest, step, embedding, numbers, schema)
    state = mine["before"] if mine else newest.state if newest else ""
    again = tuple(n for n in numbers if newest is not None and n in newest.told["numbers"]
                  and (numbers[n].get("kind") == "scorer" or numbers[n] != newest.told["numbers"][n]))
    return PoolPin(asked, folder, step.number, key, base, state, mine["version"] if mine else 0, inputs, embedding, numbers, again)


def _made_with(step: Step, pins: tuple[Pin, ...]) -> dict[str, Any]:
    told, models = resources.decides(index_pinning.told_without(step), pins)
    made: dict[str, Any] = json.loads(json.dumps({**told, "kind": step.kind, "models": models}, default=list))
    made.pop("step")
    return made


def _embedding(earlier: Sequence[Step], pins: Mapping[int, tuple[Pin, ...]]) -> dict[str, Any]:
    step = [s for s in earlier if s.kind == "embedder"][-1]  # the plan has seen that there is one
    if step.extra.get("vector_key"):
        return {"column": step.extra["vector_key"]}
    return _made_with(step, pins[step.number])


def _numbers(step: Step, earlier: Sequence[Step], pins: Mapping[int, tuple[Pin, ...]]) -> dict[str, Any]:
    """What each number that the step chooses by is made with."""
    named = [*step.settings.get("score_keys", ()), step.extra["quality_key"], step.extra["cost_key"]]
    made = {stat: _made_with(s, pins[s.number]) for s in earlier for stat in s.stats}
    return {name: made.get(name, {"column": name}) for name in dict.fromkeys(n for n in named if n)}


def _fits(
    asked: PoolAsked, newest: Version, step: Step, embedding: dict[str, Any], numbers: dict[str, Any], schema: pa.Schema,
) -> None:
    told, name = newest.told, asked.path
    if told["embedding"] != embedding:
        held, here = _apart(told["embedding"], embedding)
        raise ValueError(f"pool {name!r} holds vectors of {held}, this recipe has them by {here}; "
                         "they cannot be compared. Use the same, or begin another pool")
    column = embedding.get("column")
    kind = schema.field(column).type if column in schema.names else None
    if kind is not None and told["rows"] and pa.types.is_fixed_size_list(kind) and kind.list_size != told["dimensions"]:
        raise ValueError(f"pool {name!r} holds vectors of {told['dimensions']} dimensions, column {column!r} has {kind.list_size}")
    corpus.unify([newest.columns(), schema], [f"pool {name!r}", "the data"])
    for number, made in numbers.items():
        held = told["numbers"].get(number)
        if number not in told["numbers"]:
            there = ", ".join(told["numbers"]) or "no scores"
            raise ValueError(f"its rows are chosen by {number!r}, which the rows of pool {name!r} do not have: that holds {there}."
                             f"{did_you_mean(number, told['numbers'])} Choose by what it has, or begin another pool")
        elif held != made and ("column" in made or "column" in held):
            raise ValueError(f"{number!r} of pool {name!r} is {_said(held)}, here {_said(made)}")
        elif held != made and not asked.drift:
            raise ValueError(f"{number!r} of pool {name!r} was made by {_said(held)}, here by another model or settings: give "
                             "pool: {path, drift: 0.05}, the share of its rows that is scored again, by which the "
                             "other scores are brought up to date")
    if step.extra["select_tokens"] is not None and step.extra["cost_key"] is None and column:
        raise ValueError("select_tokens needs cost_key: nobody has counted the tokens of vectors that come with the data")


def _said(made: Mapping[str, Any]) -> str:
    if "column" in made:
        return f"column {made['column']!r}"
    models = " ".join(str(m.get("name") or m.get("sha256", ""))[:16] for m in made["models"])
    return f"{made['op']} (version {made['version']}{', model ' + models if models else ''})"


def _apart(held: Mapping[str, Any], here: Mapping[str, Any]) -> tuple[str, str]:
    """Two ways of making something in words that differ: where the step and its model are the same, by their settings."""
    if _said(held) != _said(here):
        return _said(held), _said(here)
    flat = [{**made, **made.get("settings", {})} for made in (held, here)]
    names = sorted(k for k in {*flat[0], *flat[1]} - {"settings"} if flat[0].get(k) != flat[1].get(k))
    first, second = (", ".join(f"{name}: {made.get(name)}" for name in names) for made in flat)
    return f"{_said(held)} with {first}", f"{_said(here)} with {second}"


def _not_twice(takes: Sequence[Mapping[str, Any]], name: str, inputs: tuple[tuple[str, str], ...]) -> None:
    for take in takes:
        sources, digests = {s for s, _ in take["inputs"]}, {d: s for s, d in take["inputs"]}
        for source, digest in inputs:
            version = f"version {take['version']:04d}"
            if digest in digests:
                other = "" if digests[digest] == source else f", as {digests[digest]}"
                raise ValueError(f"pool {name!r} has taken {source} already{other} ({version}), by other steps or settings, or "
                                 "together with other files. Give only new files (only_files), or begin another pool")
            if source in sources:
                raise ValueError(f"pool {name!r} has taken another file called {source} ({version}), whose rows have the ids that "
                                 "these would get: give the file a name of its own, or name the folder above it in dataset_path")
