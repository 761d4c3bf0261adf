"""What the flows are given, with what the server and the UI check of it before a run is made."""

import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field

from ..pipeline.errors import did_you_mean
from ..pipeline.keys import KEYS

SECRET = r"://[^/@\s]*:[^/@\s]*@"  # a password in a URL: the server keeps parameters, and shows them to all who see its pages
_TEXT: dict[str, Any] = {"type": "string", "pattern": SECRET}
_PATHS = {"not": {"anyOf": [_TEXT, {"type": "array", "contains": _TEXT}]}}


def _known(words: dict[str, Any]) -> dict[str, Any]:
    """The same. Raises ValueError for what is no key of a recipe, and for a password in a URL, which it does not repeat."""
    for key in words:
        if key not in KEYS:
            raise ValueError(f"{key!r} is no key of a recipe.{did_you_mean(key, KEYS)}")
    if re.search(SECRET, str(words.get("dataset_path", ""))):
        raise ValueError("dataset_path has a password, and the server keeps parameters: give it in the environment")
    return words


RecipePath = Annotated[str, Field(pattern=r"\.ya?ml$", description="A recipe, as the worker's machine sees it.")]
Overrides = Annotated[
    dict[str, Any], AfterValidator(_known),
    Field(description="Replaces top-level keys of the recipe.", json_schema_extra={
        "propertyNames": {"enum": sorted(KEYS)}, "properties": {"dataset_path": _PATHS}}),
]
Gpu = Annotated[Literal["inline", "deployment"], Field(
    description="Where stages that ask a model run: in this flow, or as jobs of another work pool.")]
GpuJobs = Annotated[int, Field(ge=1, description="Jobs that share one such stage.")]
GpuDeployment = Annotated[str, Field(pattern="^[^/]+/[^/]+$", description="The deployment that does those jobs: FLOW/NAME.")]
AtATime = Annotated[int, Field(ge=1, le=64, description="Choices that are made side by side.")]
