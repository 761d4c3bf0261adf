"""The command line: exit codes, what goes to which stream, what is said of mistakes."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pyarrow.parquet as pq
import pytest

from tamis.operators import catalog
from tamis.pipeline import cli, steps

RECIPE = """# about words
dataset_path: data
export_path: out
np: 1
process:
  - text_length_filter: {min_len: 20}
  - document_deduplicator:
  - random_selector: {select_tokens: 60, cost_key: n}
"""
CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")


class Said(NamedTuple):
    code: int
    out: str
    err: str


@pytest.fixture
def home(tmp_path, monkeypatch) -> Path:
    rows = [{"id": f"d{i}", "text": "word " * i, "n": i} for i in range(1, 21)] + [{"id": "copy", "text": "word " * 7, "n": 3}]
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "c.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
    (tmp_path / "r.yaml").write_text(RECIPE)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def tamis(home, monkeypatch, capsys):
    def tamis(*words: str) -> Said:
        monkeypatch.setattr(sys, "argv", ["tamis", *words])
        monkeypatch.setattr(cli.out, "width", 160)  # as of a pipe: it was measured at the import, by whatever ran the tests
        with pytest.raises(SystemExit) as e:
            cli.main()
        told = capsys.readouterr()
        assert not CONTROL.search(told.out + told.err), "no terminal, no control codes"
        return Said(int(e.value.code or 0), told.out, told.err)

    return tamis


@pytest.mark.parametrize("words", [
    ["why", "half", "1"], ["verify", "half"], ["dups", "half"], ["plan", "r.yaml", "--set", "export_path=loop"], ["analyze", "r.yaml", "--out", "loop/x"],
    ["run", "r.yaml", "--set", "work_dir=loop/x"], ["lake", "scan", "data", "--out", "loop"], ["lake", "scan", "~nobody-of-that-name/x"],
    ["dedup-index", "build", "loop", "data/c.jsonl"], ["dedup-index", "build", "~nobody-of-that-name/x", "data/c.jsonl"],
    ["train-classifier", "--good", "~nobody-of-that-name/x", "--bad", "data", "--out", "m"], ["analyze", "r.yaml", "--out", "http://host/x"],
    ["analyze", "r.yaml", "--out", "b[/red]d/f"], ["run", "caf\udce9.yaml"], ["analyze", "data", "--out", "\udcff"], ["lake", "scan", "~nobody-of-that-name"],
])
def test_nonsense_is_told_in_words(home, tamis, words):
    (home / "loop").symlink_to(home / "loop")
    (home / "half").mkdir()
    (home / "half" / "manifest.json").write_text('{"tamis": "1", "shards": 3, "ledger": null}')
    (home / "b[").mkdir()
    (home / "b[" / "red]d").write_text("a file")
    said = tamis(*words)
    assert said.code in (1, 2) and len(said.err) > 20 and "Traceback" not in said.err


def pure(text: str):
    """The one JSON value that `text` is."""

    def refuse(name: str) -> None:
        raise AssertionError(f"{name} is no JSON")

    return json.loads(text, parse_constant=refuse)


# ---- run

def test_run_tells_of_each_stage_and_step_and_where_things_lie(tamis, home):
    said = tamis("run", "r.yaml")
    assert said.code == 0
    assert [line.split("  ")[0] for line in said.err.splitlines() if "  part " not in line] == [
        "1 rows: read, text_length_filter", "2 dedup: document_deduplicator", "3 select: random_selector", "4 export"]
    manifest = json.loads((home / "out" / "manifest.json").read_text())
    line = next(x for x in said.out.splitlines() if "text_length_filter" in x)
    assert re.sub(r" +", " ", line).strip() == "1 text_length_filter 20 <= v 21 3 18 3 below min"
    assert f"kept {manifest['rows_out']} of 21 rows" in said.out and manifest["content_hash"][:16] in said.out
    assert "out/report.html" in said.out and (home / "out" / "report.html").is_file()
    again = tamis("run", "r.yaml")
    assert again.err.count("(done before)") == 4


def test_run_as_json_is_the_manifest_and_nothing_else(tamis, home):
    said = tamis("run", "r.yaml", "--json")
    assert said.err == "" and pure(said.out) == json.loads((home / "out" / "manifest.json").read_text())


def test_set_and_options_replace_what_the_recipe_says(tamis, home):
    said = tamis("run", "r.yaml", "--json", "--set", "seed=7", "--set", "process.1.min_len=30", "--set", "process.3.select_tokens=1e9",
                 "--out", "elsewhere", "--np", "2")
    told = pure(said.out)
    assert (told["seed"], told["recipe"]["np"], told["steps"][1]["left"], told["rows_out"]) == (7, 2, {"below_min": 5}, 15)
    assert (home / "elsewhere" / "manifest.json").exists() and not (home / "out").exists()


@pytest.mark.parametrize(("words", "told"), [
    (["run", "nothing.yaml"], "nothing.yaml: no such recipe"), (["plan", "r.yml"], "r.yml: no such recipe. Did you mean 'r.yaml'?"),
    (["run", "r.yaml", "--set", "sede=3"], "r.yaml: unknown key 'sede'. Did you mean 'seed'?"),
    (["plan", "r.yaml", "--set", "process.1.min_lne=3"], "r.yaml:6, step 1 (text_length_filter): unknown setting 'min_lne'. Did you mean 'min_len'?"),
    (["plan", "r.yaml", "--set", "process.9.min_len=3"], "a step's setting is process.N.SETTING with N from 1 to 3"),
    (["run", "r.yaml", "--set", "seed"], "--set seed: write KEY=VALUE"), (["run", "r.yaml", "--engine", "ray"], "engine must be one of local, spark, not 'ray'"),
    (["run", "r.yaml", "--out", "data"], "would lie inside dataset_path"), (["ops", "text_lenght_filter"], "Did you mean 'text_length_filter'?"),
    (["ops", "text_lenght_filter", "--json"], "Did you mean 'text_length_filter'?"), (["analyze", "nothing.jsonl"], "there is no such file or folder"),
    (["run", "r.yaml", "--np", "two"], "Invalid value for '--np'"), (["frobnicate"], "No such command"), (["why", "out"], "Missing argument"),
])
def test_a_mistake_of_the_asker_is_code_2_with_what_would_be_right(tamis, home, words, told):
    before = sorted(home.rglob("*"))
    said = tamis(*words)
    assert said.code == 2 and told in said.err and said.out == "" and "Traceback" not in said.err
    assert sorted(home.rglob("*")) == before, "nothing was done"


def test_every_mistake_of_a_recipe_with_its_line(tamis, home):
    text = RECIPE.replace("np: 1", "npp: 1").replace("min_len", "min_lne").replace("document_deduplicator", "document_dedup")
    (home / "r.yaml").write_text(text)
    said = tamis("run", "r.yaml")
    assert said.code == 2
    assert [line.strip().split(" ")[0] for line in said.err.splitlines()] == ["The", "r.yaml:4:", "r.yaml:6,", "r.yaml:7,"]
    assert "for 3 reasons" in said.err and "'document_dedup'. Did you mean 'document_deduplicator'?" in said.err


def test_broken_data_is_code_1_with_file_and_line(tamis, home):
    (home / "data" / "d.jsonl").write_text('{"id": "x", "text": "fine", "n": 1}\n{"id": "y", "text": "bro\n')
    said = tamis("run", "r.yaml")
    assert said.code == 1 and "d.jsonl, line 2" in said.err and "The data cannot be read" in said.err
    said = tamis("run", "r.yaml", "--set", "on_error={set_aside: 1}", "--set", "process.3.select_tokens=5", "--json")
    assert said.code == 0 and pure(said.out)["steps"][0]["left"] == {"error": 1}


def test_a_selection_that_cannot_be_made_is_code_1(tamis, home):
    (home / "data" / "d.jsonl").write_text('{"id": "x", "text": "long enough without a number"}\n')
    said = tamis("run", "r.yaml")
    assert said.code == 1 and "r.yaml, step 3 (random_selector): cost_key 'n' has no value in 1 of" in said.err


# ---- plan, ops

def test_plan_shows_stages_what_they_share_and_what_is_done(tamis, home):
    said = tamis("plan", "r.yaml")
    blocks = said.out.split("\n\n")
    assert blocks[0] == f"r.yaml: 1 file, {(home / 'data/c.jsonl').stat().st_size:,} bytes, 1 part; columns id, text, n"
    assert [b.split("  ")[0] for b in blocks[1:]] == ["stage 1 rows", "stage 2 dedup", "stage 3 select", "stage 4 export"]
    assert blocks[1].splitlines()[1:] == ["     read", "   1 text_length_filter(text)  -> text_len  stays: 20 <= v"]
    assert "  done" not in said.out and not (home / "out").exists()
    tamis("run", "r.yaml")
    assert tamis("plan", "r.yaml").out.count("  done") == 4
    assert tamis("plan", "r.yaml", "--set", "process.3.select_tokens=50").out.count("  done") == 2


def test_plan_shows_resources_with_their_hash_and_what_was_ignored(tamis, home):
    (home / "r.yaml").write_text("dataset_path: data\nuse_cache: true\nprocess:\n  - stopwords_filter:\n  - flagged_words_filter:\n")
    said = tamis("plan", "r.yaml")
    assert "one pass over the text, shared: words" in said.out
    assert re.search(r"stopwords: \S+tables\S* sha256 [0-9a-f]{16}\n", said.out) and "note: r.yaml:2: 'use_cache' is Data-Juicer's" in said.out


def test_plan_as_json_has_the_fingerprints_that_the_run_has(tamis):
    planned, ran = pure(tamis("plan", "r.yaml", "--json").out), pure(tamis("run", "r.yaml", "--json").out)
    assert [s["fingerprint"] for s in planned["stages"]] == [s["fingerprint"] for s in ran["stages"]]
    assert planned["inputs"][0]["digest"] == ran["inputs"][0]["digest"]


def test_ops_lists_everything_and_shows_one_whole(tamis):
    listed, told = tamis("ops"), pure(tamis("ops", "--json").out)
    assert [r["name"] for r in told] == steps.known_names() and all(r["what"] for r in told)
    assert all(name in listed.out for name in steps.known_names()) and "words  " not in [line[:7] for line in listed.out.splitlines()]
    one = tamis("ops", "alphanumeric_filter")
    doc = catalog.by_name("alphanumeric_filter").summary
    assert doc in one.out and "min_ratio: a number, default 0.25" in one.out
    assert pure(tamis("ops", "alphanumeric_filter", "--json").out)[0]["name"] == "alphanumeric_filter"


# ---- why, verify, analyze

def test_why_tells_of_a_row_by_its_id_its_place_and_another_column(tamis):
    tamis("run", "r.yaml")
    stories = [tamis("why", "out", "copy"), tamis("why", "out", "#21"), tamis("why", "out", "c.jsonl#21")]
    assert {(s.code, s.out) for s in stories} == {(0, stories[0].out)}
    assert "duplicate" in stories[0].out and "It left at step 2 (document_deduplicator)" in stories[0].out
    assert tamis("why", "out", "2", "--key", "n").out.startswith("c.jsonl:")


@pytest.mark.parametrize(("words", "told"), [
    (["out", "nobody"], "no row 'nobody'"), (["out", "#99"], "line 99"), (["data", "d1"], "is not the folder of a finished run"),
    (["nowhere", "d1"], "there is no such folder"), (["out", "d1", "--key", "idd"], "no row 'd1'"),
])
def test_why_of_what_is_not_there_is_code_1(tamis, words, told):
    tamis("run", "r.yaml")
    said = tamis("why", *words)
    assert said.code == 1 and told in said.err and said.out == ""


def test_verify_is_0_for_a_sound_run_and_1_for_a_changed_one(tamis, home):
    tamis("run", "r.yaml")
    sound, told = tamis("verify", "out"), tamis("verify", "out", "--json")
    assert sound.code == told.code == 0 and all(line.startswith("ok ") for line in sound.out.splitlines())
    assert [f["level"] for f in pure(told.out)] == ["ok"] * len(sound.out.splitlines())
    (home / "data" / "c.jsonl").write_text("{}\n")
    warned = tamis("verify", "out")
    assert warned.code == 0 and "\nwarn " in warned.out, "the result still stands"
    shard = home / "out" / "data" / "part-00000.parquet"
    pq.write_table(pq.read_table(shard).slice(1), shard)
    broken, told = tamis("verify", "out"), tamis("verify", "out", "--json")
    assert broken.code == told.code == 1 and "fail " in broken.out
    assert "fail" in {f["level"] for f in pure(told.out)}
    assert tamis("verify", "nowhere").code == 1


def test_analyze_prints_a_table_and_leaves_a_recipe_that_runs(tamis, home):
    said = tamis("analyze", "data", "--out", "an")
    assert said.code == 0 and "text_len" in said.out and "an/analysis.html" in said.out and "null" not in said.out
    assert tamis("plan", "an/suggested.yaml").code == 0
    told = pure(tamis("analyze", "r.yaml", "--out", "an2", "--json").out)
    assert [n["stat"] for n in told["numbers"]] == ["text_len"] and told["rows"] == 21
    assert [s["op"] for s in told["skipped"]] == ["document_deduplicator", "random_selector"]


# ---- the real command

def real(home: Path, *words: str, **environment: str) -> Said:
    done = subprocess.run([sys.executable, "-m", "tamis", *words], cwd=home, capture_output=True, text=True, encoding="utf-8",
                          env={k: v for k, v in os.environ.items() if k not in ("COLUMNS", "FORCE_COLOR")} | environment)
    return Said(done.returncode, done.stdout, done.stderr)


def test_a_narrow_pipe_cuts_no_number_and_has_no_colours(home):
    said = real(home, "run", "r.yaml", COLUMNS="40", TERM="xterm-256color")
    assert said.code == 0 and not CONTROL.search(said.out + said.err)
    line = next(x for x in said.out.splitlines() if re.match(r"\s*1 ", x))
    assert re.findall(r"\d+", line) == ["1", "21", "3", "18"] and len(line) <= 40
    names = "".join(x[2:18].strip() for x in said.out.splitlines())
    assert "document_deduplicator" in names.replace(" ", "") or "document_dedup" in said.out
    told = real(home, "why", "out", "copy", COLUMNS="40")
    assert told.code == 0 and "duplicate" in told.out


def test_the_command_s_code_and_streams(home):
    said = real(home, "run", "nothing.yaml")
    assert said.code == 2 and said.out == "" and "Traceback" not in said.err and "no such recipe" in said.err
    told = real(home, "run", "r.yaml", "--json", PYTHONWARNINGS="error::DeprecationWarning:tamis")
    assert told.code == 0 and told.err == "" and pure(told.out)["rows_in"] == 21
