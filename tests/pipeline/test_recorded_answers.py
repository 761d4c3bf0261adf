"""All 192 answers that Data-Juicer 1.6.1 was recorded to give, through `apply`: rows, their order, texts, numbers to 1e-9."""

import json
from pathlib import Path
from typing import Any

import pytest

from tamis.pipeline.run import Applied, apply

GOLDEN = Path(__file__).parents[1] / "golden"
INPUTS = json.loads((GOLDEN / "inputs.json").read_text("utf-8"))
CASES = [json.loads(line) for line in (GOLDEN / "recorded.jsonl").read_text("utf-8").split("\n") if line]
ON_SPARK = {"document_minhash_deduplicator#10", "key_value_grouper#01", "random_selector#03"}  # all 192 have been run there by hand


def replay(case: dict[str, Any], engine: str = "local") -> Applied:
    rows = INPUTS[case["input"]] if "input" in case else case["rows"]
    code = {"allow_code": True} if case["op"].startswith("python_") else {}
    master = {"spark_master": "local[2]"} if engine == "spark" else {}
    return apply([{case["op"]: case["params"] or None}], rows, engine, keep_stats=True, compat="data-juicer", **code, **master)


def check(case: dict[str, Any], made: Applied) -> None:
    got = made.table.to_pylist()
    if "kept_ids" in case and "id" in made.table.column_names:
        assert [row["id"] for row in got] == case["kept_ids"]
    if "expected" in case:
        assert [{k: v for k, v in row.items() if k in wanted} for row, wanted in zip(got, case["expected"], strict=True)] == [
            {k: v for k, v in wanted.items() if k in made.table.column_names} for wanted in case["expected"]]
    for name, wanted in case.get("stats", {}).items():
        numbers = made.stats.column(name).to_pylist()
        if all(isinstance(v, int | float) for v in wanted):
            wanted = [float(v) for v in wanted]
            assert numbers == pytest.approx(wanted, rel=0, abs=1e-9)
            kept = [row[name] for row in got]
            assert kept == pytest.approx([wanted[row["id"]] for row in got], rel=0, abs=1e-9)
        else:
            assert numbers == wanted


def test_all_are_there() -> None:
    assert len(CASES) == 192 and len({case["op"] for case in CASES}) == 49


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["id"])
def test_the_recorded_answer(case: dict[str, Any]) -> None:
    check(case, replay(case))


@pytest.mark.slow
@pytest.mark.parametrize("case", [c for c in CASES if c["id"] in ON_SPARK], ids=lambda case: case["id"])
def test_the_recorded_answer_on_spark(case: dict[str, Any]) -> None:
    pytest.importorskip("pyspark")
    check(case, replay(case, "spark"))
