"""The engine that a recipe names."""

import importlib.util

from ..errors import RecipeError
from ..recipe import Recipe
from .base import Engine
from .local import LocalEngine
from .spark import SparkEngine


def engine_for(recipe: Recipe) -> Engine:
    """A fresh engine. Raises RecipeError where its package is not installed."""
    if recipe.engine == "local":
        return LocalEngine(recipe.workers)
    if importlib.util.find_spec("pyspark") is None:
        raise RecipeError(f"{recipe.name}: engine: spark needs the extra 'spark': pip install 'tamis[spark]'")
    return SparkEngine(recipe.spark_master, recipe.workers, recipe.spark_partitions)
