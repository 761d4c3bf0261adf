"""What a new user reads at the terminal: interruptions, names that are not there, progress, counts."""

import io
import os
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pyarrow as pa
import pytest
from rich.console import Console
from rich.progress import Progress, TextColumn
from typer.testing import CliRunner

from tamis.pipeline import display, run, why
from tamis.pipeline.cli import app
from tamis.pipeline.errors import ReadError, RecipeError
from tamis.pipeline.run import apply

TAMIS = [sys.executable, "-c", "from tamis.pipeline.cli import main; main()"]


def recipe(folder: Path, rows: str, more: str = "") -> Path:
    (folder / "rows.jsonl").write_text(rows, "utf-8")
    path = folder / "r.yaml"
    path.write_text(f"dataset_path: {folder}/rows.jsonl\nexport_path: {folder}/out\n{more}", "utf-8")
    return path


def test_an_interruption_says_how_to_go_on() -> None:
    code = ("import os, signal\nfrom tamis.pipeline import cli\n"
            "cli.plan.make = lambda *a: os.kill(os.getpid(), signal.SIGINT)\n"
            "cli.recipe.load = lambda *a, **k: None\ncli.main()")
    done = subprocess.run([sys.executable, "-c", code, "plan", "any.yaml"], capture_output=True, text=True, check=False)
    assert done.returncode == 128 + signal.SIGINT
    assert "Interrupted. What is done is kept" in done.stderr
    assert "Traceback" not in done.stderr


def test_an_unknown_operator_is_no_fault_of_a_recipe() -> None:
    done = subprocess.run([*TAMIS, "ops", "alphanumerc_filter"], capture_output=True, text=True, check=False, env={**os.environ, "COLUMNS": "200"})
    assert done.returncode == 2
    assert "recipe" not in done.stderr
    assert "Did you mean 'alphanumeric_filter'?" in done.stderr


def test_the_version_is_told() -> None:
    told = CliRunner().invoke(app, ["--version"])
    assert told.exit_code == 0
    assert told.stdout.startswith("tamis ")


@pytest.mark.parametrize("passes", [1, 2, 3])
def test_no_stage_is_ticked_before_its_end(passes: int) -> None:
    bars = Progress(TextColumn("x"), disable=True)
    watcher = display._Bars(bars)
    stage = SimpleNamespace(index=2, kind="dedup", steps=[])
    watcher.begin(stage, 3)  # type: ignore[arg-type]
    for _ in range(3 * passes):
        watcher.advance({"rows": 10})
        assert not bars.tasks[-1].finished
    watcher.end(stage, {"rows_in": 30, "rows_out": 30}, 1.0, False)  # type: ignore[arg-type]
    assert bars.tasks[-1].finished


def test_a_second_pass_is_not_part_17_of_8(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(display, "_PLAIN_EVERY", -1.0)
    console = Console(file=io.StringIO())
    watcher = display._Lines(console)
    watcher.begin(SimpleNamespace(index=2, kind="dedup", steps=[]), 2)  # type: ignore[arg-type]
    for _ in range(4):
        watcher.advance({})
    told = [line.split("  ")[1] for line in console.file.getvalue().splitlines()]  # type: ignore[attr-defined]
    assert told == ["part 1 of 2", "part 2 of 2", "part 1 of 2, pass 2", "part 2 of 2, pass 2"]


def test_one_row_too_many_is_one_row(tmp_path: Path) -> None:
    path = recipe(tmp_path, '{"text": "a"}\n{\n}\n', "on_error: {set_aside: 1}\nnp: 1\nprocess: [text_length_filter]\n")
    with pytest.raises(ReadError, match="more than 1 row could not"):
        run.run(path)


def test_why_says_a_thing_once(tmp_path: Path) -> None:
    process = "on_error: {set_aside: 1}\nnp: 1\nprocess:\n  - document_deduplicator\n  - text_length_filter: {min_len: 9}\n"
    path = recipe(tmp_path, '{"text": "same"}\n{"text": "same"}\n{"text": "long enough to stay"}\n{broken\n', process)
    run.run(path)
    broken = why.text(why.story(tmp_path / "out", "#4"))
    assert broken.count("not JSON") == 1 and broken.endswith("It was not read.")
    twin = why.text(why.story(tmp_path / "out", "#2")).splitlines()
    shown = [line for line in twin if "rows.jsonl:0" in line]
    assert ["left later" in line for line in shown] == [True, False, True]


def test_what_apply_answers_is_shown_in_one_line() -> None:
    applied = run.apply([{"text_length_filter": {"min_len": 3}}], [{"text": "ab"}, {"text": "abc"}, {"text": None}])
    assert repr(applied) == "Applied(1 of 3 rows kept; left: 1 below the minimum, 1 no text)"
    assert repr(run.apply(["text_length_filter"], [{"text": "long enough to stay"}])) == "Applied(1 of 1 row kept)"


def test_a_language_is_asked_for_by_its_code(tmp_path):
    with pytest.raises(RecipeError, match="lang 'english' is no language that lid.176.ftz tells; it is a code such as en"):
        apply([{"language_id_score_filter": {"lang": "english"}}], [{"text": "x"}])
    assert apply([{"language_id_score_filter": {"lang": ["en", "de"], "min_score": 0.0}}], [{"text": "Das ist ein Haus."}]).table.num_rows == 1


@pytest.mark.parametrize("path", ["/", "~", "/tmp/.."])
def test_results_do_not_go_into_the_root_or_home_folder(path):
    with pytest.raises(RecipeError, match="results do not go there directly"):
        run.run({"dataset_path": "x.jsonl", "export_path": path, "process": []} | {"dataset_path": str(Path(__file__).parents[2] / "recipes/data/corpus.jsonl")})


def test_a_run_is_called_after_its_recipe(tmp_path):
    (tmp_path / "rows.jsonl").write_text('{"text": "a"}\n')
    (tmp_path / "nightly.yaml").write_text(f"dataset_path: {tmp_path}/rows.jsonl\nexport_path: {tmp_path}/out\nprocess: []\n")
    assert run.run(tmp_path / "nightly.yaml")["project_name"] == "nightly"


def test_a_data_frame_is_rows_too():
    class Frame:
        def __arrow_c_stream__(self, requested_schema=None):
            return pa.table({"text": ["a", "bcd"]}).__arrow_c_stream__(requested_schema)

    assert apply([{"text_length_filter": {"min_len": 2}}], Frame()).table.to_pylist() == [{"text": "bcd"}]
