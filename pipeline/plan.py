"""The plan: proof, before any data is read, that the recipe can be done; which steps run together; what each stage is called.

A stage's fingerprint hashes everything that decides its answer: inputs, operators with versions and settings, models,
seed, and the fingerprint of the stage before. Nothing of the machine goes in: no path, no worker count, no engine.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import xxhash

from ..operators import catalog
from ..operators.base import Operator
from . import corpus, grouped, resources, validators
from .batch import META, NUMBERS, nothing
from .columns import type_at
from .corpus import Source, Split
from .engines import spark_tables
from .errors import RecipeError, did_you_mean
from .formats.schemas import kind as kind_of
from .index import pinning
from .index.pinning import IndexPin
from .ledger import KEY_COLUMNS
from .lifelong import pinning as pools
from .lifelong.pinning import PoolPin
from .recipe import Recipe
from .resources import Pin
from .stages import given_vectors
from .steps import Step
from .workspace import LAYOUT, Place

STAGE_OF = {
    "filter": "rows", "mapper": "rows", "deduplicator": "dedup", "trimmer": "trim", "embedder": "embed", "selector": "select",
    "grouper": "group", "scorer": "score",
}
TOKENS = "num_embedding_tokens"  # the number that an embedder writes of texts that it reads


@dataclass(frozen=True)
class Stage:
    """Steps that run together, and the name of their answer.

    Attributes:
        index: 1, 2, 3 ...
        kind: rows (a fused pass over the text), dedup, trim, embed, score, pool, select, export.
        steps, pins: what it does, and each step's pinned resources.
        fingerprint: 32 hex digits.
        features: what the steps share, computed once per batch.
        stats: number columns that it adds.
        known: the index that a deduplicator compares with and adds to.
        pool: the pool whose rows join here, or that a selector chooses for.
    """

    index: int
    kind: str
    steps: tuple[Step, ...]
    pins: tuple[tuple[Pin, ...], ...]
    fingerprint: str
    features: tuple[str, ...] = ()
    stats: tuple[str, ...] = ()
    known: IndexPin | None = None
    pool: PoolPin | None = None


@dataclass(frozen=True)
class Plan:
    """A recipe that can be done: its inputs, how they are cut, their columns, the stages."""

    recipe: Recipe
    sources: tuple[Source, ...]
    splits: tuple[Split, ...]
    schema: pa.Schema
    stages: tuple[Stage, ...]

    @property
    def bytes(self) -> int:
        """Input size as stored."""
        return sum(s.bytes for s in self.sources)

    def stage_of(self, step: Step) -> Stage:
        """The stage that a step runs in."""
        return next(s for s in self.stages if step in s.steps)


def make(recipe: Recipe) -> Plan:
    """Prove the recipe. Raises RecipeError with every mistake that can be seen without reading the data."""
    if any(step.kind == "table" for step in recipe.process):
        return _of_tables(recipe)
    recipe = spark_tables.taken(recipe)
    try:
        sources = tuple(corpus.discover(list(recipe.dataset_path), base=base_of(recipe), suffixes=recipe.suffixes,
                                        only=recipe.only_files))
    except (OSError, ValueError, RuntimeError) as e:  # a name too long, a** in a pattern, ~nobody
        raise RecipeError(f"{recipe.name}: dataset_path {', '.join(map(corpus.shown, recipe.dataset_path))}: {e}") from e
    schema = corpus.peek_schema(sources, recipe.text_keys, tolerate=recipe.set_aside is not None)
    recipe = _mixed(recipe)
    _check_columns(recipe, schema)
    pins = _pins(recipe)
    _check_indexes(recipe)
    stages = tuple(_stages(recipe, sources, pins, schema))
    notes = [f"{_where(recipe, s)}: {p.note}" for s in recipe.process for p in pins[s.number] if p.note]
    splits = tuple(corpus.cut(sources, least=1 if recipe.pool else 0))  # a pool's rows join those of the first part
    if wrong := [f"{recipe.name}: {p}" for p in validators.check(recipe.validators, splits, recipe.text_keys)]:
        raise RecipeError("\n".join(wrong))
    return Plan(replace(recipe, notes=(*recipe.notes, *notes)), sources, splits, schema, stages)


def _mixed(recipe: Recipe) -> Recipe:
    """The recipe, of whose mixture each set's files are named as rows name them."""
    if not any(s.name == "mixture_selector" for s in recipe.process):
        return recipe
    base = base_of(recipe)
    names = {url: name for name, (url, _) in corpus.listing(list(recipe.dataset_path), base=base, suffixes=recipe.suffixes).items()}

    def filled(step: Step) -> Step:
        if step.name != "mixture_selector":
            return step
        sets = [corpus.listing(paths, base=base, suffixes=recipe.suffixes) for paths in step.settings["paths"]]
        groups = [sorted(names[url] for url, _ in found.values() if url in names) for found in sets]
        return replace(step, settings={**step.settings, "groups": groups})

    return replace(recipe, process=tuple(map(filled, recipe.process)))


def _of_tables(recipe: Recipe) -> Plan:
    """The plan of a recipe whose dataset is a lake of tables: one stage, which plans itself (lake/run_lake.py)."""
    if len(recipe.process) != 1:
        step = next(s for s in recipe.process if s.kind == "table")
        raise RecipeError(f"{_where(recipe, step)}: it works on tables, the other steps on rows: it must be the only step")
    folder = base_of(recipe) / Path(recipe.dataset_path[0].removeprefix("file://")).expanduser()
    if len(recipe.dataset_path) != 1 or not folder.is_dir():
        given = ", ".join(recipe.dataset_path)
        raise RecipeError(f"{recipe.name}: dataset_path must be one folder, the root of a lake of tables, not {given}")
    step = recipe.process[0]
    fingerprint = _hash({"step": step.describe(), "seed": recipe.seed})
    return Plan(recipe, (), (), pa.schema([]), (Stage(1, "tables", (step,), ((),), fingerprint),))


def base_of(recipe: Recipe) -> Path:
    """Where relative paths start: here, as with Data-Juicer; or beside the recipe, where only that leads anywhere."""
    first = recipe.dataset_path[0]
    here = (Path.cwd() / first).exists() or any(Path.cwd().glob(first)) if not Path(first).is_absolute() else True
    beside = not here and ((recipe.folder / first).exists() or any(recipe.folder.glob(first)))
    return recipe.folder if beside else Path.cwd()


def _check_indexes(recipe: Recipe) -> None:
    place, base = Place.of(recipe.export_path, recipe.work_dir), base_of(recipe)
    data = [base / p.removeprefix("file://") for p in recipe.dataset_path if "://" not in p.removeprefix("file://")]
    wrong, named = [], [pinning.path_of(s) for s in recipe.process]
    if recipe.pool is not None:
        found = pools.problems(recipe.pool, recipe.process, place, data)
        wrong += [f"{_where(recipe, step) if step else recipe.name}: {p}" for step, p in found]
    for step, path in zip(recipe.process, named, strict=True):
        wrong += [f"{_where(recipe, step)}: {p}" for p in pinning.problems(step, place, data)]
        if path is not None and path in named[: step.number - 1]:
            wrong.append(f"{_where(recipe, step)}: another step uses index {path!r} already; each has its own")
    if wrong:
        raise RecipeError("\n".join(wrong))


def _where(recipe: Recipe, step: Step) -> str:
    return f"{recipe.name}{f':{step.line}' if step.line else ''}, step {step.number} ({step.name})"


def _pins(recipe: Recipe) -> dict[int, tuple[Pin, ...]]:
    pins, wrong = {}, []
    for step in recipe.process:
        try:
            pins[step.number] = resources.pin(step.op, {**step.extra, **step.settings})
            _try_on_nothing(step, pins[step.number])
        except (ValueError, RecipeError) as e:
            wrong.append(f"{_where(recipe, step)}: {e}")
    if wrong:
        raise RecipeError("\n".join(wrong))
    return pins


def _try_on_nothing(step: Step, pins: tuple[Pin, ...]) -> None:
    """Settings that an operator itself refuses (a bad pattern, a missing tokenizer) are seen on an empty column."""
    if not isinstance(step.op, Operator) or (step.op.resources and step.kind != "deduplicator"):
        return
    step.op.function(*(_nothing(name) for name in step.op.reads), **step.settings, **resources.load(pins))


def _nothing(name: str) -> pa.Array:
    features = {op.name: op for op in catalog.table("feature")}
    if name not in features:
        return nothing(name)
    return features[name].function(*(_nothing(n) for n in features[name].reads))  # type: ignore[no-any-return]


def _check_columns(recipe: Recipe, schema: pa.Schema) -> None:
    wrong, numbers, embedded, counted = [], [f.name for f in schema if _numeric(f.type)], False, False
    grouper: Step | None = None
    for step in recipe.process:
        if problem := grouped.problem(schema, step, grouper):
            wrong.append(f"{_where(recipe, step)}: {problem}")
        if grouper is not None and step.kind != "grouper":
            continue  # more is known to the grouped rows only
        wrong += [f"{_where(recipe, step)}: {p}" for p in _missing_columns(step, schema)]
        named = [(key, step.extra.get(key)) for key in ("score_key", "quality_key", "cost_key")]
        for key, name in named + [("score_keys", name) for name in step.settings.get("score_keys", ())]:
            if step.extra.get("keep") == "oldest" and name in schema.names and _dated(schema.field(name).type):
                continue
            if name is not None and name not in numbers:
                known = f"{did_you_mean(name, numbers)} There are: {', '.join(numbers) or 'none'}."
                what = f"{key} {name!r} is neither a numeric column nor an earlier step's number"
                wrong.append(f"{_where(recipe, step)}: {what}.{known}")
        if step.kind == "grouper":
            schema, grouper = grouped.after(schema, step), step
            continue
        if step.kind == "selector":
            wrong += [f"{_where(recipe, step)}: {p}" for p in _selector_problems(step, embedded, counted)]
        if step.kind == "embedder":
            embedded, counted = True, not step.extra.get("vector_key")  # of vectors that are given, nobody counts the tokens
        numbers += [s for s in step.stats if s not in ("lang", getattr(step.op, "note", None))]
        numbers = [n for n in numbers if n != TOKENS or step.kind != "embedder"]
        numbers += [TOKENS] if step.kind == "embedder" and counted else []
        schema = _with_added(schema, step)
    if wrong:
        raise RecipeError("\n".join(wrong))


def _with_added(schema: pa.Schema, step: Step) -> pa.Schema:
    """The columns after a step: a mapper's `field_name` is one more, of text."""
    name = step.settings.get("field_name") if step.kind == "mapper" else None
    return schema if name is None or name in schema.names else schema.append(pa.field(name, pa.string()))


def _missing_columns(step: Step, schema: pa.Schema) -> Iterator[str]:
    """What it reads that is not in the data."""
    names, key = schema.names, step.settings.get("field_key")
    group = step.settings.get("cluster_key")
    if group and group not in KEY_COLUMNS and type_at(schema, group) is None:
        yield f"cluster_key: no column or field {group!r} in the data.{did_you_mean(group, names)} It has: {', '.join(names)}."
    if type_at(schema, step.text_key) is None:
        yield f"no column {step.text_key!r} in the data.{did_you_mean(step.text_key, names)} It has: {', '.join(names)}."
    prompts = step.settings.get("prompt_keys", ())
    for prompt in dict.fromkeys(prompts):
        type = type_at(schema, prompt)
        if type is None:
            yield f"prompt_keys: no column {prompt!r} in the data.{did_you_mean(prompt, names)} It has: {', '.join(names)}."
        elif not (pa.types.is_string(type) or pa.types.is_null(type)):
            yield f"prompt_keys: column {prompt!r} is {kind_of(type)}, not text"
        if prompts.count(prompt) > 1:
            yield f"prompt_keys: {prompt!r} is named twice"
    given = step.extra.get("vector_key")
    if given and (wrong := given_vectors.problem(schema.field(given).type if given in names else None, given)):
        yield wrong
    if key and key not in KEY_COLUMNS and not key.startswith((NUMBERS, META)) and type_at(schema, key) is None:
        yield f"field_key: no column or field {key!r} in the data.{did_you_mean(key, names)} It has: {', '.join(names)}."


def _selector_problems(step: Step, embedded: bool, counted: bool) -> Iterator[str]:
    if "embedding" in step.needs and not embedded:
        instead = ", or name a column with clusters in cluster_key" if "cluster_key" in step.settings else ""
        yield f"it chooses by vectors: put a text_embedding_mapper step before it{instead}"
    if "reference" in step.settings and step.extra["quality_key"] is None and step.settings["model"] is None:
        yield "it needs rewards: give model and reference, or quality_key, the number of an influence_scorer before it"
    if (step.settings.get("model") is None) != (step.settings.get("reference") is None) and "reference" in step.settings:
        yield "model and reference belong together: the one says who is asked, the other what rows shall help with"
    if "quality" in getattr(step.op, "needs", ()) and step.extra["quality_key"] is None:
        yield "it chooses by a number: give quality_key, a numeric column or the number of an earlier step"
    free = "field" in getattr(step.op, "needs", ()) or step.settings.get("compat")
    free = free or step.settings.get(getattr(step.op, "decides_by", None) or "") is not None
    if not free and all(step.extra[k] is None for k in ("select_num", "select_ratio", "select_tokens")):
        yield "how much shall be selected? Give select_num (rows), select_ratio (share of the rows) or select_tokens"
    if step.extra["select_tokens"] is not None and step.extra["cost_key"] is None and not counted:
        yield "select_tokens needs cost_key: the column or earlier number that holds each row's tokens"


def _dated(kind: pa.DataType) -> bool:
    return pa.types.is_temporal(kind) or pa.types.is_string(kind)


def _numeric(kind: pa.DataType) -> bool:
    return pa.types.is_integer(kind) or pa.types.is_floating(kind)


def _stages(
    recipe: Recipe, sources: tuple[Source, ...], pins: dict[int, tuple[Pin, ...]], schema: pa.Schema,
) -> Iterator[Stage]:
    groups: list[tuple[str, list[Step]]] = [("rows", [])]  # reading is a stage of rows, fused with the first steps
    for step in recipe.process:
        kind = STAGE_OF[step.kind]
        if kind != "rows" or groups[-1][0] != "rows" or getattr(step.op, "many", False):  # rows are cut before anything else
            groups.append((kind, []))
        groups[-1][1].append(step)
    groups.append(("export", []))
    pool, taker = None, pools.taker(recipe.process) if recipe.pool else None
    if taker is not None:
        groups.insert(next(i for i, (_, steps) in enumerate(groups) if taker in steps), ("pool", []))
    fingerprint = _hash({
        "layout": LAYOUT, "inputs": [(s.source, s.digest) for s in sources], "text_keys": recipe.text_keys,
        "seed": recipe.seed, "set_aside": recipe.set_aside, "schema": "by part",
    })
    for index, (kind, steps) in enumerate(groups, 1):
        chosen = tuple(pins[s.number] for s in steps)
        told: list[Any] = [resources.decides(pinning.told_without(s), ps) for s, ps in zip(steps, chosen, strict=True)]
        if kind == "export":
            told = [recipe.export_type, recipe.export_shard_size, recipe.keep_stats, recipe.project_name]
            told += [recipe.compat] if recipe.compat else []
        if kind == "pool":
            pool = _pool(recipe, pins, fingerprint, sources, schema)
            told = [pool.state, recipe.pool.decides() if recipe.pool else {}]
        fingerprint = _hash({"after": fingerprint, "kind": kind, "steps": told})
        known = _index(recipe, steps[0], chosen[0], fingerprint, sources) if kind == "dedup" else None
        if known is not None and known.against:
            fingerprint = _hash({"without index": fingerprint, **known.describe()})
        stats = tuple(s for step in steps for s in step.stats if not step.stale)
        yield Stage(index, kind, tuple(steps), chosen, fingerprint, _shared(steps), stats, known,
                    pool if kind == "pool" or taker in steps else None)


def _pool(
    recipe: Recipe, pins: dict[int, tuple[Pin, ...]], before: str, sources: tuple[Source, ...], schema: pa.Schema,
) -> PoolPin:
    assert recipe.pool is not None
    try:
        return pools.pin(recipe.pool, recipe.process, pins, before, tuple((s.source, s.digest) for s in sources if s.bytes), schema)
    except ValueError as e:
        raise RecipeError(f"{recipe.name}: {e}") from e


def _index(recipe: Recipe, step: Step, pins: tuple[Pin, ...], batch: str, sources: tuple[Source, ...]) -> IndexPin | None:
    try:
        return pinning.pin(step, pins, batch, tuple((s.source, s.digest) for s in sources if s.bytes))
    except ValueError as e:
        raise RecipeError(f"{_where(recipe, step)}: {e}") from e


def _shared(steps: list[Step]) -> tuple[str, ...]:
    names = {op.name for op in catalog.table("feature")}
    return tuple(sorted({r for s in steps if isinstance(s.op, Operator) for r in s.op.reads if r in names}))


def _hash(value: Any) -> str:
    return xxhash.xxh3_128_hexdigest(json.dumps(value, sort_keys=True, ensure_ascii=False, default=list).encode())


def describe(plan: Plan) -> dict[str, Any]:
    """The plan as plain values, for `tamis plan --json` and the manifest."""
    columns = [c for c in plan.schema.names if c not in KEY_COLUMNS]
    stages = []
    for stage in plan.stages:
        stages.append({
            "stage": stage.index, "kind": stage.kind, "fingerprint": stage.fingerprint, "columns_in": list(columns),
            "steps": [s.describe() for s in stage.steps], "features": list(stage.features), "adds": list(stage.stats),
        })
        columns += stage.stats
    return {
        "recipe": plan.recipe.name, "inputs": [{"source": s.source, "bytes": s.bytes, "digest": s.digest} for s in plan.sources],
        "parts": len(plan.splits), "stages": stages,
    }
