"""The manifest adds up, step by step and stage by stage, or there is none."""

import importlib.metadata
from types import SimpleNamespace
from typing import Any

import pytest

from tamis.pipeline import manifest, steps
from tamis.pipeline.errors import LostRowError
from tamis.pipeline.plan import Stage


def step(number: int, name: str, **given: Any) -> steps.Step:
    made, wrong, _ = steps.build(number, name, given, "text")
    assert made is not None and not wrong
    return made


PLAN: Any = SimpleNamespace(
    recipe=SimpleNamespace(project_name="p", seed=5, notes=("n",), engine="local"),
    sources=[SimpleNamespace(source="a.jsonl", url="/d/a.jsonl", bytes=9, digest="d" * 8)],
    stages=[
        Stage(1, "rows", (step(1, "text_length_filter"), step(2, "fix_unicode_mapper"), step(3, "text_chunk_mapper"), step(4, "words_num_filter")), (), "f1"),
        Stage(2, "dedup", (step(5, "document_deduplicator"),), (), "f2"),
        Stage(3, "export", (), (), "f3"),
    ])


def records() -> list[dict[str, Any]]:
    """100 rows, 5 cannot be read, 10 are too short; 20 more are cut off; 30 have too few words; 15 are duplicates."""
    return [
        {"kind": "rows", "rows_in": 100, "rows_out": 75, "left": 45, "born": 20,
         "by": {"0 error": 2, "0 null_text": 3, "1 below_min": 10, "4 below_min": 29, "4 above_max": 1}, "facts": {"2": {"changed": 50}}},
        {"kind": "dedup", "rows_in": 75, "rows_out": 60, "left": 15, "by": {"5 duplicate": 15}, "facts": {"5": {"clusters": 4}}},
        {"kind": "export", "rows": 60, "content_hash": "c" * 32, "shards": ["s"], "kept": ["k"], "ledger": [{"rows": 40}, {"rows": 20}]},
    ]


@pytest.fixture(autouse=True)
def words(monkeypatch):
    monkeypatch.setattr(manifest.recipes, "words", lambda recipe, public: {"seed": recipe.seed, **({} if public else {"password": "x"})})


def test_every_step_takes_what_the_one_before_it_gave():
    told = manifest.steps_of(PLAN, records())
    assert [(s["step"], s["op"], s["kind"], s["stage"], s["rows_in"], s["rows_out"]) for s in told] == [
        (0, "read", "read", 1, 100, 95), (1, "text_length_filter", "filter", 1, 95, 85), (2, "fix_unicode_mapper", "mapper", 1, 85, 85),
        (3, "text_chunk_mapper", "mapper", 1, 105, 105), (4, "words_num_filter", "filter", 1, 105, 75),
        (5, "document_deduplicator", "deduplicator", 2, 75, 60)]
    assert [s["left"] for s in told] == [{"error": 2, "null_text": 3}, {"below_min": 10}, {}, {}, {"below_min": 29, "above_max": 1}, {"duplicate": 15}]
    assert [s["facts"] for s in told] == [{}, {}, {"changed": 50}, {}, {}, {"clusters": 4}]
    assert told[1]["keep"] == "10 <= v" and told[1]["settings"] == {} and "settings" not in told[0]


def test_steps_of_a_run_that_is_not_done_are_those_that_are():
    assert [s["step"] for s in manifest.steps_of(PLAN, records()[:1])] == [0, 1, 2, 3, 4]


def test_step_one_is_not_step_ten():
    plan: Any = SimpleNamespace(stages=[Stage(1, "rows", tuple(step(n, "text_length_filter") for n in range(1, 12)), (), "f")])
    record = {"rows_in": 50, "by": {"1 below_min": 3, "10 below_min": 4, "11 above_max": 5}}
    assert [sum(s["left"].values()) for s in manifest.steps_of(plan, [record])] == [0, 3, *[0] * 8, 4, 5]


def test_the_manifest_of_a_sound_run():
    told = manifest.build(PLAN, records(), [{"stage": 1, "seconds": 2.0}])
    assert (told["rows_in"], told["rows_born"], told["rows_left"], told["rows_out"]) == (100, 20, 60, 60)
    assert told["inputs"] == [{"source": "a.jsonl", "path": "/d/a.jsonl", "bytes": 9, "digest": "d" * 8}]
    assert told["stages"] == [{"stage": 1, "kind": "rows", "fingerprint": "f1"}, {"stage": 2, "kind": "dedup", "fingerprint": "f2"},
                              {"stage": 3, "kind": "export", "fingerprint": "f3"}]
    assert (told["project_name"], told["seed"], told["notes"], told["engine"], told["recipe"]) == ("p", 5, ["n"], "local", {"seed": 5})
    assert (told["content_hash"], told["shards"], told["kept"], told["ledger"]) == ("c" * 32, ["s"], ["k"], [{"rows": 40}, {"rows": 20}])
    assert told["timing"] == [{"stage": 1, "seconds": 2.0}] and told["models"] == []


@pytest.mark.parametrize(("stage", "changes", "words"), [
    (0, {"left": 44}, "stage 1 (rows) was given 100 rows, took 100 and gave 75, with 44 in the ledger"),
    (0, {"born": 19}, "stage 1 (rows) was given 100 rows"), (0, {"rows_out": 74}, "stage 1 (rows) was given 100 rows"),
    (1, {"rows_in": 74}, "stage 2 (dedup) was given 75 rows, took 74 and gave 60, with 15 in the ledger"),
    (1, {"rows_in": 76, "rows_out": 61}, "stage 2 (dedup) was given 75 rows, took 76"), (1, {"left": 14}, "stage 2 (dedup)"),
    (2, {"rows": 59}, "stage 3 (export) was given 60 rows, took 59 and gave 59, with 0 in the ledger"), (2, {"rows": 61}, "stage 3 (export)"),
    (0, {"by": {"1 below_min": 44}}, "100 rows were read, 20 more made of them, 60 exported, 59 are in the ledger: 1 are lost"),
    (1, {"by": {"5 duplicate": 16}}, "60 exported, 61 are in the ledger: -1 are lost"),
    (2, {"ledger": [{"rows": 59}]}, "60 rows left, but the ledger has 59 lines"), (2, {"ledger": [{"rows": 61}]}, "60 rows left, but the ledger has 61 lines"),
])
def test_a_run_that_does_not_add_up_has_no_manifest(stage, changes, words):
    told = records()
    told[stage] |= changes
    with pytest.raises(LostRowError) as e:
        manifest.build(PLAN, told, [])
    assert words in str(e.value)


def test_versions_are_those_installed(monkeypatch):
    told = manifest.versions()
    assert told["pyarrow"] == importlib.metadata.version("pyarrow") and set(told) <= {"python", *manifest.PACKAGES}
    monkeypatch.setattr(manifest, "PACKAGES", ("no-such-package-anywhere", "numpy"))
    assert set(manifest.versions()) == {"python", "numpy"}
