"""The JVM on this machine dies in the middle of a run, as when memory is short: told in one line, and gone on from."""

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("pyspark")
from standalone import children, kill, wait_for

from tamis.pipeline.run import run

MAPPER = '''
import time
from pathlib import Path

def wait(row):
    while row["text"].startswith("last") and not Path(__file__).with_name("open").exists():
        Path(__file__).with_name("waits").touch()
        time.sleep(0.05)
    return row
'''


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("java") is None, reason="Spark needs Java")
def test_a_jvm_that_dies_is_told_in_one_line_and_the_next_run_goes_on(tmp_path: Path) -> None:
    for i, text in enumerate(["first text", "second text", "last text"]):
        (tmp_path / f"{i}.jsonl").write_text(json.dumps({"text": text}) + "\n")
    (tmp_path / "mapper.py").write_text(MAPPER)
    words = {
        "dataset_path": str(tmp_path / "*.jsonl"), "export_path": str(tmp_path / "out"), "allow_code": True, "np": 2,
        "process": [{"python_file_mapper": {"file_path": str(tmp_path / "mapper.py"), "function_name": "wait"}}],
    }
    (tmp_path / "recipe.yaml").write_text(json.dumps(words))
    command = [sys.executable, "-m", "tamis", "run", str(tmp_path / "recipe.yaml"), "--engine", "spark"]
    with (tmp_path / "log").open("w") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
    try:
        wait_for((tmp_path / "waits").exists, "the run does not come to the last row")
        for child in children(process.pid):
            if Path(f"/proc/{child}/comm").read_text().strip() == "java":
                os.kill(child, signal.SIGKILL)
        process.wait(60)
    finally:
        (tmp_path / "open").touch()
        kill(process)
    told = (tmp_path / "log").read_text()
    assert process.returncode == 1, told
    assert "Spark's own process on this machine has died" in told.splitlines()[-1], "whatever Spark's own threads had to say before"
    assert run(words)["rows_out"] == 3
