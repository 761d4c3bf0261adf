"""What the pages and `--help` show, tried: recipes are taken, messages are what is said, keys and commands are all there."""

import json
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import typer.main
import yaml
from typer.testing import CliRunner

from tamis.pipeline import keys, ledger, recipe, steps
from tamis.pipeline.cli import app
from tamis.pipeline.errors import RecipeError
from tamis.pipeline.guards import LIMITS
from tamis.pipeline.recipe import load
from tamis.pipeline.run import apply

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
COMMAND = typer.main.get_command(app)


def blocks(kind: str) -> list[tuple[str, str]]:
    """(page, text) of every block of that kind."""
    return [(p.name, m) for p in PAGES for m in re.findall(rf"```{kind}\n(.*?)```", p.read_text("utf-8"), re.DOTALL)]


def commands(group: Any = COMMAND, before: str = "") -> dict[str, Any]:
    """`dedup-index build` -> the command."""
    found: dict[str, Any] = {}
    for name, command in group.commands.items():
        found |= commands(command, f"{before}{name} ") if hasattr(command, "commands") else {before + name: command}
    return found


# ---- recipes

@pytest.mark.parametrize(("page", "text"), blocks("yaml"))
def test_a_recipe_on_a_page_is_a_recipe(page: str, text: str) -> None:
    told = yaml.safe_load(text)
    words: dict[str, Any] = {"dataset_path": "x"} | (told if isinstance(told, dict) else {"process": told})
    asked = load(words)
    assert len(asked.process) == len(words.get("process", [])) and not [n for n in asked.notes if "ignored" in n]


def test_every_key_is_told_of_and_those_of_the_table_with_their_defaults() -> None:
    text = (ROOT / "docs" / "recipes.md").read_text("utf-8")
    assert not set(keys.KEYS) - set(re.findall(r"`([\w]+)", text)), "a key that the page does not tell of"
    rows = [line.split("|")[1:4] for line in text.splitlines() if line.startswith("| `")]
    told = {k: default for named, default, _ in rows if len(k_ := re.findall(r"`(\w+)`", named)) == 1 for k in k_}
    shown = {k: str(d).lower() if isinstance(d, bool) else str(d) for k, (_, d) in keys.KEYS.items() if isinstance(d, bool | int | str) and d != ""}
    wrong = {k: (told[k], d) for k, d in shown.items() if k in told and f"`{d}`" not in told[k] and k not in ("export_shard_size",)}
    assert not wrong and len(set(told) & set(shown)) >= 10
    assert set(LIMITS) <= set(re.findall(r"\w+", (ROOT / "docs" / "flows.md").read_text("utf-8")))


def test_the_ledger_s_columns_and_reasons_are_told() -> None:
    text = (ROOT / "docs" / "account.md").read_text("utf-8")
    line = next(x for x in text.splitlines() if x.startswith("A **ledger** line"))
    assert re.findall(r"\w+", line.partition("`")[2].partition("`")[0]) == ledger.SCHEMA.names
    made = apply([{"text_length_filter": {"min_len": 3, "max_len": 9}}, "document_deduplicator", {"random_selector": {"select_num": 1}}],
                 [{"text": t} for t in ("ab", "abcd", "abcd", "abcde", "x" * 20, None)])
    assert set(made.ledger.column("reason").to_pylist()) <= set(re.findall(r"`(\w+)`", text))


# ---- messages

BROKEN = {
    "recipes.md": "# one\ndataset_path: x\nexport_pth: y\nprocess:\n  - alphanumeric_filter: {min_ration: 0.5}\n  - document_minhash_dedup\n",
    "first-hour.md": ("dataset_path: mydata.jsonl\nexport_path: o\nprocess:\n  - fix_unicode_mapper\n  - text_length_filter: {min_length: 200}\n"
                      "  - alphanumeric_filter: {min_ratio: half}\n  - languge_id_score_filter: {lang: en}\n"),
}


@pytest.mark.parametrize("page", BROKEN)
def test_a_plan_of_a_broken_recipe_says_what_the_page_says(page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shown = next(m for name, m in blocks("(?:text|console)") if name == page and m.startswith("$ tamis plan"))
    first, _, *lines = shown.splitlines()
    monkeypatch.chdir(tmp_path)
    Path(first.split()[-1]).write_text(BROKEN[page])
    with pytest.raises(RecipeError) as e:
        recipe.load(first.split()[-1])
    assert str(e.value).splitlines() == [line.strip() for line in lines]
    assert f"for {len(lines)} reasons:" in shown


def test_the_notebook_of_the_first_hour() -> None:
    (text,) = [m for page, m in blocks("python") if page == "first-hour.md" and ">>>" in m]
    held: dict[str, Any] = {}
    for said, expected in re.findall(r">>> ([^\n]*)\n((?:(?!>>>)[^\n]+\n)*)", text):
        code = compile(said, page := "first-hour.md", "eval" if expected else "exec")
        answer = eval(code, held) if expected else exec(code, held)
        assert not expected or repr(answer) == expected.strip(), page


# ---- commands

def test_every_command_in_a_page_s_examples_is_one_with_those_options() -> None:
    known, seen = commands(), set()
    lines = [x for _, text in blocks(r"(?:text|console|sh)") for x in re.findall(r"(?m)^(?:\$ )?(tamis [a-z].*)$", text)]
    for line in lines:
        words = shlex.split(re.split(r" {2,}| # ", line)[0].replace("...", ""))[1:]
        name = next((n for n in (" ".join(words[:2]), words[0] if words else "") if n in known), None)
        if name is None:
            raise AssertionError(f"no such command: {line}")
        options = {o for p in known[name].params for o in (*p.opts, *p.secondary_opts)}
        assert not [w for w in words if w.startswith("--") and w.partition("=")[0] not in options], line
        seen.add(name)
    assert len(seen) >= 12


@pytest.mark.parametrize("name", commands())
def test_help_says_what_a_command_does_and_every_option(name: str) -> None:
    told = CliRunner().invoke(app, [*name.split(), "--help"], env={"COLUMNS": "200", "TERM": "dumb"})
    assert told.exit_code == 0 and name.split()[-1] in told.output
    command = commands()[name]
    assert command.help and command.help.splitlines()[0].rstrip(".")[:30] in " ".join(told.output.split())
    for param in command.params:
        assert any(o in told.output for o in param.opts) or param.param_type_name == "argument", param.name
        assert getattr(param, "help", "") or param.name in ("others", "help"), f"{name}: nothing is said of {param.name}"


def test_examples_of_settings_in_help_are_taken(tmp_path: Path) -> None:
    """`seed=7, np=4, process.3.min_ratio=0.3`, as --set has it, upon a recipe whose third step has such a setting."""
    (tmp_path / "r.yaml").write_text("dataset_path: x\nprocess:\n  - fix_unicode_mapper\n  - text_length_filter\n  - alphanumeric_filter\n")
    option = next(p for p in commands()["run"].params if "--set" in p.opts)
    examples = re.findall(r"[\w.]+=[\w.]+", option.help)
    assert len(examples) >= 3
    asked = recipe.load(tmp_path / "r.yaml", sets=examples)
    assert (asked.seed, asked.workers, asked.process[2].keep.min) == (7, 4, 0.3)  # type: ignore[union-attr]
    shown = re.findall(r"--set ([\w.]+=[\w.]+)", (ROOT / "docs" / "recipes.md").read_text("utf-8"))
    assert shown and recipe.load(tmp_path / "r.yaml", sets=shown).process[2].keep.min == 0.3  # type: ignore[union-attr]


def test_the_first_recipe_of_help_goes_where_help_says() -> None:
    said = str(COMMAND.epilog)
    asked = recipe.load(ROOT / said.partition("tamis run ")[2].partition("[")[0])
    assert f"{asked.export_path}/report.html" in said and recipe.load(recipe.bundled("demo")).export_path == asked.export_path


def test_exit_codes_are_those_of_the_errors() -> None:
    from tamis.pipeline import cli, errors

    kinds = {n: e for n, e in vars(errors).items() if isinstance(e, type) and issubclass(e, errors.TamisError)}
    assert {n for n, e in kinds.items() if e.exit_code == 2} == {"RecipeError"} and all(e.exit_code in (1, 2) for e in kinds.values())
    assert set(kinds) - {"TamisError", "RecipeError"} == set(cli._TITLES), "each has a title of its own"


def test_operators_by_name_are_all_that_a_recipe_can_name() -> None:
    told = json.loads(CliRunner().invoke(app, ["ops", "--json"]).output)
    assert {line["name"] for line in told} == set(steps.known_names())
    assert all(line["what"].endswith(".") and line["kind"] for line in told)
