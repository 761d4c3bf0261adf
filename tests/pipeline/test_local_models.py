"""Models and tokenizers on this machine: in which places they are looked for, in which order, and what is said where there is none."""

import importlib.util
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tamis.pipeline import assets, local_models, recipe, target_texts
from tamis.pipeline.errors import RecipeError
from tamis.pipeline.local_models import data_juicer_folders, find_folder, find_model, find_pieces, find_tokenizer

MODELS = Path(__file__).parents[1] / "golden" / "models"
WORDS = {"[UNK]": 0, "harbour": 1, "quiet": 2, "the": 3}


def tokenizer(path: Path, **model: Any) -> Path:
    """A tokenizer.json of whole words."""
    tokenizers = pytest.importorskip("tokenizers")
    made = tokenizers.Tokenizer(tokenizers.models.WordLevel(WORDS, unk_token="[UNK]"))
    made.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    made.enable_truncation(2)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(made.to_str())
    return path


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty home, in which all places are."""
    for name in ("HF_HUB_CACHE", "HF_HOME", "DATA_JUICER_CACHE_HOME", "DATA_JUICER_MODELS_CACHE", "DATA_JUICER_EXTERNAL_MODELS_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    return tmp_path


# ---- where

def test_data_juicers_folders_in_the_order_of_its_variables(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert data_juicer_folders("models") == [home / ".cache/data_juicer/models"]
    monkeypatch.setenv("DATA_JUICER_CACHE_HOME", "~/dj")
    assert data_juicer_folders("assets") == [home / "dj/assets"]
    monkeypatch.setenv("DATA_JUICER_MODELS_CACHE", str(home / "own"))
    monkeypatch.setenv("DATA_JUICER_EXTERNAL_MODELS_HOME", f"~/x{os.pathsep}{os.pathsep}{home / 'y'}")
    assert data_juicer_folders("models") == [home / "x", home / "y", home / "own", home / "dj/models"]
    assert data_juicer_folders("assets") == [home / "dj/assets"], "models are no assets"


PLACES: list[Callable[[Path], Path]] = [  # the later ones are looked at only where the earlier ones have nothing
    lambda home: home / "org/name" / "tokenizer.json",
    lambda home: home / ".cache/huggingface/hub/models--org--name/snapshots/b/tokenizer.json",
    lambda home: home / ".cache/huggingface/hub/models--org--name/snapshots/a/tokenizer.json",
    lambda home: home / ".cache/data_juicer/models/org/name/tokenizer.json",
]


def test_a_tokenizer_is_taken_from_the_first_place_that_has_one(home: Path) -> None:
    pytest.importorskip("tokenizers")
    for i, place in reversed(list(enumerate(PLACES))):
        tokenizer(place(home))
        assert find_tokenizer("org/name").resolve() == place(home), i
    assert find_tokenizer(str(PLACES[3](home))) == PLACES[3](home), "a file is itself"


@pytest.mark.parametrize(("variable", "folder"), [("HF_HUB_CACHE", "hub"), ("HF_HOME", "hf")])
def test_hugging_faces_cache_is_where_its_variables_say(home: Path, monkeypatch: pytest.MonkeyPatch, variable: str, folder: str) -> None:
    pytest.importorskip("tokenizers")
    monkeypatch.setenv(variable, f"{home}/{folder}" if variable == "HF_HUB_CACHE" else f"~/{folder}")
    inside = "hub/hub" if variable == "HF_HOME" else "hub"
    file = tokenizer(home / (folder if variable == "HF_HUB_CACHE" else f"{folder}/hub") / "models--x/snapshots/1/tokenizer.json")
    assert find_tokenizer("x") == file and inside
    file.unlink()
    (file.parent / "config.json").write_text("{}")
    assert find_folder("x", "config.json") == file.parent


def test_an_installed_package_carries_its_model(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (home / "site" / "my_model").mkdir(parents=True)
    (home / "site" / "my_model" / "__init__.py").touch()
    file = tokenizer(home / "site" / "my_model" / "model" / "tokenizer.json")
    monkeypatch.syspath_prepend(str(home / "site"))
    assert find_tokenizer("my-model") == file
    (file.parent / "config.json").write_text("{}")
    assert find_folder("my-model", "config.json") == file.parent


def test_what_is_nowhere_names_every_place_and_never_a_download(home: Path) -> None:
    pytest.importorskip("tokenizers")
    with pytest.raises(ValueError) as e:
        find_tokenizer("org/name")
    told = str(e.value)
    assert all(str(place(home).parent).partition("/snapshots")[0] in told for place in PLACES[1:]) and "tamis never downloads" in told
    with pytest.raises(ValueError, match=r"model 'org/name' is not on this machine; looked for config\.json in org/name, "):
        find_folder("org/name", "config.json")
    with pytest.raises(ValueError, match=r"no en\.arpa\.bin or en\.arpa in .*substitutes: \{OPERATOR: skip\}"):
        find_model(str(home), "en.arpa.bin", "en.arpa")
    (home / "notes.txt").write_text("{}")
    with pytest.raises(ValueError, match="looked for tokenizer.json"):
        find_tokenizer(str(home / "notes.txt"))  # a file that is no .json is no tokenizer


def test_of_several_names_the_first_and_of_several_folders_the_first(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATA_JUICER_EXTERNAL_MODELS_HOME", f"{home}/x{os.pathsep}{home}/y")
    for file in ("y/en.arpa.bin", "x/en.arpa"):
        (home / file).parent.mkdir(exist_ok=True)
        (home / file).touch()
    assert find_model(None, "en.arpa.bin", "en.arpa") == home / "x/en.arpa"
    (home / "x/en.arpa.bin").touch()
    assert find_model(None, "en.arpa.bin", "en.arpa") == home / "x/en.arpa.bin"
    assert find_model("~/y", "en.arpa.bin") == home / "y/en.arpa.bin"
    pytest.importorskip("sentencepiece")
    assert find_pieces("en.arpa") == home / "x/en.arpa" and find_pieces("~/y/en.arpa.bin") == home / "y/en.arpa.bin"
    with pytest.raises(ValueError, match=r"tokenizer_model 'nine': no such file; looked for nine, .*/x/nine, .*/y/nine"):
        find_pieces("nine")


@pytest.mark.parametrize(("call", "package", "extra"), [
    (lambda: find_tokenizer("x"), "tokenizers", "tokens"), (lambda: find_pieces("x"), "sentencepiece", "tokens"),
])
def test_a_library_that_is_not_installed_names_its_extra(call: Any, package: str, extra: str, monkeypatch: pytest.MonkeyPatch) -> None:
    real = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *rest: None if name == package else real(name, *rest))
    with pytest.raises(ValueError, match=rf"pip install 'tamis\[{extra}\]'"):
        call()


# ---- how they are read

def test_a_tokenizer_counts_whole_texts_and_keeps_what_it_does_not_know(tmp_path: Path) -> None:
    read = local_models.Tokenizer(str(tokenizer(tmp_path / "tokenizer.json")))
    texts = ["the quiet harbour the quiet", "", "the strange harbour ÄÖ"]
    assert read.counts(texts) == [5, 0, 4], "the file's own truncation is not for us"
    assert read.pieces(texts[2]) == ["the", "strange", "harbour", "ÄÖ"] and read.pieces("") == []
    assert read.encode("the harbour") == [3, 1] and read.decode([2, 1]) == "quiet harbour"


@pytest.mark.parametrize("text", ["{}", "[]", "5", "{"])
def test_a_file_that_is_no_tokenizer(tmp_path: Path, text: str) -> None:
    pytest.importorskip("tokenizers")
    (tmp_path / "tokenizer.json").write_text(text)
    with pytest.raises(ValueError):
        local_models.Tokenizer(str(tmp_path / "tokenizer.json"))


def test_files_that_are_no_models(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("no model")
    pytest.importorskip("sentencepiece")
    with pytest.raises(ValueError, match="it is no SentencePiece model"):
        local_models.SentencePieces(str(tmp_path / "x"))
    assert "".join(local_models.SentencePieces(str(MODELS / "en.sp.model")).pieces("A quiet harbour")).replace("▁", " ").strip() == "A quiet harbour"
    pytest.importorskip("kenlm")
    with pytest.raises(ValueError, match="it is no KenLM model"):
        local_models.NgramModel(str(tmp_path / "x"))


# ---- what a recipe needs

def needed(process: list[Any]) -> list[assets.Asset]:
    return assets.needed(recipe.load({"dataset_path": "x", "allow_code": True, "process": process}))


def test_assets_name_every_place_of_every_kind(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HOME", str(home / "hf"))
    found = needed([
        {"token_num_filter": {"hf_tokenizer": "org/tokens"}}, {"stopwords_filter": {"stopwords_dir": "lists"}},
        {"text_embedding_mapper": {"model": "no-such-model"}}, {"perplexity_filter": {"model_dir": "models"}},
        {"python_lambda_mapper": {"lambda_str": "lambda r: r"}}, "text_length_filter"])
    by_kind = {a.kind: a for a in found}
    assert set(by_kind) == {"tokenizer", "stopwords", "encoder", "sentencepiece", "kenlm"}, "code is no asset, and nothing needs none"
    assert by_kind["tokenizer"].looked == ("org/tokens", str(home / "hf/hub"), str(home / ".cache/data_juicer/models"))
    assert by_kind["stopwords"].looked == ("lists", "the lists that come with tamis") and not by_kind["stopwords"].missing
    assert by_kind["stopwords"].note.startswith("stopwords_dir lists is not there")
    assert by_kind["encoder"].looked[:2] == ("no-such-model", "package no_such_model (not installed)") and by_kind["encoder"].missing
    assert [a.step for a in found] == sorted(a.step for a in found) and all(a.note for a in found if a.missing)
    told = assets.text(found).splitlines()
    assert told[-1] == "1 of 5 at hand. The recipe cannot be run before the others are."
    assert sum("MISSING" in line for line in told) == 4
    assert assets.text([]) == "This recipe needs no word list and no model."
    whole = assets.text(needed(["stopwords_filter"])).splitlines()
    assert whole[-1] == "1 of 1 at hand." and whole[0].startswith("step 1 (stopwords_filter): stopwords: /")


def test_an_asset_that_is_missing_is_what_stops_the_plan(home: Path) -> None:
    """`assets` says before what the plan would say."""
    from tamis.pipeline.run import apply

    process = [{"token_num_filter": {"hf_tokenizer": "org/tokens"}}]
    (missing,) = needed(process)
    with pytest.raises(RecipeError) as e:
        apply(process, [{"text": "a"}])
    assert missing.note in str(e.value)


def test_target_texts_are_one_column_in_the_order_of_files_and_rows(tmp_path: Path) -> None:
    for name, texts in (("b", ["three", None]), ("a", ["one", "two"])):
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps({"q": t, "text": "no"}) + "\n" for t in texts))
    assert target_texts.load(target_texts.place(str(tmp_path)), "q") == ["one", "two", "three", None]
    with pytest.raises(ValueError, match="target_path 'nowhere': nothing lies there"):
        target_texts.place("nowhere")
    with pytest.raises(RecipeError, match="asks for 'quest'"):
        target_texts.load(str(tmp_path), "quest")
