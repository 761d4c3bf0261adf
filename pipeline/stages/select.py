"""Selection: a pool of ids, vectors and numbers in, a choice out; those not chosen go to the ledger with rank and cluster."""

import math
import shutil
from typing import Any

import numpy as np
import pyarrow as pa

from ...selectors.base import Pool, Selection, Selector
from .. import resources
from ..batch import NUMBERS
from ..columns import find
from ..engines.base import Engine
from ..errors import SelectionError
from ..ledger import ID
from ..plan import Stage
from ..steps import Step
from ..trainers import SavedRounds
from ..workspace import StageFolder, read_json, write_json, write_table
from . import asking, pooled
from .elsewhere import HELD, PartVectors, bytes_held, standing, vectors_of
from .explain import explain
from .lineage import Lineage, Told, part_numbers, texts
from .narrow import LedgerTask, decisions, write_decisions
from .outcome import CHAINED


def run(
    stage: Stage, folder: StageFolder, before: Lineage, engine: Engine, parts: range, told: Told, seed: int, recipe: str
) -> dict[str, Any]:
    """The whole stage; answers its record."""
    step = stage.steps[0]
    choose(stage, folder, before, engine, parts, seed, recipe)
    records = engine.map(LedgerTask(folder, before, step.number, step.name, step.text_key), parts, told)
    return {"records": records, "facts": {step.number: read_json(folder.path / "facts.json") or {}}}


def choose(stage: Stage, folder: StageFolder, before: Lineage, engine: Engine, parts: range, seed: int, recipe: str) -> None:
    """Make the choice, unless it is made: what of the stage a scheduler may place where the accelerator is."""
    step = stage.steps[0]
    if not (folder.path / "decisions.parquet").exists():
        try:
            _choose(stage, folder, before, engine, parts, seed)
        except ValueError as e:
            raise SelectionError(f"{recipe}, step {step.number} ({step.name}): {e}") from e


def _choose(stage: Stage, folder: StageFolder, before: Lineage, engine: Engine, parts: range, seed: int) -> None:
    step = stage.steps[0]
    far = (engine, folder) if stage.pool is None and _may_be_elsewhere(step) else None
    pool = pool_of(step, before, parts, far)
    budget = _budget(step, pool)
    op = step.op
    assert isinstance(op, Selector)
    asking_model = "influence" in op.resources.values()
    handed = asking.handed(stage, folder, before, parts, seed) if asking_model else resources.load(stage.pins[0])
    if "trainer" in op.resources:  # rounds that are done are not done again
        handed["state"] = SavedRounds(folder.path / "rounds.json")
    if stage.pool is not None:
        handed = {**handed, "known": pooled.known(stage.pool)}
    chosen = op.function(pool, budget, seed=seed, **step.settings, **handed)
    if stage.pool is not None:
        write_table(folder.path / "identity.parquet", pooled.identity_table(chosen.remember))
    notes = {k: np.asarray(v) for k, v in chosen.notes.items()}
    if "cluster" in notes:
        picked = np.zeros(len(pool), bool)
        picked[chosen.index] = True
        explain(folder, before, parts, step.text_key, pool, notes, picked)
    shutil.rmtree(folder.path / "asked", ignore_errors=True)  # before the choice is told: who resumes then has nothing to remove
    _write(step, folder, pool, chosen, budget)


def _may_be_elsewhere(step: Step) -> bool:
    """Whether the selector, as it is set, can do without vectors at hand."""
    op, number = step.op, step.settings.get("k")
    plain = step.settings.get("clustering", "kmeans") == "kmeans" and (not isinstance(number, str) or number == "root")
    return isinstance(op, Selector) and op.elsewhere and plain


def pool_of(step: Step, before: Lineage, parts: range, far: tuple[Engine, StageFolder] | None = None) -> Pool:
    """The rows that stand, as the selector sees them. `far`: who can ask for vectors where they lie, and where that is written;
    they are left there where the workers are elsewhere, or the vectors many."""
    vectors, columns = [], {"quality": step.extra["quality_key"], "cost": _cost_key(step)}
    ids: list[np.ndarray] = []
    numbers: dict[str, list[np.ndarray]] = {k: [] for k, name in columns.items() if name}
    left_there = far is not None and before.vectors is not None and (far[0].remote or bytes_held(before, parts) > HELD)
    scored: dict[str, list[np.ndarray]] = {k: [] for k in (step.settings["score_keys"] if "scores" in step.needs else ())}
    for part in parts:
        here = standing(before, part)
        ids.append(here)
        for key, found in numbers.items():
            found.append(_numbers(before, part, str(columns[key]), key, here))
        for name, found in scored.items():
            found.append(_numbers(before, part, name, "score", here))
        if "embedding" in step.needs and not left_there:
            vectors.append(vectors_of(before, part, here))
    key = step.settings.get("cluster_key") or step.settings.get("field_key", "")
    field = _field(str(key), before, parts) if "field" in step.needs else None
    vectors = [v for v in vectors if len(v)]  # of a part without rows not even the length need be known
    if "embedding" in step.needs and not vectors and not left_there:
        vectors.append(np.empty((0, 1), np.float32))
    words = words_of(step.text_key, before, parts) if "text" in step.needs else None
    away = PartVectors(*far, before, tuple(parts), tuple(ids)) if far and left_there else None
    return Pool(
        np.concatenate([np.empty(0, np.int64), *ids]), np.concatenate(vectors) if vectors else None, field=field, text=words,
        elsewhere=away,
        scores={k: _all_there(np.concatenate([np.empty(0), *v]), k, "score") for k, v in scored.items()} or None,
        **{k: _all_there(np.concatenate([np.empty(0), *v]), str(columns[k]), k) for k, v in numbers.items()},
    )


def _numbers(before: Lineage, part: int, name: str, role: str, ids: np.ndarray) -> np.ndarray:
    try:
        return part_numbers(before, part, name, ids)
    except pa.ArrowNotImplementedError as e:  # grouped rows have a list of them
        raise ValueError(f"{role}_key {name!r} holds no numbers ({e})") from e


def _field(key: str, before: Lineage, parts: range) -> np.ndarray:
    """object[n]: what the column, field, or number (`__dj__stats__.text_len`) holds of the rows that stand."""
    values: list[Any] = []
    wanted = [key, key.partition(".")[0]] if key and not key.startswith(NUMBERS) else []
    for part in parts:
        for batch in before.read(part, wanted):
            columns = dict(zip(batch.schema.names, batch.columns, strict=True))
            column = find(columns, key)
            if key.startswith(NUMBERS + "."):
                numbers = part_numbers(before, part, key.removeprefix(NUMBERS + "."), batch.column(ID).to_numpy())
                column = pa.array(numbers, from_pandas=True)
            values += [None] * len(batch) if column is None else column.to_pylist()
    held = np.empty(len(values), object)
    held[:] = values
    return held


def words_of(key: str, before: Lineage, parts: range) -> np.ndarray:
    """object[n]: the texts of the rows that stand."""
    found = [t for part in parts for batch in before.read(part, [key]) for t in texts(batch, key, "selection").to_pylist()]
    held = np.empty(len(found), object)
    held[:] = found
    return held


def _all_there(values: np.ndarray, name: str, role: str) -> np.ndarray:
    missing = int(np.isnan(values).sum())
    if missing:
        raise ValueError(f"{role}_key {name!r} has no value in {missing} of {len(values)} rows")
    if role == "cost" and (values < 0).any():
        raise ValueError(f"cost_key {name!r} is negative in {int((values < 0).sum())} rows")
    return values


def _cost_key(step: Step) -> str | None:
    if step.extra["select_tokens"] is None:
        return None
    return step.extra["cost_key"] or "num_embedding_tokens"


def _budget(step: Step, pool: Pool) -> float:
    """Rows, or tokens; the smaller of select_num and select_ratio where both are given (as Data-Juicer does)."""
    if step.extra["select_tokens"] is not None:
        return float(step.extra["select_tokens"])
    share = step.extra["select_ratio"]
    limits = [len(pool) if step.extra["select_num"] is None else step.extra["select_num"]]
    if share is not None:
        exact = 0 if step.settings.get("compat") else 1e-9
        limits.append(math.floor(share * len(pool) + exact))  # 0.29 of 100 is 28.999999999999996 in floats
    return float(min(limits))


def _write(step: Step, folder: StageFolder, pool: Pool, chosen: Selection, budget: float) -> None:
    picked = np.zeros(len(pool), bool)
    picked[chosen.index] = True
    order = np.full(len(pool), -1)
    order[chosen.index] = np.arange(len(chosen.index))
    gain = np.full(len(pool), np.nan)
    gain[chosen.index] = chosen.gain
    notes = {k: np.asarray(v) for k, v in chosen.notes.items()}
    columns: dict[str, Any] = {ID: pool.ids, "picked": picked, "order": order, "gain": gain, **notes}
    if pool.quality is not None:
        columns["quality"] = pool.quality
    write_table(folder.path / "selection.parquet", pa.table(columns).sort_by(ID))
    spent = float(pool.cost[chosen.index].sum()) if pool.cost is not None else float(len(chosen.index))
    facts = {"budget": budget, "spent": spent, "pool": len(pool), "picked": len(chosen.index), **dict(chosen.facts)}
    write_json(folder.path / "facts.json", facts)
    write_decisions(folder, decided(pool, chosen, np.flatnonzero(~picked), budget))


def decided(pool: Pool, chosen: Selection, out: np.ndarray, budget: float) -> pa.Table:
    """A line for each of the rows `out`, which leave: as duplicates of a pick, or not selected, and then for which most alike pick,
    where the selector knows."""
    notes = {k: np.asarray(v) for k, v in chosen.notes.items()}
    told = [", ".join(f"{k} {v[i]:.4g}" if v.dtype.kind == "f" else f"{k} {v[i]}" for k, v in notes.items() if v[i] == v[i])
            for i in out]  # a number that was never computed (NaN) is none
    rank = notes["rank"][out].astype(float) if "rank" in notes else None
    bound = f"budget {budget:g}"
    if chosen.instead is None:
        stat = "rank" if "rank" in notes else None
        return decisions(pool.ids[out], reason="not_selected", stat=stat, value=rank, bound=bound, note=told)
    stands, similarity, duplicate = chosen.instead.row[out], chosen.instead.similarity[out], chosen.instead.duplicate[out].tolist()
    linked = [CHAINED if d and s <= chosen.instead.least else None for d, s in zip(duplicate, similarity.tolist(), strict=True)]
    return decisions(
        pool.ids[out], reason=["duplicate" if d else "not_selected" for d in duplicate],
        stat=["similarity" if s >= 0 else None for s in stands.tolist()], value=similarity,
        bound=[f"cosine > {chosen.instead.least:g}" if d else bound for d in duplicate],
        kept_id=pa.array(pool.ids[stands], mask=stands < 0),
        note=[link if d else note for d, link, note in zip(duplicate, linked, told, strict=True)],
    )
