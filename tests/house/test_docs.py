"""Documentation that is made from the code says what the code says; what the README names exists."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tamis.pipeline import plan, recipe
from tamis.pipeline.cli import app

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]


def test_the_operator_table_is_fresh() -> None:
    subprocess.run([sys.executable, "docs/operators.py", "--check"], cwd=ROOT, check=True)


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\((?!https?://|#|mailto:)([^)#]+)", page.read_text("utf-8")):
        assert (page.parent / target).exists(), target


def test_every_command_is_in_the_docs() -> None:
    text = "".join(p.read_text("utf-8") for p in PAGES)
    for command in app.registered_commands:
        assert f"tamis {command.name}" in text, command.name


@pytest.mark.parametrize("path", sorted((ROOT / "recipes").glob("*.yaml")), ids=lambda p: p.name)
def test_every_recipe_can_be_planned(path: Path) -> None:
    assert plan.make(recipe.load(path)).stages
