"""The flow does what `tamis run` does, stage by stage, and takes up what a crashed night left."""

from pathlib import Path

import pytest

from tamis.flows.curate import curate
from tamis.pipeline.errors import RecipeError
from tamis.pipeline.run import run

RECIPE = """
dataset_path: {data}
export_path: {out}
process:
  - whitespace_normalization_mapper
  - text_length_filter: {{min_len: 500}}
  - document_deduplicator
  - random_selector: {{select_num: 50}}
"""


@pytest.fixture
def recipe(tmp_path: Path, demo_corpus: Path) -> Path:
    path = tmp_path / "recipe.yaml"
    path.write_text(RECIPE.format(data=demo_corpus, out=tmp_path / "flow"))
    return path


def test_a_flow_answers_what_a_run_answers(prefect_api: None, recipe: Path, tmp_path: Path) -> None:
    manifest = curate(str(recipe), {"np": 1})
    assert manifest["rows_out"] == 50
    assert manifest["content_hash"] == run(recipe, np=1, export_path=str(tmp_path / "plain"))["content_hash"]
    assert all(t["reused"] for t in manifest["timing"]), "the stages were done by the tasks"


def test_the_next_night_takes_up_what_is_done(prefect_api: None, recipe: Path, tmp_path: Path) -> None:
    curate(str(recipe), {"np": 1})
    marks = {p: p.stat().st_mtime_ns for p in (tmp_path / "flow" / "work").glob("*/done.json")}
    curate(str(recipe), {"np": 1})
    assert {p: p.stat().st_mtime_ns for p in marks} == marks


def test_a_mistake_in_the_recipe_fails_at_once_and_is_not_tried_again(prefect_api: None, recipe: Path) -> None:
    recipe.write_text(recipe.read_text().replace("min_len", "min_lenght"))
    with pytest.raises(RecipeError, match="Did you mean 'min_len'"):
        curate(str(recipe))
