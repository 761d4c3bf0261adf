"""Selectors compared as a flow: the stages of the pool are tasks, the table is the command's."""

import json
import time
from collections import Counter
from pathlib import Path
from typing import Any

from loopback import Loopback

from tamis.flows.compare import compare
from tamis.pipeline import compare as command
from tamis.pipeline.comparing import choosing
from tamis.pipeline.comparing.contenders import contenders
from tamis.pipeline.execute import Silent

RECIPE = """
dataset_path: {data}
np: 1
process:
  - document_deduplicator
  - {selector}
"""


def test_a_flow_compares_what_the_command_compares(prefect_api: None, loopback: Loopback, demo_corpus: Path, tmp_path: Path) -> None:
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
    assert timeless(told) == timeless(plain), "to the byte, but for the seconds"
    assert Counter(state for _, state in chosen(loopback)) == {"Completed": 8}
    assert {name for name, _ in chosen(loopback)} == {f"{n}-{s}-seed-{k}" for n in ("best", "any") for s in ("0.2", "0.4") for k in (0, 1)}
    marks = {p: p.stat().st_mtime_ns for p in (tmp_path / "out" / "pool" / "work").glob("*/done.json")}
    files = {p: p.stat().st_mtime_ns for p in (tmp_path / "out" / "choices").iterdir()}
    lost = choosing_file(tmp_path / "out", recipes)
    lost.unlink()
    again = compare(recipes, str(tmp_path / "out"), {"seed": 3}, shares=[0.2, 0.4], seeds=2, at_a_time=3)
    for _ in range(50):  # the server hears of a task's end when the flow may be over
        states = Counter(state for _, state in chosen(loopback))
        if not states["Running"]:
            break
        time.sleep(0.2)
    assert timeless(again) == timeless(plain) and states == {"Cached": 7, "Completed": 1}
    assert {p for p, when in files.items() if p.stat().st_mtime_ns != when} == {lost}, "what was lost is made again, and nothing else"
    assert marks == {p: p.stat().st_mtime_ns for p in marks} and len(marks) == 2, "the pool is made once"


def timeless(told: dict[str, Any]) -> str:
    """compare.json without what a clock said."""
    def without(value: Any) -> Any:
        if isinstance(value, dict):
            return {k: without(v) for k, v in value.items() if k not in ("seconds", "seconds_sd")}
        return [without(v) for v in value] if isinstance(value, list) else value
    return json.dumps(without(told))


def chosen(loopback: Loopback) -> list[tuple[str, str]]:
    """Name and state of each task of the latest comparison that made a choice."""
    return [(t["name"], t["state_name"]) for t in loopback.tasks(loopback.runs("compare")[-1]["id"]) if "-seed-" in t["name"]]


def choosing_file(out: Path, recipes: list[str]) -> Path:
    """The file of one choice."""
    found = contenders(recipes, ["seed=3"], baseline=True)
    pool = choosing.opened(found, out / "pool", 0.05, Silent())
    return choosing.kept(out, pool, found[0], 0.4, 1)

