"""What a server, a form or another program may give a flow, and what is refused before a run is made. No server is needed."""

from typing import Any

import pytest
from prefect.utilities.schema_tools.validation import is_valid
from pydantic import TypeAdapter, ValidationError

from tamis.flows.parameters import Gpu, GpuDeployment, GpuJobs, Overrides, RecipePath
from tamis.pipeline import recipe
from tamis.pipeline.keys import KEYS


@pytest.mark.parametrize(("kind", "given"), [
    (RecipePath, "recipes/demo.yaml"), (RecipePath, "/srv/a b.yml"), (Overrides, {}), (Overrides, {"np": 2, "seed": 7, "export_path": "x"}),
    (Overrides, {"dataset_path": ["s3://bucket/x", "a@b:c"]}), (Gpu, "inline"), (Gpu, "deployment"), (GpuJobs, 1), (GpuJobs, 64), (GpuDeployment, "model-stage/nightly"),
])
def test_what_is_right_is_taken_as_it_is(kind: Any, given: Any) -> None:
    assert TypeAdapter(kind).validate_python(given) == given


@pytest.mark.parametrize(("kind", "given", "told"), [
    (RecipePath, "recipes/demo", "pattern"), (RecipePath, "demo.yaml.bak", "pattern"), (RecipePath, 3, "string"),
    (Overrides, {"sede": 1}, "'sede' is no key of a recipe. Did you mean 'seed'?"), (Overrides, {"np": 1, "zzzz": 2}, "'zzzz' is no key of a recipe."),
    (Overrides, {"use_cache": True}, "'use_cache' is no key of a recipe."), (Overrides, ["np"], "dictionary"), (Gpu, "cloud", "'inline' or 'deployment'"),
    (Overrides, {"dataset_path": "s3://me:pw@b/x"}, "has a password"), (Overrides, {"dataset_path": ["a", "s3://me:pw@b/x"]}, "has a password"),
    (GpuJobs, 0, "greater than or equal to 1"), (GpuJobs, 1.5, "integer"), (GpuDeployment, "model-stage", "pattern"), (GpuDeployment, "a/b/c", "pattern"),
])
def test_what_is_wrong_is_refused_with_what_would_be_right(kind: Any, given: Any, told: str) -> None:
    with pytest.raises(ValidationError) as e:
        TypeAdapter(kind).validate_python(given)
    assert told in str(e.value)


def test_the_form_knows_every_key_of_a_recipe_and_no_other() -> None:
    told = TypeAdapter(Overrides).json_schema()
    assert told["propertyNames"]["enum"] == sorted(KEYS) and told["description"]
    assert TypeAdapter(RecipePath).json_schema()["pattern"] == r"\.ya?ml$"


@pytest.mark.parametrize(("paths", "right"), [
    ("s3://bucket/x", True), ("s3://me:pw@b/x", False), (["a", "b"], True), (["a", "https://me:pw@b/x"], False),
])
def test_the_server_refuses_a_password_before_it_keeps_it(paths: Any, right: bool) -> None:
    schema = TypeAdapter(Overrides).json_schema()
    assert is_valid({"dataset_path": paths}, schema) is right


def test_whatever_the_form_takes_the_recipe_takes_as_a_key() -> None:
    """Each key with its default: none is unknown to `load`, which says the rest."""
    words = {k: d for k, (_, d) in KEYS.items()}
    given = TypeAdapter(Overrides).validate_python(words | {"dataset_path": "x"})
    assert recipe.words(recipe.load({}, **given)) == recipe.words(recipe.load({"dataset_path": "x"}))
