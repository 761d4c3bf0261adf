"""What a selection stage sends away is what the selector itself would, asked with the same vectors and numbers; vectors of any Arrow type."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

pytest.importorskip("faiss")
from tamis.pipeline.errors import OperatorError
from tamis.pipeline.ledger import ID, POSITION, SOURCE
from tamis.pipeline.run import run
from tamis.pipeline.stages import embed
from tamis.pipeline.verify import check
from tamis.selectors import catalog
from tamis.selectors.base import Pool

FILES, EACH, WIDE = 3, 30, 6
VECTORS = {"text_embedding_mapper": {"vector_key": "v"}}


def table(seed: int = 0, count: int = EACH) -> pa.Table:
    rng = np.random.default_rng(seed)
    words = [" ".join(rng.choice(["river", "stone", "bridge", "market", "letter"], rng.integers(2, 7))) for _ in range(count)]
    return pa.table({"text": words, "v": rng.normal(size=(count, WIDE)).tolist(), "q": rng.integers(1, 9, count), "price": rng.random(count) * 5})


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("vectors")
    for i in range(FILES):
        pq.write_table(table(i), folder / f"{i}.parquet", row_group_size=7)
    return folder


def asked(data: Path, out: Path, step: dict[str, Any], *before: Any, **keys: Any) -> dict[str, Any]:
    return {"dataset_path": str(data), "export_path": str(out), "np": 1, "seed": 11, "process": [VECTORS, *before, step], **keys}


def of_run(out: Path) -> tuple[dict[str, np.ndarray], dict[int, dict[str, Any]]]:
    """The columns of selection.parquet, and the ledger's lines by id."""
    (file,) = (out / "work").glob("*-select-*/selection.parquet")
    chosen = pq.read_table(file)
    ledger = {r[ID]: r for r in pq.read_table(out / "ledger").to_pylist()}
    return {name: chosen.column(name).to_numpy(zero_copy_only=False) for name in chosen.column_names}, ledger


def by_place(data: Path, out: Path) -> tuple[np.ndarray, pa.Table]:
    """Ids of all rows as the run gave them, in the order of the data; and the data."""
    told = [r for kind in ("kept", "ledger") for r in pq.read_table(out / kind, columns=[ID, SOURCE, POSITION]).to_pylist()]
    ids = [r[ID] for r in sorted(told, key=lambda r: (r[SOURCE], r[POSITION]))]
    return np.array(ids, np.int64), pa.concat_tables([pq.read_table(data / f"{i}.parquet") for i in range(FILES)])


@pytest.mark.parametrize(("name", "settings", "tokens"), [
    ("kmeans_diversity_selector", {"k": 5, "method": "kmq", "gamma": 2.0}, True), ("kmeans_diversity_selector", {"k": 5, "method": "closest"}, False),
    ("k_center_selector", {}, True), ("facility_location_selector", {"neighbours": 8}, False), ("qdit_selector", {"alpha": 0.4}, True),
    ("deita_selector", {"threshold": 0.6}, False), ("d4_selector", {"dedup_ratio": 0.8}, True), ("quality_selector", {"order": "middle"}, False),
    ("random_selector", {}, True),
])
def test_a_run_picks_what_the_function_picks(data: Path, name: str, settings: dict[str, Any], tokens: bool) -> None:
    out = data.with_name("picked")  # the same for all, so that only the selection is done anew
    budget = {"select_tokens": 60, "cost_key": "price"} if tokens else {"select_num": 37}
    told = run(asked(data, out, {name: {**settings, **budget, "quality_key": "q"}}))
    ids, rows = by_place(data, out)
    points = np.array(rows.column("v").to_pylist())
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    pool = Pool(ids, points.astype(np.float16).astype(np.float32), rows.column("q").to_numpy().astype(float),
                rows.column("price").to_numpy() if tokens else None)
    function = catalog.by_name(name).function
    wanted = function(pool, 60.0 if tokens else 37.0, seed=11, **settings)
    found, ledger = of_run(out)
    order = found["order"]
    assert found[ID][order >= 0][np.argsort(order[order >= 0])].tolist() == ids[wanted.index].tolist(), "the same rows in the same order"
    gains = dict(zip(found[ID].tolist(), found["gain"].tolist(), strict=True))
    assert [gains[i] for i in ids[wanted.index].tolist()] == wanted.gain.tolist()
    assert set(ledger) == set(ids.tolist()) - set(ids[wanted.index].tolist())
    place = dict(zip(ids.tolist(), range(len(ids)), strict=True))
    for row, line in ledger.items():
        assert (line["reason"], line["op"], line["bound"]) == ("not_selected", name, f"budget {60 if tokens else 37}")
        if "rank" in wanted.notes:
            assert (line["stat"], line["value"]) == ("rank", wanted.notes["rank"][place[row]])
        for note, values in wanted.notes.items():  # what was never computed of a row is left out
            assert (f"{note} " in line["note"]) == (values[place[row]] == values[place[row]])
    facts = told["steps"][-1]["facts"]
    spent = float(pool.cost[wanted.index].sum()) if tokens else float(len(wanted.index))
    assert facts["spent"] == pytest.approx(spent) and facts["pool"] == len(ids)
    assert {k: facts[k] for k in wanted.facts} == wanted.facts


def test_neither_batches_nor_parts_nor_workers_change_a_choice(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from tamis.pipeline.formats import splits

    step = {"kmeans_diversity_selector": {"k": 4, "select_tokens": 50, "cost_key": "price", "quality_key": "q"}}
    before = {"text_length_filter": {"min_len": 15}}
    first = run(asked(data, tmp_path / "a", step, before))
    monkeypatch.setattr(splits, "SMALLEST", 1)
    second = run(asked(data, tmp_path / "b", step, before, batch_rows=5))
    one, other = of_run(tmp_path / "a"), of_run(tmp_path / "b")
    assert len(list((tmp_path / "b" / "work").glob("01-*/done/*"))) > FILES, "the files were cut"
    assert first["content_hash"] == second["content_hash"] and one[1] == other[1]
    assert all(np.array_equal(one[0][name], other[0][name], equal_nan=one[0][name].dtype.kind == "f") for name in one[0])


# ---- vectors that the rows bring

def stored(folder: Path, *columns: pa.Array) -> Path:
    folder.mkdir(exist_ok=True)
    for i, column in enumerate(columns):
        pq.write_table(pa.table({"text": [f"row {i} {j}" for j in range(len(column))], "v": column}), folder / f"{i}.parquet")
    return folder


def embedded(out: Path) -> np.ndarray:
    files = sorted((out / "work").glob("*-embed-*/vectors/*.parquet"))
    return np.array([v for f in files for v in pq.read_table(f).column("vector").to_pylist()], np.float32)


@pytest.mark.parametrize("kind", [pa.list_(pa.float64()), pa.large_list(pa.float32()), pa.list_(pa.float32(), 4), pa.list_(pa.int16()),
                                  pa.list_(pa.uint8(), 4), pa.list_(pa.float16())], ids=str)
def test_vectors_of_any_arrow_type_are_those_of_the_rows_that_stand(tmp_path: Path, kind: pa.DataType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embed, "PIECE", 4)
    points = np.random.default_rng(1).integers(1, 9, (20, 4))
    values = [[np.float16(x) for x in p] if kind.value_type == pa.float16() else [kind.value_type.to_pandas_dtype()(x) for x in p] for p in points]
    data = stored(tmp_path / "data", pa.array(values[:11], kind), pa.array(values[11:], kind))
    words = {"dataset_path": str(data), "export_path": str(tmp_path / "out"), "np": 1, "batch_rows": 3,
             "process": [{"text_length_filter": {"min_len": 7, "max_len": 7}}, VECTORS, {"k_center_selector": {"select_num": 4}}]}
    assert run(words)["rows_out"] == 4
    stays = [i for i in range(20) if i != 10]  # "row 0 10" is one longer
    unit = points[stays] / np.linalg.norm(points[stays], axis=1, keepdims=True)
    assert np.abs(embedded(tmp_path / "out") - unit).max() < 1e-3


@pytest.mark.parametrize(("columns", "told"), [
    (([[1.0, None], [1.0, 2.0]],), r"part 0: of 2 vectors in column 'v' 1 are zero, NaN or infinite"),
    (([[1.0, 2.0]] * 3, [[1.0, 2.0], []]), r"step 1 \(text_embedding_mapper\), part 1: .* it has lengths \[0, 2\] \(-1: none\)"),
    (([[1.0, 2.0]] * 3, [None, None]), r"part 1: .* it has lengths \[-1\]"),
    (([[1.0, 2.0]] * 3 + [[1.0, 2.0, 3.0]],), r"lengths|several lengths"),
])
def test_vectors_that_are_no_use_are_told_with_step_and_part(tmp_path: Path, columns: tuple[list[Any], ...], told: str) -> None:
    data = stored(tmp_path / "data", *(pa.array(c, pa.list_(pa.float64())) for c in columns))
    words = {"dataset_path": str(data), "export_path": str(tmp_path / "out"), "np": 1, "batch_rows": 3,
             "process": [VECTORS, {"k_center_selector": {"select_num": 1}}]}
    with pytest.raises(OperatorError, match=told):
        run(words)


def test_files_whose_vectors_differ_in_length_are_told(tmp_path: Path) -> None:
    """Each file is well in itself; together they are no matrix."""
    data = stored(tmp_path / "data", pa.array([[1.0, 2.0]] * 3), pa.array([[1.0, 2.0, 3.0]] * 2))
    words = {"dataset_path": str(data), "export_path": str(tmp_path / "out"), "np": 1,
             "process": [VECTORS, {"k_center_selector": {"select_num": 1}}]}
    with pytest.raises(OperatorError, match=r"step 1 \(text_embedding_mapper\): column 'v' holds vectors of several lengths: 2 in part 0, 3 in part 1"):
        run(words)


@pytest.mark.parametrize("stays", [0, 1])
def test_a_file_that_nothing_is_left_of_has_no_say_in_the_length(tmp_path: Path, stays: int) -> None:
    data = stored(tmp_path / "data", pa.array([[1.0, 2.0, 5.0]] * 3), pa.array([[1.0, 2.0], [2.0, 1.0]]))
    wanted = [f"row {stays} {i}" for i in range(3)]
    words = {"dataset_path": str(data), "export_path": str(tmp_path / "out"), "np": 1,
             "process": [{"specified_field_filter": {"field_key": "text", "target_value": wanted}}, VECTORS, {"k_center_selector": {"select_num": 1}}]}
    assert run(words)["rows_out"] == 1
    assert {f.level for f in check(tmp_path / "out")} == {"ok"}
