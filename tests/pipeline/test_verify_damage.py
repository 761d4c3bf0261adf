"""`verify` finds every kind of damage that can be done to what a run has left, wherever it is done, and names the file."""

import json
import random
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import planted
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tamis.pipeline import verify
from tamis.pipeline.ledger import ID
from tamis.pipeline.run import run

KINDS: dict[str, dict[str, Any]] = {
    "parquet in shards": {"export_shard_size": 4000}, "lines": {"export_type": "jsonl", "export_shard_size": 4000},
    "one packed file": {"export_path": "kept.jsonl.zst"},
}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """kind -> a folder with `data` and the run; a run's folder is `out` or `kept`."""
    folders = {kind: tmp_path_factory.mktemp("damage") for kind in KINDS}
    for kind, folder in folders.items():
        keys = dict(KINDS[kind])
        path = folder / keys.pop("export_path", "out")
        planted.make(folder, export_path=str(path), **keys)
        shutil.rmtree(Path(str(path).partition(".jsonl")[0]) / "work")
    return folders


@pytest.fixture(params=KINDS)
def finished(request: pytest.FixtureRequest, made: dict[str, Path], tmp_path: Path) -> Path:
    """The folder of a run that may be damaged."""
    shutil.copytree(made[request.param], tmp_path / "copy")
    return next(p for p in (tmp_path / "copy" / "out", tmp_path / "copy" / "kept") if p.is_dir())


def failures(folder: Path) -> list[str]:
    return [f.text for f in verify.check(folder) if f.level == "fail"]


def named(folder: Path) -> list[str]:
    """Every file that the manifest names."""
    told = json.loads((folder / "manifest.json").read_text("utf-8"))
    return [f["path"] for kind in ("shards", "ledger", "kept") for f in told[kind]]


def test_a_copy_elsewhere_without_its_workspace_is_sound(finished: Path) -> None:
    assert failures(finished) == []
    assert len(named(finished)) >= 3


def test_any_byte_changed_in_any_file_is_found_and_its_file_named(finished: Path) -> None:
    chance = random.Random(5)
    for name in named(finished):
        file = finished / name
        whole = file.read_bytes()
        for place in (0, len(whole) - 1, *(chance.randrange(len(whole)) for _ in range(3))):
            file.write_bytes(whole[:place] + bytes([whole[place] ^ (1 << chance.randrange(8))]) + whole[place + 1 :])
            assert any(f"{name} has changed" in told for told in failures(finished)), f"{name}, byte {place} of {len(whole)}"
        file.write_bytes(whole)
    assert failures(finished) == []


@pytest.mark.parametrize("harm", ["gone", "cut", "longer", "empty"])
def test_any_file_that_is_gone_or_of_another_size_is_found(finished: Path, harm: str) -> None:
    for name in named(finished):
        file = finished / name
        whole = file.read_bytes()
        file.unlink() if harm == "gone" else file.write_bytes({"cut": whole[:-1], "longer": whole + b"\n", "empty": b""}[harm])
        wanted = f"{name} is missing" if harm == "gone" else f"{name} has changed"
        assert any(wanted in told for told in failures(finished)), name
        file.write_bytes(whole)


def test_two_shards_in_each_other_s_place(finished: Path) -> None:
    names = [n for n in named(finished) if n.startswith("data/")][:2]
    if not names:
        pytest.skip("one file has no place to be exchanged with")
    first, second = (finished / n for n in names)
    contents = second.read_bytes(), first.read_bytes()
    first.write_bytes(contents[0])
    second.write_bytes(contents[1])
    told = "; ".join(failures(finished))
    assert all(f"{n} has changed" in told for n in names) and "content hash is another" in told


@pytest.mark.parametrize("folder", ["data", "ledger", "kept"])
def test_a_file_more_would_be_read_by_whoever_reads_the_folder(finished: Path, folder: str) -> None:
    """`load_dataset(run)` takes all of data/: what lies there besides is a row too many for it."""
    name = next((n for n in named(finished) if n.startswith(folder)), None)
    if name is None:
        pytest.skip("the rows lie in one file of their own")
    more = finished / folder / f"part-99999{''.join(Path(name).suffixes)}"
    shutil.copy(finished / name, more)
    assert any(f"{folder}/{more.name} is not of this run, but whoever reads {folder}/ reads it too" in t for t in failures(finished))
    more.rename(more.with_name(f".{more.name}.0a1b2c3d.tmp"))
    assert failures(finished) == [], "a half-written file of a run that was killed is read by nobody"


def test_what_the_narrow_columns_do_not_show_is_found_too(finished: Path) -> None:
    """Another number, bound or note in the ledger: the counts are what they were."""
    for column, value in (("value", 0.5), ("bound", "9 <= v"), ("note", "nothing"), ("excerpt", "x"), ("op", "read")):
        path = next((finished / "ledger").glob("part-*.parquet"))
        whole, table = path.read_bytes(), pq.read_table(path)
        place = table.schema.get_field_index(column)
        changed = [value, *table.column(column).to_pylist()[1:]]
        pq.write_table(table.set_column(place, column, pa.array(changed, table.schema.field(column).type)), path)
        assert any("ledger/part-00000.parquet has changed" in told for told in failures(finished)), column
        path.write_bytes(whole)


def bent(folder: Path, change: Callable[[dict[str, Any]], Any]) -> list[str]:
    told = json.loads((folder / "manifest.json").read_text("utf-8"))
    change(told)
    (folder / "manifest.json").write_text(json.dumps(told), "utf-8")
    return failures(folder)


@pytest.mark.parametrize(("change", "words"), [
    (lambda m: m.update(rows_in=m["rows_in"] + 1), "rows were read or made of them|rows were read"),
    (lambda m: m.update(rows_out=m["rows_out"] - 1), "the manifest's shards hold 30 rows, it says that 29 were kept"),
    (lambda m: m.update(rows_left=7), "the ledger has 18 lines, the manifest says 7"),
    (lambda m: m.update(content_hash="0" * 32), "content hash is another"),
    (lambda m: m["shards"][0].update(rows=1), "the manifest's shards hold"),
    (lambda m: m["shards"][0].update(digest="xxh3:0"), "has changed: its digest is not the manifest's"),
    (lambda m: m["steps"][1]["left"].update(below_min=99), r"step 1 \(text_length_filter\): the ledger has 1 below_min, the manifest 99"),
    (lambda m: m["steps"].pop(), "the ledger has lines of step 5, which the recipe does not have"),
    (lambda m: m["steps"][2].update(left={}), r"step 2 \(alphanumeric_filter\): the ledger has 1 below_min, the manifest nothing"),
])
def test_a_manifest_that_says_something_else(finished: Path, change: Callable[[dict[str, Any]], Any], words: str) -> None:
    told = bent(finished, change)
    assert any(re.search(words, text) for text in told), told


def test_every_finding_is_made_however_much_is_broken(finished: Path) -> None:
    """A folder of rubbish is told as such, to the end, and never by a traceback."""
    for name in named(finished):
        (finished / name).write_bytes(b"rubbish")
    found = verify.check(finished)
    assert [f.level for f in found].count("fail") >= 2 and found[-1].text.endswith("still what the run read.")
    more = len(named(finished)) - verify.EXAMPLES
    assert not more or any(f"and {more} more." in f.text for f in found), "the first three are named"


def test_the_last_finding_is_a_warning_where_several_inputs_are_gone(tmp_path: Path) -> None:
    for i in range(5):
        (tmp_path / "in").mkdir(exist_ok=True)
        (tmp_path / "in" / f"{i}.jsonl").write_text(json.dumps({"text": f"row {i}"}) + "\n")
    run({"dataset_path": str(tmp_path / "in"), "export_path": str(tmp_path / "out"), "np": 1})
    for i in range(5):
        file = tmp_path / "in" / f"{i}.jsonl"
        file.unlink() if i else file.write_text(json.dumps({"text": "another row"}) + "\n")
    assert [(f.level, f.text) for f in verify.check(tmp_path / "out")[-2:]] == [
        ("warn", "Input 1.jsonl, 2.jsonl, 3.jsonl and 1 more can no longer be found where the run read it: "
                 "the result stands, but cannot be made again."),
        ("warn", "Input 0.jsonl has changed since the run: the result stands, but cannot be made again.")]


def test_ids_exchanged_between_kept_and_ledger(finished: Path) -> None:
    """Each row still has one line, and the sums hold: the content is not that of these ids."""
    kept, ledger = (next((finished / kind).glob("part-*.parquet")) for kind in ("kept", "ledger"))
    tables = pq.read_table(kept), pq.read_table(ledger)
    mine, theirs = (t.column(ID)[0].as_py() for t in tables)
    for path, table, other in ((kept, tables[0], theirs), (ledger, tables[1], mine)):
        ids = pa.array([other, *table.column(ID).to_pylist()[1:]], pa.int64())
        pq.write_table(table.set_column(table.schema.get_field_index(ID), ID, ids), path)
    told = " ".join(failures(finished))
    assert "content hash is another" in told and "has 2 lines" not in told
