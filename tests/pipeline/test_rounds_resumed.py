"""A selection in rounds whose trainer fails, or that is broken off, goes on with the rounds that it has; equal texts and odd answers."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

pytest.importorskip("faiss")
from tamis.pipeline import trainers
from tamis.pipeline.errors import SelectionError
from tamis.pipeline.run import run
from tamis.pipeline.verify import check

PROGRAM = """
import json, pathlib, sys
folder, home = pathlib.Path(sys.argv[1]), pathlib.Path(__file__).parent
count = len(list(home.glob("asked-*"))) + 1
if count == int((home / "fails-at").read_text()):
    sys.exit("out of memory")
texts = [json.loads(line)["text"] for line in (folder / "score.jsonl").open()]
train = [json.loads(line)["text"] for line in (folder / "train.jsonl").open()]
(home / f"asked-{count:02d}").write_text(json.dumps([train, texts, json.loads((folder / "settings.json").read_text())]))
(folder / "scores.json").write_text(json.dumps([float(t.split()[0]) for t in texts]))
"""


@pytest.fixture
def data(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    label = rng.integers(0, 3, 60)
    points = np.eye(4)[label] + 0.01 * rng.normal(size=(60, 4))
    pq.write_table(pa.table({"text": [f"{g} text {i}" for i, g in enumerate(label)], "v": points.tolist()}), tmp_path / "rows.parquet", row_group_size=13)
    return tmp_path


def asked(folder: Path, name: str, fails_at: int = 0) -> dict[str, Any]:
    home = folder / f"train-{name}"
    home.mkdir(exist_ok=True)
    (home / "train.py").write_text(PROGRAM)
    (home / "fails-at").write_text(str(fails_at))
    step = {"model": str(home / "train.py"), "k": 3, "rounds": 3, "select_num": 24, "eta": 2.0}
    return {"dataset_path": str(folder / "rows.parquet"), "export_path": str(folder / f"out-{name}"), "np": 1, "allow_code": True, "seed": 2,
            "process": [{"text_embedding_mapper": {"vector_key": "v"}}, {"iterative_diversity_selector": step}]}


def heard(folder: Path, name: str) -> list[Any]:
    return [json.loads(p.read_text()) for p in sorted((folder / f"train-{name}").glob("asked-*"))]


def test_rounds_that_are_done_are_not_done_again_after_the_trainer_failed(data: Path) -> None:
    whole = run(asked(data, "whole"))
    asked_once = heard(data, "whole")
    assert len(asked_once) == 4, "two halves after each round but the last"
    with pytest.raises(SelectionError, match=r"recipe, step 2 \(iterative_diversity_selector\): .*failed with 1: out of memory"):
        run(asked(data, "torn", fails_at=4))
    assert len(heard(data, "torn")) == 3 and not (data / "out-torn" / "manifest.json").exists()
    again = run(asked(data, "torn"))
    assert again["content_hash"] == whole["content_hash"] and again["steps"][-1]["facts"] == whole["steps"][-1]["facts"]
    told = heard(data, "torn")
    assert len(told) == 5 and told[:3] == asked_once[:3] and told[3:] == asked_once[2:], "only the round that failed is asked anew"
    assert pq.read_table(data / "out-torn" / "ledger").to_pylist() == pq.read_table(data / "out-whole" / "ledger").to_pylist()
    assert {f.level for f in check(data / "out-torn")} == {"ok"}


def test_a_run_broken_off_after_each_round_comes_to_the_same_choice(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole, save, rounds = run(asked(data, "whole")), trainers.SavedRounds.save, list[int]()

    def breaks(self: Any, told: dict[str, Any]) -> None:
        save(self, told)
        rounds.append(len(told["rounds"]))
        raise KeyboardInterrupt

    monkeypatch.setattr(trainers.SavedRounds, "save", breaks)
    for _ in range(3):
        with pytest.raises(KeyboardInterrupt):
            run(asked(data, "torn"))
    again = run(asked(data, "torn"))
    assert rounds == [1, 2, 3] and len(heard(data, "torn")) == 4
    assert again["content_hash"] == whole["content_hash"] and again["steps"][-1]["facts"] == whole["steps"][-1]["facts"]


def test_other_settings_begin_anew(data: Path) -> None:
    run(asked(data, "one"))
    other = asked(data, "one")
    other["process"][1]["iterative_diversity_selector"]["eta"] = 0.5
    told = run(other)
    assert len(heard(data, "one")) == 8 and told["rows_out"] == 24, "rounds belong to the stage that made them"
