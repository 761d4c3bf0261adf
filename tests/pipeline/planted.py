"""A small run whose every row's fate is known beforehand, for the tests of what people look at after a run."""

import json
import random
from pathlib import Path
from typing import Any

from tamis.pipeline.run import run

EVIL = "<script>alert('x')</script> & \"quoted\""
PROCESS: list[Any] = [
    {"text_length_filter": {"min_len": 60, "max_len": 100000}},
    {"alphanumeric_filter": {"min_ratio": 0.5}},
    {"document_deduplicator": {}},
    {"document_minhash_deduplicator": {"jaccard_threshold": 0.6}},
    {"random_selector": {"select_num": 30}},
]


def sentences(seed: int, words: int = 60) -> str:
    chance = random.Random(seed)
    return " ".join("".join(chance.choices("abcdefghijklmnopqrstuvwxyz", k=chance.randint(3, 9))) for _ in range(words))


def rows() -> list[dict[str, Any] | str]:
    """Lines of the corpus: 40 good rows, some planted ones; a text is a raw line."""
    good: list[dict[str, Any] | str] = [{"id": f"good{i}", "text": sentences(i)} for i in range(40)]
    good[0] = {"id": "good0", "text": f"{EVIL} {sentences(0)}"}
    near = sentences(7).split()
    near[3] = "changed"
    return [
        good[0], "", *good[1:],
        {"id": "short", "text": f"too short {EVIL}"},
        {"id": "signs", "text": "#$%&/()=?*+" * 20},
        {"id": "copy", "text": sentences(5)},
        {"id": "near", "text": " ".join(near)},
        {"id": "null", "text": None},
        "this is no JSON",
        {"id": "twin", "text": sentences(101)},
        {"id": "twin", "text": sentences(102)},
    ]


def make(folder: Path, **keys: Any) -> dict[str, Any]:
    """The manifest of a run in `folder`/out over `folder`/data/corpus.jsonl."""
    (folder / "data").mkdir(parents=True)
    lines = [r if isinstance(r, str) else json.dumps(r) for r in rows()]
    (folder / "data" / "corpus.jsonl").write_text("\n".join(lines) + "\n", "utf-8")
    asked = {"project_name": "<b>planted</b>", "dataset_path": str(folder / "data"), "export_path": str(folder / "out"), "np": 1,
             "seed": 3, "on_error": {"set_aside": 5}, "process": PROCESS}
    return run(asked | keys)
