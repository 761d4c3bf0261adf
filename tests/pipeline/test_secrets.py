"""Passwords and signatures in URLs: used to read, and found again in nothing that is written, printed or raised."""

import functools
import http.server
import json
import re
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

pytest.importorskip("aiohttp")
from tamis.pipeline import cli, plan, pool, recipe, steps, verify, why
from tamis.pipeline.corpus import discover
from tamis.pipeline.errors import RecipeError, TamisError
from tamis.pipeline.formats.places import asking, shown_all
from tamis.pipeline.run import run
from tamis.pipeline.workspace import Place

SECRETS = ("hunter2", "topsecret", "alice")
ROWS = [{"text": "a text that is long enough", "id": "a"}, {"text": "short", "id": "b"}, {"text": "a text that is long enough", "id": "c"}]


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *args: Any) -> None:
        """Nothing."""


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, str]]:
    """A folder, and the address under which it is served on the loopback."""
    folder = tmp_path_factory.mktemp("served")
    (folder / "sub").mkdir()
    for name in ("a.jsonl", "sub/b.jsonl"):
        (folder / name).write_text("".join(json.dumps(r) + "\n" for r in ROWS))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield folder, f"alice:hunter2@127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def asked(address: str, out: Path, **keys: Any) -> dict[str, Any]:
    words = {"dataset_path": f"http://{address}/a.jsonl?Signature=topsecret", "export_path": str(out), "np": 1, "keep_stats_in_res_ds": True,
             "process": [{"text_length_filter": {"min_len": 10}}, "document_deduplicator"]}
    return words | keys


def leaks(text: str) -> list[str]:
    return [s for s in SECRETS if s in text]


def test_what_a_run_writes_holds_none(served: tuple[Path, str], tmp_path: Path) -> None:
    told = run(asked(served[1], tmp_path / "out"))
    assert (told["rows_in"], told["rows_out"]) == (3, 1)
    files = [p for p in (tmp_path / "out").rglob("*") if p.is_file()]
    assert len(files) > 10
    assert [(p.name, s) for p in files for s in SECRETS if s.encode() in p.read_bytes()] == []
    host = served[1].partition("@")[2]
    assert told["recipe"]["dataset_path"] == [f"http://{host}/a.jsonl"] == [told["inputs"][0]["path"]]
    assert yaml.safe_load((tmp_path / "out" / "recipe.yaml").read_text())["dataset_path"] == [f"http://{host}/a.jsonl"]
    assert f"from http://{host}/a.jsonl." in (tmp_path / "out" / "README.md").read_text()
    assert [i["source"] for i in told["inputs"]] == ["a.jsonl"], "a query is no part of a name"
    assert run(asked(served[1], tmp_path / "out"))["timing"][0]["reused"]
    assert not [f for f in verify.check(tmp_path / "out") if f.level == "fail"]
    assert why.story(tmp_path / "out", "c").left_at == 2


def test_what_a_pool_writes_holds_none_and_is_finished_all_the_same(served: tuple[Path, str], tmp_path: Path) -> None:
    """The batch is begun by one process and finished by another, whose recipe has the password again."""
    words = asked(served[1], tmp_path / "pool", dataset_path=[f"http://{served[1]}/a.jsonl?Signature=topsecret", str(served[0] / "sub")])
    (tmp_path / "r.yaml").write_text(yaml.safe_dump(words))
    batch = pool.begin(tmp_path / "r.yaml")
    assert batch is not None and yaml.safe_load(batch.read_text())["dataset_path"][0] == f"http://{served[1].partition('@')[2]}/a.jsonl"
    assert list(pool.unwritten(recipe.load(tmp_path / "r.yaml"), batch)) == ["dataset_path"]
    told = pool.refresh(tmp_path / "r.yaml")
    assert (told["files"], told["rows_in"], told["rows_out"]) == (2, 6, 1) and pool.refresh(tmp_path / "r.yaml")["batches"] == []
    files = [p for p in (tmp_path / "pool").rglob("*") if p.is_file()]
    assert len(files) > 12 and [(p.name, s) for p in files for s in SECRETS if s.encode() in p.read_bytes()] == []
    assert pool.unwritten(recipe.load(words | {"dataset_path": "x"})) == {}


def test_a_web_address_reads_as_the_disk_does(served: tuple[Path, str], tmp_path: Path) -> None:
    near = run(asked("", tmp_path / "near", dataset_path=str(served[0] / "a.jsonl")))
    far = run(asked(served[1], tmp_path / "far"))
    assert far["content_hash"] == near["content_hash"] and far["steps"] == near["steps"]
    several = discover([f"http://{served[1]}/a.jsonl", f"http://{served[1]}/sub/b.jsonl"], base=tmp_path)
    assert [s.source for s in several] == ["a.jsonl", "sub/b.jsonl"]
    with pytest.raises(RecipeError, match="more than one file would have the same name"):
        discover([f"http://{served[1]}/a.jsonl?part=1", f"http://{served[1]}/a.jsonl?part=2"], base=tmp_path)


@pytest.mark.parametrize("words", [["plan"], ["plan", "--json"], ["run"], ["run", "--json"], ["assets"], ["analyze"], ["submit", "--print", "--installed"]])
def test_what_commands_print_holds_none(
    served: tuple[Path, str], tmp_path: Path, words: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "r.yaml").write_text(yaml.safe_dump(asked(served[1], tmp_path / "out")))
    monkeypatch.setattr(sys, "argv", ["tamis", words[0], "r.yaml", *words[1:]])
    with pytest.raises(SystemExit) as e:
        cli.main()
    told = capsys.readouterr()
    assert not e.value.code and leaks(told.out + told.err) == []


@pytest.mark.parametrize(("answer", "told"), [
    ("403", "cannot be listed .*403"), ("500", "cannot be listed .*500"), ("302", "cannot be listed"), ("no length", "does not tell how large"),
    ("breaks off", "the file stream breaks off"),
])
@pytest.mark.parametrize("words", [["plan", "r.yaml"], ["run", "r.yaml"]])
def test_a_server_that_refuses_or_breaks_off_is_told_and_no_secret_with_it(
    served: tuple[Path, str], tmp_path: Path, answer: str, told: str, words: list[str],
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:
    def odd(self: Any) -> None:
        body = b'{"text": "a"}\n' * 9 if answer in ("no length", "breaks off") else b""
        self.send_response(200 if body else int(answer))
        self.send_header("Location", self.path)
        if answer != "no length":
            self.send_header("Content-Length", str(2 * len(body)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)
        self.close_connection = True

    for method in ("do_GET", "do_HEAD"):
        monkeypatch.setattr(Quiet, method, odd)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "r.yaml").write_text(yaml.safe_dump(asked(served[1], tmp_path / "out")))
    monkeypatch.setattr(sys, "argv", ["tamis", *words])
    with pytest.raises(SystemExit) as e:
        cli.main()
    said = capsys.readouterr()
    assert e.value.code in (1, 2) and re.search(told, " ".join(said.err.split())) and leaks(said.out + said.err) == []


def test_what_a_library_of_a_store_raises_is_an_oserror_without_secrets() -> None:
    aiohttp = pytest.importorskip("aiohttp")
    with pytest.raises(OSError, match="^bucket host, https://host/a$") as e, asking("s3://alice:hunter2@host/a"):
        raise aiohttp.ClientError("bucket alice:hunter2@host,\n https://bob:x@host/a?Signature=topsecret")
    assert e.value.__suppress_context__
    with pytest.raises(OSError, match="^a@b$"), asking("http://host/a"):
        raise aiohttp.ClientError("a@b")
    with pytest.raises(ZeroDivisionError), asking("http://host/a"):
        1 / 0


@pytest.mark.parametrize("path", [
    "nothing.jsonl", "a.pdf?Signature=topsecret", "sub/*.txt", "a.jsonl?Signature=topsecret&x=a.b/c.parquet",
])
def test_no_message_of_the_plan_holds_any(served: tuple[Path, str], tmp_path: Path, path: str) -> None:
    keys = {"text_keys": "body"} if "c.parquet" in path else {}
    with pytest.raises(TamisError) as e:
        run(asked(served[1], tmp_path / "out", dataset_path=f"http://{served[1]}/{path}", **keys))
    assert leaks(str(e.value)) == [] and ("dataset_path" in str(e.value) or "text_keys asks for 'body'" in str(e.value))


@pytest.mark.parametrize("words", [
    {"dataset_path": "s3://alice:hunter2@bucket/a.jsonl", "export_path": "s3://alice:hunter2@bucket/out"},
    {"dataset_path": "0.5 nosuch://alice:hunter2@a/a.jsonl 0.5 nosuch://alice:hunter2@b/b.jsonl"},
    {"dataset_path": ["nosuch://alice:hunter2@a/a.jsonl", "nosuch://alice:hunter2@b/b.jsonl"]},
    {"dataset_path": "x.jsonl", "process": [{"document_deduplicator": {"remember": "s3://alice:hunter2@bucket/index"}}]},
])
def test_no_message_about_places_holds_any(words: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "x.jsonl").write_text(json.dumps(ROWS[0]) + "\n")
    with pytest.raises(TamisError) as e:
        if "export_path" in words:
            Place.of(words["export_path"])
        plan.make(recipe.load(words))
    assert leaks(str(e.value)) == []


def test_urls_in_settings_are_described_without_them() -> None:
    """A mixture's sets: the recipe as it is run has the passwords, what is told of it has not."""
    paths = ["https://alice:hunter2@host/a.jsonl?Signature=topsecret", ["b.jsonl", "s3://alice:hunter2@bucket/c.jsonl"]]
    loaded = recipe.load({"dataset_path": "x", "process": [{"mixture_selector": {"paths": paths, "weights": [1.0, 2.0], "max_sample_num": 3}}]})
    assert not leaks(json.dumps(loaded.process[0].describe()) + recipe.dump(loaded, public=True))
    assert recipe.words(loaded, public=True)["process"][0]["mixture_selector"]["paths"] == [
        "https://host/a.jsonl", ["b.jsonl", "s3://bucket/c.jsonl"]]
    assert recipe.words(loaded)["process"][0]["mixture_selector"]["paths"] == paths


def test_only_what_names_a_place_is_shortened() -> None:
    """A pattern may look like a URL, and is the setting of an operator."""
    pattern = r"https?://[^\s@]+@x\?y"
    step, wrong, _ = steps.build(1, "clean_links_mapper", {"pattern": pattern}, "text")
    assert step is not None and not wrong and step.describe()["settings"]["pattern"] == pattern
    assert shown_all(["ftp://u:p@h/x", ("a", 3, None)]) == ["ftp://h/x", ["a", 3, None]]
