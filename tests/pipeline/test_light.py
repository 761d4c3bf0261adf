"""Starting light: the command loads neither pandas nor scipy, and whoever needs them afterwards has them."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tamis.pipeline.light import without

HEAVY = ("pandas", "scipy", "torch", "ftfy", "fsspec")


def in_a_process(code: str, *words: str) -> str:
    return subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, check=True).stdout


def test_a_run_by_the_command_loads_nothing_that_it_does_not_use(tmp_path: Path) -> None:
    (tmp_path / "in.jsonl").write_text('{"text": "one two three"}\n{"text": "x"}\n')
    recipe = {"dataset_path": "in.jsonl", "export_path": "out", "np": 1, "process": [{"text_length_filter": {"min_len": 3}}, "words_num_filter"]}
    (tmp_path / "r.yaml").write_text(json.dumps(recipe))
    told = in_a_process(
        "import gc, sys, atexit\n"
        f"atexit.register(lambda: print([m for m in {HEAVY} if m in sys.modules], gc.isenabled(), gc.get_freeze_count() > 100_000))\n"
        "from tamis.pipeline.start import main\nmain()", "run", str(tmp_path / "r.yaml"), "--json")
    manifest, loaded = told.splitlines()
    assert json.loads(manifest)["rows_in"] == 2
    assert loaded == "[] True True"


def test_what_was_not_loaded_can_be_used_afterwards() -> None:
    """A user's function in a worker may use pandas and compiled matrix products."""
    told = in_a_process("""
from tamis.pipeline import light
light.load()
import sys
assert "pandas" not in sys.modules and "scipy" not in sys.modules
import numba, numpy as np, pyarrow as pa
frame = pa.table({"a": [1, 2]}).to_pandas()
print(frame["a"].sum(), pa.Table.from_pandas(frame).num_rows, pa.array(frame["a"]).to_pylist())
print(numba.njit(lambda a: np.dot(a, a))(np.eye(2)).sum())
""")
    assert told.splitlines() == ["3 2 [1, 2]", "2.0"]


def test_a_library_is_missing_in_the_block_alone() -> None:
    sys.modules.pop("colorsys", None)
    before = list(sys.meta_path)
    with without("colorsys"):
        with pytest.raises(ModuleNotFoundError, match="colorsys is not loaded now"):
            __import__("colorsys")
        assert __import__("json") is json
    assert __import__("colorsys") and sys.meta_path == before
    sys.modules.pop("wsgiref.headers", None)
    import wsgiref

    with without("wsgiref"), pytest.raises(ModuleNotFoundError, match="wsgiref.headers is not loaded now"):
        __import__("wsgiref.headers")
    assert wsgiref
    with without("colorsys"):
        assert __import__("colorsys"), "what is loaded already is left as it is"


def test_workers_load_light(tmp_path: Path) -> None:
    for i in range(2):
        (tmp_path / f"{i}.jsonl").write_text('{"text": "one two three"}\n' * 3)
    (tmp_path / "mine.py").write_text(
        "import sys\n\ndef process_single(sample):\n    sample['text'] = str([m in sys.modules for m in ('pandas', 'scipy.linalg')])\n    return sample\n")
    (tmp_path / "run.py").write_text(
        "import sys\nfrom tamis.pipeline.run import run\n"
        "run({'dataset_path': sys.argv[1], 'suffixes': ['.jsonl'], 'export_path': sys.argv[1] + '/../out.jsonl', 'np': 2, 'allow_code': True,"
        " 'process': [{'python_file_mapper': {'file_path': sys.argv[1] + '/mine.py'}}]})\n")
    subprocess.run([sys.executable, str(tmp_path / "run.py"), str(tmp_path)], check=True, capture_output=True)
    made = [json.loads(line)["text"] for line in (tmp_path / "../out.jsonl").resolve().read_text().splitlines()]
    assert made == ["[False, False]"] * 6
