"""The refresh of a pool as a flow: what `tamis refresh` does, each batch a run of `curate` of its own."""

import json
from pathlib import Path

import pytest
from prefect import get_client
from prefect.client.schemas.filters import ArtifactFilter
from prefect.client.schemas.sorting import ArtifactSort

from tamis.flows.refresh import look, refresh
from tamis.pipeline import pool
from tamis.pipeline.errors import RecipeError


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    path = tmp_path / "recipe.yaml"
    path.write_text(f"dataset_path: {tmp_path}/crawl\nexport_path: {tmp_path}/pool\nnp: 1\nprocess: [document_deduplicator]\n")
    (tmp_path / "crawl").mkdir()
    arrive(tmp_path, "a", "alpha", "beta")
    return path


def arrive(folder: Path, name: str, *texts: str) -> None:
    (folder / "crawl" / f"{name}.jsonl").write_text("".join(json.dumps({"text": t}) + "\n" for t in texts))


def test_a_flow_takes_what_the_command_takes(prefect_api: None, recipe: Path, tmp_path: Path) -> None:
    assert [b["rows_out"] for b in refresh(str(recipe))["batches"]] == [2]
    assert refresh(str(recipe))["batches"] == []
    arrive(tmp_path, "b", "beta", "gamma")
    plain = tmp_path / "plain"
    first = pool.refresh(recipe, export_path=str(plain))
    told = refresh(str(recipe))
    assert [b["rows_out"] for b in told["batches"]] == [1] and told["rows_out"] == first["rows_out"] == 3
    with get_client(sync_client=True) as client:
        (artifact, *_) = client.read_artifacts(artifact_filter=ArtifactFilter(key={"any_": ["pool"]}), sort=ArtifactSort.CREATED_DESC)
    assert [b["name"] for b in json.loads(str(artifact.data))] == ["0002", "0001"] and "2 files, 4 rows read, 3 kept" in str(artifact.description)


def test_a_night_that_crashed_is_finished_by_the_next(prefect_api: None, recipe: Path, tmp_path: Path) -> None:
    refresh(str(recipe))
    arrive(tmp_path, "b", "beta", "gamma")
    assert pool.begin(recipe) is not None
    arrive(tmp_path, "c", "delta")
    assert [(b["name"], b["rows_out"]) for b in refresh(str(recipe))["batches"]] == [("0002", 1), ("0003", 1)]


def test_a_password_in_a_url_is_refused_and_not_repeated(recipe: Path, tmp_path: Path) -> None:
    recipe.write_text(recipe.read_text().replace(f"{tmp_path}/crawl", "https://alice:hunter2@host/a.jsonl"))
    with pytest.raises(RecipeError, match="dataset_path has URLs with a password") as e:
        look.fn(str(recipe), {})
    assert "hunter2" not in str(e.value) and not (tmp_path / "pool").exists()
