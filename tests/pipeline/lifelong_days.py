"""Days of rows near the axes of topics, and recipes that take them into a pool."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from tamis.pipeline.lifelong import store

TOPICS = np.eye(12)[:6]
EMBED = {"text_embedding_mapper": {"vector_key": "vector"}}


def day(folder: Path, name: str, topics: dict[int, int], seed: int, wide: int = 12) -> str:
    """A file with so many rows of each topic; every vector a point near its topic's axis."""
    rng, lines = np.random.default_rng(seed), []
    for topic, count in topics.items():
        for i in range(count):
            vector = (TOPICS[topic] + 0.05 * rng.standard_normal(12))[:wide]
            lines.append({"id": f"{name}-{topic}-{i}", "text": f"{name} says {i} of topic {topic} " + "and more " * int(rng.integers(9)),
                          "vector": vector.tolist(), "ppl": float(rng.uniform(1, 9) * (topic + 1)), "topic": topic})
    path = folder / f"{name}.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return str(path)


def words(folder: Path, data: str, cap: int = 60, step: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    step = step or {"cluster_pruning_selector": {"select_num": cap, "k": 4}}
    return {"dataset_path": data, "export_path": str(folder / "out"), "pool": str(folder / "pool"), "np": 1, "seed": 3,
            "process": [{"text_length_filter": {"min_len": 5}}, EMBED, step]} | more


def newest(folder: Path) -> store.Version:
    found = store.current(folder / "pool")
    assert found is not None
    return found


def files_of(folder: Path) -> dict[str, bytes]:
    """Every byte of a pool but the lock's."""
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file() and p.name != ".lock"}
