"""`tamis lake` and `tamis run` on the bundled lake: what people see, the report, the files; the docs name every command."""

import html
import json
import re
import shutil
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from planted_lake import plant, write
from typer.testing import CliRunner

from tamis.pipeline import plan, recipe
from tamis.pipeline.cli import app, main
from tamis.pipeline.errors import RecipeError, StaleError
from tamis.pipeline.lake.cli import app as lake_app
from tamis.pipeline.lake.graph import Graph
from tamis.pipeline.lake.picture import families
from tamis.pipeline.lake.settings import STEP
from tamis.pipeline.run import run

ROOT = Path(__file__).parents[2]


@pytest.fixture
def lake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copytree(ROOT / "recipes" / "data" / "lake", tmp_path / "data" / "lake")
    shutil.copy(ROOT / "recipes" / "lake.yaml", tmp_path / "lake.yaml")
    monkeypatch.chdir(tmp_path)
    return tmp_path / "data" / "lake"


def call(*words: str) -> str:
    done = CliRunner().invoke(app, list(words), env={"COLUMNS": "160"})
    assert done.exit_code == 0, (done.output, done.exception)
    return done.output


def test_the_whole_way_by_commands(lake: Path) -> None:
    assert "containments in outputs/lake" in call("lake", "scan", "lake.yaml")
    told = call("lake", "plan")
    assert "cities_names.csv" in told and "gap 0" in told and "cities.csv  " not in told.split("comes back as")[0]
    assert "moved: orders_backup.jsonl" in call("lake", "apply")
    assert not (lake / "orders_backup.jsonl").exists()
    assert "fingerprint verified" in call("lake", "restore", "orders_backup.jsonl")
    assert "moved back" in call("lake", "restore", "cities_names.csv", "--from-trash")
    rest = call("lake", "restore", "--all")
    assert rest.count("fingerprint verified") == 2 and "2 tables restored" in rest and sum(p.is_file() for p in lake.iterdir()) == 7
    assert "0 tables restored" in call("lake", "restore", "--all")
    assert call("lake", "report").strip() == "outputs/lake/report.html"
    page = Path("outputs/lake/report.html").read_text("utf-8")
    assert "<svg" in page and "orders_backup.jsonl" in page and "Every row" in page
    certificates = [json.loads(x) for x in Path("outputs/lake/certificates.jsonl").read_text("utf-8").splitlines()]
    assert len(certificates) == 8 and all(c["missing"] == 0 and c["when"] and c["tamis"] and c["hash"] for c in certificates)


def test_run_scans_and_plans_and_deletes_nothing(lake: Path) -> None:
    before = sorted(p.name for p in lake.iterdir())
    manifest = run("lake.yaml", np=1)
    assert manifest["tables"] == 7 and manifest["deleted"] == 4 and sorted(p.name for p in lake.iterdir()) == before
    assert "7 tables" in call("run", "lake.yaml")
    assert plan.make(recipe.load("lake.yaml")).stages[0].kind == "tables"


def test_a_path_with_settings(lake: Path) -> None:
    told = json.loads(call("lake", "scan", str(lake), "--out", "out", "--set", "tolerance=0.2", "--set", "np=1", "--json"))
    assert told["settings"]["tolerance"] == 0.2 and len(told["tables"]) == 7
    assert any(d["table"] == "cities_as_revised.csv" for d in json.loads(call("lake", "plan", "out", "--set", "storage_price=99", "--json"))["delete"])


@pytest.mark.parametrize("words", [["plan"], ["apply"], ["report"], ["restore", "orders_backup.jsonl", "--run"]])
def test_a_mistyped_run_is_not_taken_for_another(lake: Path, words: list[str]) -> None:
    call("lake", "scan", "lake.yaml")
    call("lake", "plan")
    before = sorted(p.name for p in lake.iterdir())
    for typo in ("outputs/lakes", str(lake)):
        done = CliRunner().invoke(app, ["lake", *words, typo])
        assert isinstance(done.exception, RecipeError) and f"{typo}: no lake has been scanned there" in str(done.exception)
    assert sorted(p.name for p in lake.iterdir()) == before


def test_a_run_is_the_same_from_everywhere(lake: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    call("lake", "scan", "lake.yaml")
    call("lake", "plan")
    (tmp_path / "else" / "data").mkdir(parents=True)
    shutil.copytree(lake, tmp_path / "else" / "data" / "lake")
    shutil.copy("lake.yaml", tmp_path / "else")
    monkeypatch.chdir(tmp_path / "else")
    call("lake", "scan", "lake.yaml")
    call("lake", "plan")
    call("lake", "apply", str(tmp_path / "outputs" / "lake"))
    assert not (lake / "orders_backup.jsonl").exists() and Path("data/lake/orders_backup.jsonl").exists()


def test_labels_do_not_run_into_each_other_or_lines(lake: Path) -> None:
    found = load_graph_of(lake.parent / "deep", [f"{'long_name_' * 5}{i}.parquet" for i in range(6)])
    page = families(found, {})[0][0].drawn
    starts = [float(x) for x in re.findall(r'd="M([0-9.]+)', page)]
    labels = sorted((float(x), len(html.unescape(words))) for x, words in re.findall(r'class="label" x="([0-9.]+)"[^>]*>([^<]*)<', page))
    assert len(labels) == 6 and len(starts) == 5
    for (x, letters), (following, _) in pairwise(labels):
        assert x + letters * 6.5 < following - 12  # 12.5 px letters are 6 to 7 wide
        assert any(x + letters * 6.5 <= start < following for start in starts)


def load_graph_of(folder: Path, names: list[str]) -> Graph:
    """A chain of tables, each in all before it."""
    tables = [{"name": n, "kind": "parquet", "rows": 1, "bytes": 1, "token": "", "version": None, "columns": 1} for n in names]
    edges = np.array([(p, c) for p in range(len(names)) for c in range(p + 1, len(names))], np.int64)
    ones = np.ones(len(edges), np.int64)
    return Graph(folder, "", tables, [], [], edges[:, 0], edges[:, 1], ones * 0, ones, ones, ones)


def test_rows_and_tables_do_not_mix(lake: Path) -> None:
    with pytest.raises(RecipeError, match="must be the only step"):
        run({"dataset_path": str(lake), "process": [STEP.name, {"text_length_filter": {}}]})
    with pytest.raises(RecipeError, match="Did you mean 'tolerance'"):
        recipe.load({"dataset_path": str(lake), "process": [{STEP.name: {"tolerence": 0.1}}]})


def test_the_docs_name_every_command_and_setting() -> None:
    text = (ROOT / "docs" / "lake.md").read_text("utf-8")
    for command in lake_app.registered_commands:
        assert f"tamis lake {command.name}" in text, command.name
    for name in STEP.settings:
        assert f"`{name}`" in text, name


def test_a_report_escapes_what_the_lake_is_called(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = tmp_path / "lake"
    write(plant(2, bases=1, rows=20), root)
    (root / "base0_copy.parquet").rename(root / "<script>alert(1)<script>.parquet")
    (root / "<b>broken.parquet").write_bytes(b"no")
    monkeypatch.chdir(tmp_path)
    call("lake", "scan", str(root), "--out", "out")
    call("lake", "plan", "out")
    page = (tmp_path / "out" / "report.html").read_text("utf-8")
    assert "<script>" not in page and "<b>" not in page and "&lt;script&gt;" in page


def complaint(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str]:
    """Exit code and what stands on standard error, of the console command."""
    monkeypatch.setattr("sys.argv", ["tamis", "lake", *words])
    with pytest.raises(SystemExit) as end:
        main()
    return int(end.value.code or 0), " ".join(capsys.readouterr().err.split())


def test_errors_bear_titles_that_fit(lake: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def said(*words: str) -> tuple[int, str]:
        return complaint(monkeypatch, capsys, *words)

    code, told = said("plan", "nowhere")
    assert code == 2 and told.startswith("This cannot be done: nowhere: no lake has been scanned there")
    assert said("scan", "nowhere")[1].startswith("This cannot be done: nowhere: there is no such folder")
    call("lake", "scan", "lake.yaml")
    assert said("apply")[1].startswith("This cannot be done: outputs/lake: there is no plan")
    call("lake", "plan")
    (lake / "cities_names.csv").touch()
    code, told = said("apply")
    assert code == 1 and told.startswith("Stopped: cities_names.csv: has changed since the lake was scanned")
    assert said("restore", "cities_names.csv")[1].startswith("This cannot be done: cities_names.csv: no such table is in the trash")
    assert said("restore")[1].startswith("This cannot be done: name the table that shall come back, or say --all")
    assert said("restore", "outputs/lake", "--all")[1].endswith("named so: tamis lake restore --all --run outputs/lake")
    Path("lake.yaml").write_text("dataset_path: data/lake\nprocess: [{table_containment_deduplicator: {epsilon: 2.0}}]\n")
    assert said("scan", "lake.yaml")[1].startswith("The recipe cannot be run: table_containment_deduplicator: epsilon lies between")


def test_what_a_scan_decides_is_not_set_by_a_plan(lake: Path) -> None:
    for words in (["scan", str(lake), "--set", "tolerence=0.3"], ["scan", str(lake), "--set", "nonsense=1"]):
        done = CliRunner().invoke(app, ["lake", *words])
        assert isinstance(done.exception, RecipeError) and "there is no such setting" in str(done.exception)
    call("lake", "scan", "lake.yaml")
    for setting in ("tolerance=0.3", "missing_values=empty", "seed=3", "trash=_bin"):
        done = CliRunner().invoke(app, ["lake", "plan", "--set", setting])
        assert isinstance(done.exception, RecipeError) and f"another {setting.partition('=')[0]}: scan again" in str(done.exception)
    call("lake", "plan", "--set", "storage_price=99")


def test_what_cannot_come_back_is_named_and_the_rest_comes(lake: Path) -> None:
    call("lake", "scan", "lake.yaml")
    call("lake", "plan")
    call("lake", "apply")
    (lake / "cities_names.csv").write_text("mine")
    done = CliRunner().invoke(app, ["lake", "restore", "--all"], env={"COLUMNS": "160"})
    assert "stays deleted: cities_names.csv: something else lies there now" in done.output and "3 tables restored" in done.output
    assert isinstance(done.exception, StaleError) and "1 table could not be restored" in str(done.exception)


def test_a_plan_of_a_lake_that_has_been_cleaned_says_so(lake: Path) -> None:
    call("lake", "scan", "lake.yaml")
    assert "left the lake" not in call("lake", "plan")
    call("lake", "apply")
    assert "4 of these tables have left the lake since it was scanned" in call("lake", "plan")


def test_a_certificate_records_what_was_cast(lake: Path) -> None:
    call("lake", "scan", "lake.yaml")
    told = [json.loads(x) for x in Path("outputs/lake/certificates.jsonl").read_text("utf-8").splitlines()]
    casts = {(c["parent"], c["child"]): c["casts"] for c in told}
    assert casts["orders.jsonl", "orders_small.csv"] == {"order": ["int64", "string"], "price": ["double", "string"]}
    assert casts["cities.csv", "cities_eu.csv"] == {}
