"""The folder that a run owns: whole files or none, one run at a time, and nothing of the user's is ever touched."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tamis.pipeline.errors import RecipeError, StaleError
from tamis.pipeline.workspace import Place, StageFolder, Workspace, atomically, read_json, sound, write_json, write_table

STAGE = "01-rows-0123456789abcdef"


# ---- writing

def test_a_file_appears_whole_or_not_at_all(tmp_path):
    path = tmp_path / "deep" / "x.txt"

    def half(tmp):
        tmp.write_text("half")
        assert not path.exists() and tmp.parent == path.parent
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        atomically(path, half)
    assert list(path.parent.iterdir()) == []
    atomically(path, lambda tmp: tmp.write_text("whole"))
    with pytest.raises(OSError, match="No space"):
        atomically(path, lambda tmp: half(tmp) if False else (_ for _ in ()).throw(OSError(28, "No space left on device")))
    assert path.read_text() == "whole" and list(path.parent.iterdir()) == [path], "the old one stays until the new one is whole"


def test_json_is_sorted_readable_and_read_again(tmp_path):
    write_json(tmp_path / "a.json", {"b": "é", "a": [1, None]})
    assert (tmp_path / "a.json").read_text("utf-8") == '{\n "a": [\n  1,\n  null\n ],\n "b": "é"\n}\n'
    assert read_json(tmp_path / "a.json") == {"a": [1, None], "b": "é"}
    assert read_json(tmp_path / "none.json") is None


def test_tables_are_read_again(tmp_path):
    table = pa.table({"a": [1, None], "b": ["x", "y"]})
    write_table(tmp_path / "t.parquet", table)
    assert pq.read_table(tmp_path / "t.parquet").equals(table)


@pytest.mark.parametrize("content", [b"{", b"", b"\xff\xfe"])
def test_a_damaged_mark_names_the_stage_to_remove(tmp_path, content):
    mark = tmp_path / STAGE / "done" / "part-00000.json"
    mark.parent.mkdir(parents=True)
    mark.write_bytes(content)
    with pytest.raises(StaleError, match=rf"part-00000\.json is damaged .*remove \S+/{STAGE} and run again"):
        StageFolder(tmp_path / STAGE).part_record(0)


def test_a_gone_or_damaged_file_names_the_stage_to_remove(tmp_path):
    file = tmp_path / STAGE / "rows" / "part-00000-000.parquet"
    with pytest.raises(StaleError, match=rf"gone or damaged .*remove \S+/{STAGE} and run again"), sound(file):
        pq.read_table(file)
    file.parent.mkdir(parents=True)
    file.write_bytes(b"PAR1")
    with pytest.raises(StaleError, match="gone or damaged"), sound(file):
        pq.read_table(file)


def test_pieces_are_in_the_order_they_were_written(tmp_path):
    folder = StageFolder(tmp_path)
    (tmp_path / "rows").mkdir()
    for piece in (0, 2, 10, 999, 1000, 1001, 10_000):
        (tmp_path / "rows" / f"part-00001-{piece:03d}.parquet").touch()
    (tmp_path / "rows" / "part-00010-000.parquet").touch()
    assert [int(p.stem.split("-")[2]) for p in folder.pieces(1)] == [0, 2, 10, 999, 1000, 1001, 10_000]


def test_records_of_parts_and_stage(tmp_path):
    folder = StageFolder(tmp_path / STAGE)
    assert folder.record is None and folder.part_record(3) is None
    assert folder.finish_part(3, {"rows": 1}) == {"rows": 1} == folder.part_record(3)
    assert folder.part_record(3, "keys-done") is None
    folder.finish_part(3, {"keys": 1}, "keys-done")
    assert folder.part_record(3, "keys-done") == {"keys": 1} and folder.part_record(3) == {"rows": 1}
    assert folder.finish({"all": 1}) == folder.record


# ---- lock and clean

def test_one_run_at_a_time(tmp_path):
    with Workspace(tmp_path / "work").lock():
        with pytest.raises(StaleError, match="another run is writing to"), Workspace(tmp_path / "work").lock():
            pass
        with Workspace(tmp_path / "other").lock():
            pass
    with Workspace(tmp_path / "work").lock():
        pass


def test_a_killed_run_leaves_no_lock(tmp_path):
    code = f"""
from pathlib import Path; import time
from tamis.pipeline.workspace import Workspace
with Workspace(Path({str(tmp_path)!r})).lock(): print("held", flush=True); time.sleep(60)"""
    holder = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert holder.stdout.readline() == "held\n"
    with pytest.raises(StaleError), Workspace(tmp_path).lock():
        pass
    os.kill(holder.pid, signal.SIGKILL)
    holder.wait()
    holder.stdout.close()
    deadline = time.monotonic() + 5
    while True:
        try:
            with Workspace(tmp_path).lock():
                return
        except StaleError:
            assert time.monotonic() < deadline


@pytest.mark.parametrize("export_path", ["file", "file/below"])
def test_a_place_that_cannot_be_written_is_a_mistake_of_the_recipe(tmp_path, export_path):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(RecipeError, match="cannot be written to .*another export_path"), Workspace(tmp_path / export_path).lock():
        pass


def test_cleaning_takes_old_stages_and_half_written_files_and_nothing_else(tmp_path):
    keep = tmp_path / STAGE
    ours = [tmp_path / "02-dedup-ffffffffffffffff" / "keys" / "a.arrow", keep / "rows" / ".part.parquet.0a1b2c3d.tmp",
            tmp_path / "104-export-0000000000000000" / "done.json"]
    theirs = [tmp_path / "photos" / "a.jpg", tmp_path / "x.tmp", tmp_path / "photos" / ".y.12345678.tmp", keep / "rows" / "mine.tmp",
              tmp_path / "01-rows-notes" / "n.txt", tmp_path / "2024-trip-abc" / "b.jpg", keep / "done.json", tmp_path / ".lock"]
    for file in (*ours, *theirs):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    Workspace(tmp_path).clean({keep})
    assert not [f for f in ours if f.exists()]
    assert [f for f in theirs if f.exists()] == theirs


# ---- where a run writes

@pytest.mark.parametrize(("export_path", "run", "file"), [
    ("out", "out", None), ("out/", "out", None), ("./a.b/out", "a.b/out", None), ("x.csv", "x.csv", None), ("x.zst", "x.zst", None),
    ("d/x.jsonl", "d/x", "d/x.jsonl"), ("x.jsonl.zst", "x", "x.jsonl.zst"), ("x.json.gz", "x", "x.json.gz"), ("x.parquet", "x", "x.parquet"),
    ("x.v1.jsonl", "x.v1", "x.v1.jsonl"), ("x.v2.jsonl", "x.v2", "x.v2.jsonl"), (".jsonl", ".jsonl", None), (".h.jsonl", ".h", ".h.jsonl"),
    ("file:///tmp/x.jsonl", "/tmp/x", "/tmp/x.jsonl"), ("~/out", str(Path.home() / "out"), None),
])
def test_the_export_path_is_a_folder_or_one_file(export_path, run, file):
    assert Place.of(export_path) == Place(Path(run), Path(run) / "work", Path(file) if file else None)
    assert Place.of(export_path, "~/w").work == Path.home() / "w"


def test_a_run_folder_is_local():
    with pytest.raises(RecipeError, match="must be local"):
        Place.of("s3://bucket/out")


def place(tmp_path, export_path="out", work_dir=None):
    return Place.of(str(tmp_path / export_path), str(tmp_path / work_dir) if work_dir else None)


@pytest.mark.parametrize(("export_path", "source"), [
    ("in.jsonl", "in.jsonl"), (".", "data/part-00000.parquet"), ("run", "run/kept/a.jsonl"), ("run", "run/ledger/a.jsonl"),
    ("run", "run/work/a.jsonl"), ("a.jsonl", "a/data/b.jsonl"),
])
def test_an_input_is_never_overwritten(tmp_path, export_path, source):
    with pytest.raises(RecipeError, match="would overwrite its own input"):
        place(tmp_path, export_path).claim([str(tmp_path / source)])
    with pytest.raises(RecipeError, match="would overwrite its own input"):
        place(tmp_path, export_path).claim([f"file://{tmp_path / source}"])
    place(tmp_path, export_path).claim([str(tmp_path / "other" / "in.jsonl"), "s3://bucket/data/part-00000.parquet"])


def test_an_input_is_known_by_what_a_link_leads_to(tmp_path):
    (tmp_path / "in.jsonl").write_text("{}")
    (tmp_path / "link.jsonl").symlink_to(tmp_path / "in.jsonl")
    with pytest.raises(RecipeError, match="own input"):
        place(tmp_path, "link.jsonl").claim([str(tmp_path / "in.jsonl")])


@pytest.mark.parametrize(("export_path", "work_dir"), [("in/out", None), ("in/x.jsonl", None), ("out", "in/work"), ("in", None)])
def test_results_do_not_go_where_inputs_are_looked_for(tmp_path, export_path, work_dir):
    (tmp_path / "in").mkdir()
    with pytest.raises(RecipeError, match="inside dataset_path"):
        place(tmp_path, export_path, work_dir).claim([str(tmp_path / "in/a.jsonl")], [tmp_path / "in"])
    place(tmp_path, "inner", "working").claim([str(tmp_path / "in/a.jsonl")], [tmp_path / "in"])


@pytest.mark.parametrize(("export_path", "work_dir", "named"), [("out", "in", "work_dir"), (".", None, "export_path"), ("in/a.jsonl", None, "export_path")])
def test_the_key_that_would_overwrite_an_input_is_named(tmp_path, export_path, work_dir, named):
    told = "data/a.jsonl" if export_path == "." else "in/a.jsonl"
    with pytest.raises(RecipeError, match=f"^{named}: the run would overwrite its own input .*a.jsonl"):
        place(tmp_path, export_path, work_dir).claim([str(tmp_path / told)])


@pytest.mark.parametrize("name", ["data", "kept", "ledger", "README.md", "recipe.yaml", "report.html", "manifest.json"])
def test_a_folder_with_someone_elses_files_is_refused(tmp_path, name):
    path = tmp_path / "out" / name
    path.parent.mkdir()
    path.mkdir() if "." not in name else path.write_text("{}")
    with pytest.raises(RecipeError, match=f"holds {name}, which no run of tamis has written"):
        place(tmp_path).claim([])
    path.rmdir() if path.is_dir() else path.unlink()
    (tmp_path / "out" / "notes.txt").write_text("mine")
    place(tmp_path).claim([])


@pytest.mark.parametrize(("trace", "content"), [("work/.lock", ""), ("manifest.json", '{"tamis": "0.1.0"}')])
def test_a_folder_of_an_earlier_run_is_taken_up(tmp_path, trace, content):
    (tmp_path / "out" / "data").mkdir(parents=True)
    (tmp_path / "out" / trace).parent.mkdir(exist_ok=True)
    (tmp_path / "out" / trace).write_text(content)
    place(tmp_path).claim([])


def test_a_folder_does_not_become_a_file(tmp_path):
    (tmp_path / "x.jsonl").mkdir()
    with pytest.raises(RecipeError, match=r"x\.jsonl is a folder"):
        place(tmp_path, "x.jsonl").claim([])


def test_executors_of_spark_find_the_place_from_their_own_folders(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    place = Place.of("out/x.jsonl", "stages")
    assert place.seen_by("local") == place
    seen = place.seen_by("spark")
    assert (seen.run, seen.work, seen.file) == (tmp_path / "out" / "x", tmp_path / "stages", tmp_path / "out" / "x.jsonl")
    assert Place.of("out").seen_by("spark").file is None
