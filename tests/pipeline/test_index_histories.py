"""An index after any history of batches, merges and compactions answers as a list of documents would; how it is refused, and shown."""

import json
import shutil
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from index_corpora import MINHASH, SIMILAR, corpus, dedup, write
from test_index_files import MADE, commit
from typer.testing import CliRunner

from tamis.pipeline import plan, recipe
from tamis.pipeline.cli import app
from tamis.pipeline.errors import RecipeError, StaleError
from tamis.pipeline.index import layout, upkeep
from tamis.pipeline.index.layout import Batch, Made, Manifest
from tamis.pipeline.index.locking import reading, writing
from tamis.pipeline.index.lookup import Reader
from tamis.pipeline.run import run

KEYS = st.lists(st.lists(st.integers(0, 8), max_size=3, unique=True), min_size=1, max_size=5)
DEEDS = st.lists(st.one_of(st.tuples(st.just("batch"), KEYS), st.tuples(st.just("merge"), st.lists(KEYS, min_size=1, max_size=3)),
                           st.tuples(st.just("compact"), st.none())), min_size=1, max_size=7)


def grown(folder: Path, manifest: Manifest | None, keys: list[list[int]], sets: list[list[int]]) -> Manifest:
    """One batch more, under a folder of its own: what leads to it has the number of the batch in its name."""
    (folder / "index").mkdir(parents=True, exist_ok=True)
    return commit(folder / "index", keys, sets, manifest)  # type: ignore[arg-type]


@settings(max_examples=8)
@given(DEEDS)
def test_any_history_answers_as_a_list_would(tmp_path_factory: pytest.TempPathFactory, deeds: list[Any]) -> None:
    folder, known, starts = tmp_path_factory.mktemp("history"), list[tuple[list[int], list[int]]](), list[int]()
    manifest = grown(folder, None, [[1]], [[10**6]])
    known.append(([1], [10**6]))
    for number, (deed, told) in enumerate(deeds):
        before = manifest
        if deed == "batch":
            sets = [[1000 * number + i] for i in range(len(told))]
            manifest = grown(folder, manifest, told, sets)
            starts.append(len(known))
            known += zip(told, sets, strict=True)
        elif deed == "merge":
            other = None
            for b, keys in enumerate(told):
                sets = [[1000 * number + 100 * b + i] for i in range(len(keys))]
                other = grown(folder / f"other{number}", other, keys, sets)
                known += zip(keys, sets, strict=True)
            manifest = upkeep.merge(folder / "index", [folder / f"other{number}" / "index"])
            assert len(manifest.segments) == len(before.segments) + 1 and len(manifest.batches) == len(before.batches) + len(told)
        else:
            manifest = upkeep.compact(folder / "index")
            assert len(manifest.segments) == 1 and manifest.batches == before.batches
            assert manifest.state() == before.state(), "compaction changes no answer, so no state"
            assert upkeep.compact(folder / "index") == manifest, "what is compact stays"
    assert layout.read(folder / "index") == manifest and upkeep.damage(folder / "index") == []
    for limit in {*starts, len(known)}:
        with ExitStack() as stack:
            reader, asked = Reader(folder / "index", manifest, limit, stack), np.arange(9, dtype=np.uint64)
            which, found = reader.candidates(asked)
            assert sorted(zip(which.tolist(), found.tolist(), strict=True)) == sorted(
                (k, d) for d, (keys, _) in enumerate(known[:limit]) for k in keys)
            values, sizes = reader.sets(np.arange(limit))
            assert sizes.tolist() == [1] * limit and values.tolist() == [s[0] for _, s in known[:limit]]
            assert reader.kept(np.arange(limit)).tolist() == list(range(limit)) and len(reader.names(np.arange(limit))) == limit


def test_merging_all_at_once_or_one_by_one_is_the_same(tmp_path: Path) -> None:
    for way in ("once", "twice"):
        for name in ("a", "b", "c"):
            grown(tmp_path / way / name, None, [[ord(name)], [7]], [[ord(name)], [ord(name) + 1]])
        index = tmp_path / way / "a" / "index"
        others = [tmp_path / way / name / "index" for name in ("b", "c")]
        for some in ([others] if way == "once" else [[o] for o in others]):
            upkeep.merge(index, some)
    one, other = (layout.read(tmp_path / way / "a" / "index") for way in ("once", "twice"))
    assert one is not None and other is not None and one.batches == other.batches
    assert [s.files for s in one.segments] == [s.files for s in other.segments]


def test_a_merge_that_is_refused_halfway_changes_nothing(tmp_path: Path) -> None:
    grown(tmp_path / "a", None, [[1]], [[1]])
    grown(tmp_path / "b", None, [[2]], [[2]])
    index = tmp_path / "a" / "index"
    before = (index / "manifest.json").read_bytes()
    with pytest.raises(RecipeError, match="no index is there"):
        upkeep.merge(index, [tmp_path / "b" / "index", tmp_path / "nowhere"])
    assert (index / "manifest.json").read_bytes() == before
    with writing(index):
        pass
    assert len(list((index / "segments").iterdir())) == 1, "the next writer sweeps what was half done"


@pytest.mark.parametrize(("other", "told"), [
    (Made("document_deduplicator", 2, {"lowercase": False}), ["version is 1 in the index, 2 in the step"]),
    (Made("document_deduplicator", 1, {"lowercase": True}), ["lowercase is False in the index, True in the step"]),
    (Made("document_deduplicator", 1, {"lowercase": False, "new": 3}), ["new is None in the index, 3 in the step"]),
    (Made("document_deduplicator", 1, {"lowercase": False, "tokenizer_model": "elsewhere.model"}), []),
    (Made("document_deduplicator", 1, {"lowercase": False}, {"tokenizer": "ab"}), ["tokenizer_model is of another content in the index than in the step"]),
])
def test_what_an_index_is_made_with_is_told_apart_in_words(other: Made, told: list[str]) -> None:
    assert MADE.differences(other) == told


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`index` of day0, data of two more days."""
    folder, texts = tmp_path_factory.mktemp("begun"), corpus(17, 60)
    for day in range(3):
        write(folder / f"day{day}.jsonl", texts[20 * day : 20 * day + 20], 20 * day)
    dedup(folder / "day0.jsonl", folder / "out0", remember=str(folder / "index"), **SIMILAR)
    return folder


@pytest.fixture
def made(begun: Path, tmp_path: Path) -> Path:
    """A copy of it that may come to harm."""
    return shutil.copytree(begun, tmp_path / "made", ignore=shutil.ignore_patterns("out0"))


def asked(folder: Path, day: int, **how: Any) -> dict[str, Any]:
    return {"dataset_path": str(folder / f"day{day}.jsonl"), "export_path": str(folder / f"out{day}"), "np": 1, "process": [{MINHASH: SIMILAR | how}]}


def test_a_damaged_index_is_told_by_the_plan_with_its_step(made: Path) -> None:
    (made / "index" / "manifest.json").write_text("{")
    with pytest.raises(RecipeError, match=r"step 1 \(document_minhash_deduplicator\): .*manifest.json is damaged or no manifest of an index"):
        plan.make(recipe.load(asked(made, 1, against=str(made / "index"))))


def test_a_segment_that_is_gone_stops_the_run_that_asks_it(made: Path) -> None:
    (segment,) = (made / "index" / "segments").iterdir()
    segment.rename(made / "elsewhere")
    with pytest.raises(StaleError, match=r"index .* is damaged: .*keys.u64 is gone: build the index anew"):
        run(asked(made, 1, against=str(made / "index"), remember=True))
    (made / "elsewhere").rename(segment)
    assert run(asked(made, 1, against=str(made / "index"), remember=True))["remembered"][0]["documents"] == 20, "and goes on when it is back"


def test_rows_that_came_after_others_are_not_begun_with(made: Path) -> None:
    run(asked(made, 1, against=str(made / "index"), remember=True))
    with pytest.raises(RecipeError, match=r"has these rows after others: add against: .*index"):
        plan.make(recipe.load(asked(made, 1, remember=str(made / "index"))))


def test_an_index_that_cannot_lie_there_is_a_mistake_of_the_recipe(made: Path) -> None:
    (made / "file").write_text("mine")
    with pytest.raises(RecipeError, match=r"index .*file/index cannot be written to \(Not a directory\)"):
        run(asked(made, 1, remember=str(made / "file" / "index")))
    with pytest.raises(RecipeError, match="there is no index. Begin one with"):
        run(asked(made, 1, against=str(made / "file" / "index")))
    assert (made / "file").read_text() == "mine"


def test_who_may_not_leave_a_mark_reads_all_the_same(made: Path) -> None:
    (made / "index" / ".readers").unlink(missing_ok=True)
    (made / "index" / ".readers").mkdir()  # nobody can open it to write
    with reading(made / "index"):
        assert run(asked(made, 1, against=str(made / "index")))["rows_in"] == 20


def test_a_plan_tells_what_it_compares_with(made: Path) -> None:
    pins = {how: str(plan.make(recipe.load(asked(made, 1, **told))).stages[1].known) for how, told in {
        "both": {"against": str(made / "index"), "remember": True}, "reads": {"against": str(made / "index")}, "new": {"remember": str(made / "new")},
    }.items()}
    assert pins["both"].endswith("index, compared with 20 documents, by this process; all rows of this step are then added")
    assert pins["reads"].endswith("compared with 20 documents, by this process") and pins["new"].endswith("new, new; all rows of this step are then added")


def called(*words: str | Path) -> Any:
    return CliRunner().invoke(app, ["dedup-index", *map(str, words)], catch_exceptions=False)


def test_data_are_added_with_the_indexs_own_settings(made: Path) -> None:
    with pytest.raises(RecipeError, match=r"nowhere: no index is there. Begin one with tamis dedup-index build .*nowhere .*day1.jsonl"):
        called("extend", made / "nowhere", made / "day1.jsonl")
    told = json.loads(called("extend", made / "index", made / "day1.jsonl", "--json").stdout)
    assert told["documents"] == 20 and not told["known"] and not (made / "index.building").exists()
    manifest = layout.read(made / "index")
    assert manifest is not None and manifest.made.settings["jaccard_threshold"] == 0.7 and manifest.documents == 40
    again, _ = dedup(made / "day1.jsonl", made / "plain", against=str(made / "index"), **SIMILAR)
    assert len(again) == told["kept"], "the run again sees the index as it was before that batch"
    with pytest.raises(RecipeError, match="jaccard_threshold is 0.7 in the index, 0.5 in the step"):
        called("extend", made / "index", made / "day2.jsonl", "--set", "jaccard_threshold=0.5")


def test_many_segments_are_advised_to_be_compacted(tmp_path: Path) -> None:
    def advice() -> str:
        return upkeep.text(upkeep.described(tmp_path / "index"), [])

    manifest = None
    for i in range(upkeep.MANY + 1):
        assert i == 0 or "compact" not in advice()
        manifest = grown(tmp_path, manifest, [[i]], [[i]])
    assert f"asks each of the {upkeep.MANY + 1} segments: tamis dedup-index compact" in advice()
    told = upkeep.described(tmp_path / "index")
    assert told["documents"] == told["kept"] == upkeep.MANY + 1 and sum(told["files"].values()) == told["bytes"]


def test_batches_without_rows_are_known_too(tmp_path: Path) -> None:
    first = grown(tmp_path, None, [[1]], [[1]])
    empty = first.with_batch(Batch("nothing", 1, 0, 0, (("a.jsonl", "x"),), "f" * 32), None)
    layout.write(tmp_path / "index", empty)
    assert layout.read(tmp_path / "index") == empty and empty.batch("nothing") is not None and empty.documents == 1
    assert empty.state() == "f" * 32 and empty.state(1) == first.state(1)
