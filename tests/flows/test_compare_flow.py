"""Selectors compared as a flow: the stages of the pool are tasks, the table is the command's."""

import json
from pathlib import Path

from tamis.flows.compare import compare
from tamis.pipeline import compare as command

RECIPE = """
dataset_path: {data}
np: 1
process:
  - document_deduplicator
  - {selector}
"""


def test_a_flow_compares_what_the_command_compares(prefect_api: None, demo_corpus: Path, tmp_path: Path) -> None:
    rows = [json.loads(line)["text"] for line in demo_corpus.read_text("utf-8").splitlines()[:120]]
    lines = [json.dumps({"text": text, "tokens": len(text) // 4, "worth": k % 9}) + "\n" for k, text in enumerate(rows)]
    (tmp_path / "data.jsonl").write_text("".join(lines), "utf-8")
    recipes = []
    for name, selector in {"best": "quality_selector: {quality_key: worth, cost_key: tokens, select_num: 9}",
                           "any": "random_selector: {cost_key: tokens, select_num: 9}"}.items():
        path = tmp_path / f"{name}.yaml"
        path.write_text(RECIPE.format(data=tmp_path / "data.jsonl", selector=selector))
        recipes.append(str(path))
    told = compare(recipes, str(tmp_path / "out"), {"seed": 3}, shares=[0.2, 0.4], seeds=2)
    plain = command.compare(recipes, tmp_path / "plain", shares=[0.2, 0.4], seeds=2, sets=["seed=3"])
    assert len(told["runs"]) == 2 * 2 * 2 and (tmp_path / "out" / "compare.html").exists()
    for a, b in zip(told["runs"], plain["runs"], strict=True):
        assert {k: v for k, v in a.items() if k != "seconds"} == {k: v for k, v in b.items() if k != "seconds"}
    marks = {p: p.stat().st_mtime_ns for p in (tmp_path / "out" / "pool" / "work").glob("*/done.json")}
    compare(recipes, str(tmp_path / "out"), {"seed": 3}, shares=[0.3], seeds=1)
    assert marks == {p: p.stat().st_mtime_ns for p in marks} and len(marks) == 2, "the pool is made once"
