"""Operators of the user's own: files, folders, installed packages; what is wrong with them; how they travel to workers."""

import functools
import importlib.metadata
import pickle
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from tamis.operators.base import Operator
from tamis.pipeline import custom, plan, recipe, steps, user_code
from tamis.pipeline.errors import RecipeError
from tamis.pipeline.run import apply

HEAD = "import pyarrow as pa\nimport pyarrow.compute as pc\nfrom tamis.operators.base import COUNT, Range, filter, mapper\n"
UPPER = HEAD + '''
@mapper("upper_mapper")
def upper(text: pa.StringArray, *, last: str = "") -> pa.StringArray:
    """The text in capitals."""
    return pc.binary_join_element_wise(pc.utf8_upper(text), last, "")
'''


@pytest.fixture(autouse=True)
def forgotten() -> Any:
    yield
    custom._KNOWN.clear()


def written(folder: Path, name: str, text: str) -> str:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return str(path)


def problems(folder: Path, *paths: str) -> list[str]:
    return custom.register(paths, folder, steps.known_names())


@pytest.mark.parametrize(("text", "told"), [
    (None, "there is no own.py"), ("x = (", "own.py cannot be loaded: SyntaxError"), ("import nosuchmodule", "cannot be loaded: ModuleNotFoundError"),
    ("raise KeyError('x')", "cannot be loaded: KeyError"), ("assert False", "cannot be loaded: AssertionError"), ("y", "cannot be loaded: NameError"),
    ("", "own.py has no function marked as an operator"), ("from tamis.operators.filters.characters import *", "has no function marked"),
    (UPPER.replace("upper_mapper", "text_length_filter"), "own.py has an operator 'text_length_filter', which is ours; give it another name"),
])
def test_a_file_that_has_no_operator_of_its_own_is_told(tmp_path: Path, text: str | None, told: str) -> None:
    if text is not None:
        written(tmp_path, "own.py", text)
    (problem,) = problems(tmp_path, "own.py")
    assert problem.startswith("custom_operator_paths: ") and told in problem
    with pytest.raises(RecipeError, match="custom_operator_paths"):
        recipe.load({"dataset_path": "x", "allow_code": True, "custom_operator_paths": [str(tmp_path / "own.py")]})


def test_a_name_of_ours_stays_ours(tmp_path: Path) -> None:
    """The others of such a file are told apart, and ours is not replaced for this run or a later one."""
    path = written(tmp_path, "own.py", UPPER + UPPER.replace("upper_mapper", "fix_unicode_mapper").replace("def upper", "def other"))
    assert len(problems(tmp_path, path)) == 1 and custom.find("upper_mapper") is not None and custom.find("fix_unicode_mapper") is None


def test_several_mistakes_and_files_at_once(tmp_path: Path) -> None:
    good = written(tmp_path, "good.py", UPPER)
    written(tmp_path, "beside.py", UPPER.replace("upper", "lower"))
    assert problems(tmp_path, "nothing.py", good, "neither.py", "beside.py") == [
        "custom_operator_paths: there is no nothing.py", "custom_operator_paths: there is no neither.py"]
    assert sorted(custom._KNOWN) == ["lower_mapper", "upper_mapper"]
    assert problems(tmp_path, good) == [] and sorted(custom._KNOWN) == ["upper_mapper"], "a recipe has only what it names"


def test_a_file_is_named_from_here_or_beside_the_recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written(tmp_path / "recipes", "ops/own.py", UPPER)
    (tmp_path / "rows.jsonl").write_text('{"text": "abc"}\n')
    text = f"dataset_path: {tmp_path}/rows.jsonl\nallow_code: true\ncustom_operator_paths: ops/own.py\nprocess: [upper_mapper]\n"
    asked = recipe.load(written(tmp_path / "recipes", "r.yaml", text))
    assert asked.process[0].name == "upper_mapper" and asked.custom_operator_paths == ("ops/own.py",)
    monkeypatch.chdir(tmp_path)
    written(tmp_path, "ops/own.py", UPPER.replace("upper_mapper", "here_mapper"))
    with pytest.raises(RecipeError, match="unknown operator 'upper_mapper'"):
        recipe.load(tmp_path / "recipes" / "r.yaml")


def test_a_folder_is_one_package_and_any_of_its_files_is_its_content(tmp_path: Path) -> None:
    written(tmp_path, "ops/__init__.py", UPPER + "\nfrom pathlib import Path\nLAST = (Path(__file__).parent / 'part.py').read_text()\n")
    part = Path(written(tmp_path, "ops/part.py", "x = 1\n"))
    versions = []
    for content in ("x = 1\n", "x = 2\n", "x = 1\n"):
        part.write_text(content)
        assert problems(tmp_path, "ops") == []
        found = custom.find("upper_mapper")
        assert found is not None
        versions.append(found.version)
    assert versions[0] == versions[2] != versions[1]
    written(tmp_path, "ops/notes.txt", "no code")
    assert problems(tmp_path, "ops") == [] and custom.find("upper_mapper").version == versions[2]  # type: ignore[union-attr]


def test_what_the_file_says_is_part_of_the_stages_name_and_where_it_lies_is_not(tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_text('{"text": "abc"}\n')

    def prints(text: str, name: str) -> list[str]:
        words = {"dataset_path": str(tmp_path / "rows.jsonl"), "allow_code": True, "custom_operator_paths": [written(tmp_path, name, text)],
                 "process": ["upper_mapper", "document_deduplicator"]}
        return [s.fingerprint for s in plan.make(recipe.load(words)).stages]

    first = prints(UPPER, "one.py")
    assert prints(UPPER, "elsewhere/two.py") == first
    assert not set(prints(UPPER + "\n# another\n", "one.py")) & set(first)


def test_settings_are_checked_and_described_as_ours_are(tmp_path: Path) -> None:
    path = written(tmp_path, "own.py", UPPER)
    rows = [{"text": "abc", "title": "x"}]
    words: dict[str, Any] = {"custom_operator_paths": path, "allow_code": True}
    made = apply([{"upper_mapper": {"last": "!", "text_key": "title"}}, "upper_mapper"], rows, **words)
    assert made.table.to_pylist() == [{"text": "ABC", "title": "X!"}]
    for given, told in (({"lats": "!"}, "unknown setting 'lats'. Did you mean 'last'?"), ({"last": 3}, "last must be text, not 3")):
        with pytest.raises(RecipeError, match=r"step 1 \(upper_mapper\): ") as e:
            apply([{"upper_mapper": given}], rows, **words)
        assert told in str(e.value)
    with pytest.raises(RecipeError, match="unknown operator 'uper_mapper'"):
        apply(["uper_mapper"], rows, **words)


def test_a_function_travels_as_its_place_and_content(tmp_path: Path) -> None:
    """As to a worker that was started anew: nothing of the module goes along."""
    assert problems(tmp_path, written(tmp_path, "own.py", UPPER)) == []
    op = custom.find("upper_mapper")
    assert op is not None and op.summary == "The text in capitals."
    data = pickle.dumps(op.function)
    assert b"own.py" in data and len(data) < 1000
    custom._module.cache_clear()
    assert pickle.loads(data)(pa.array(["ab"]), last="!").to_pylist() == ["AB!"]
    assert functools.partial(op.function, last="?")(pa.array(["ab"])).to_pylist() == ["AB?"] and op.function.__name__ == "upper"


def test_an_installed_package_names_its_operators_by_entry_points(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written(tmp_path, "my_ops.py", UPPER + UPPER.replace("upper", "lower"))
    monkeypatch.syspath_prepend(str(tmp_path))
    entries = [importlib.metadata.EntryPoint("all", "my_ops", custom.GROUP), importlib.metadata.EntryPoint("one", "my_ops:lower", custom.GROUP)]
    for chosen, names in ((entries, ["lower_mapper", "upper_mapper"]), (entries[1:], ["lower_mapper"]), ([], [])):
        monkeypatch.setattr(custom, "entry_points", lambda group, chosen=chosen: chosen if group == custom.GROUP else [])
        asked = recipe.load({"dataset_path": "x", "allow_code": True, "process": list(names)})
        assert sorted(s.name for s in asked.process) == names and all(isinstance(s.op, Operator) for s in asked.process)
    monkeypatch.setattr(custom, "entry_points", lambda group: entries)
    with pytest.raises(RecipeError, match="unknown operator 'lower_mapper'"):
        custom._KNOWN.clear()
        recipe.load({"dataset_path": "x", "process": ["lower_mapper"]})


# ---- a lambda, a function in a file

@pytest.mark.parametrize(("text", "told"), [
    ("lambda", "is not Python"), ("lambda r: r)", "is not Python"), ("len", "must be a lambda with one argument"), ("lambda: 1", "must be a lambda"),
    ("lambda r, s: r", "must be a lambda"), ("(lambda r: r)(1)", "must be a lambda"), ("import os", "is not Python"), ("x\0", "is not Python"),
    ("-" * 9000 + "1", "is not Python|must be a lambda"),
])
def test_what_is_no_lambda_of_one_row_is_refused_before_it_is_run(text: str, told: str) -> None:
    with pytest.raises(ValueError) as e:
        user_code.check_lambda(text)
    assert any(t in str(e.value) for t in told.split("|"))


def test_a_lambda_is_what_it_says(tmp_path: Path) -> None:
    made = user_code.load_lambda("  lambda r: {'text': r['text'] * 2} ")
    assert made is not None and made({"text": "ab"}) == {"text": "abab"} and user_code.load_lambda("") is None
    path = written(tmp_path, "f.py", "def one(r): return r\ndef two(r, s): return r\nthree = 3\n")
    found = user_code.load_file(path, "one")
    assert found is not None and found({"a": 1}) == {"a": 1} and user_code.load_file("", "one") is None
    for name in ("two", "three", "four"):
        with pytest.raises(ValueError, match=f"has no function '{name}' with one argument"):
            user_code.load_file(path, name)
    with pytest.raises(ValueError, match="is not a Python file"):
        user_code.load_file(written(tmp_path, "f.txt", ""), "one")
    for given, told in (("nowhere.py", "is no Python file"), (written(tmp_path, "g.txt", ""), "is no Python file")):
        with pytest.raises(RecipeError, match=told):
            apply([{"python_file_mapper": {"file_path": given}}], [{"text": "a"}], allow_code=True)
