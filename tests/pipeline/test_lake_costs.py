"""Costs of a lake: every default has a source or is called a convention, and what is printed has its unit."""

import json
import re
from dataclasses import fields
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tamis.operators.lake.costs import Prices
from tamis.pipeline.cli import app
from tamis.pipeline.lake import report
from tamis.pipeline.lake.settings import STEP, Settings

ROOT = Path(__file__).parents[2]
COSTS = ("storage_price", "maintenance_price", "read_price", "write_price", "read_speed", "write_speed", "start_seconds", "accesses",
         "maintenance_runs", "max_latency")


def sourced() -> dict[str, list[str]]:
    """setting -> default, unit and source, of the table in docs/lake.md."""
    text = (ROOT / "docs" / "lake.md").read_text("utf-8")
    part = text.split("## What it costs", 1)[1].split("\n## ", 1)[0]
    assert re.search(r"read on \d+ \w+ 20\d\d", part)
    rows = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in part.splitlines() if line.startswith("| `")]
    return {row[0].strip("` |"): row[1:] for row in rows}


@pytest.mark.parametrize("name", COSTS)
def test_every_default_is_in_the_docs_with_its_unit_and_its_source(name: str) -> None:
    default, unit, source = sourced()[name]
    assert float(default) == STEP.settings[name].default and unit
    assert "](https://" in source or source.startswith("convention: "), "neither a link nor called a convention"
    assert Settings.__doc__ and name in Settings.__doc__


def test_the_table_has_no_setting_that_is_none() -> None:
    assert set(sourced()) == set(COSTS)


def test_the_cost_model_and_the_step_have_the_same_defaults() -> None:
    assert Settings.of().prices == Prices()
    given = dict(zip([f.name for f in fields(Prices)], range(1, 8), strict=True))
    names = ("storage_price", "maintenance_price", "read_price", "write_price", "read_speed", "write_speed", "start_seconds")
    assert Settings.of({n: float(v) for n, v in zip(names, given.values(), strict=True)}).prices == Prices(**given)


def test_the_price_of_writing_is_that_of_its_requests() -> None:
    assert Prices().write == pytest.approx(1e9 / 8e6 * 0.005 / 1000)
    assert Prices().maintenance == Prices().read == 5 / 1000


@pytest.mark.parametrize(("share", "told"), [(0.0, "0"), (9.9e-10, "0"), (2.2e-16, "0"), (1e-9, "1e-09"), (0.0123, "0.012"), (1.0, "1")])
def test_a_gap_of_rounding_is_none(share: float, told: str) -> None:
    assert report.gap(share) == told


def test_a_plan_says_its_currency(tmp_path: Path) -> None:
    run = tmp_path / "run"
    lake = str(ROOT / "recipes" / "data" / "lake")
    done = CliRunner().invoke(app, ["lake", "scan", lake, "--out", str(run), "--set", "np=1"], env={"COLUMNS": "160"})
    assert done.exit_code == 0, done.output
    told = CliRunner().invoke(app, ["lake", "plan", str(run)], env={"COLUMNS": "160"}).output
    totals = json.loads((run / "plan.json").read_text("utf-8"))["totals"]
    line = next(x for x in told.splitlines() if x.startswith("Cost per month"))
    assert [float(x) for x in re.findall(r"(\S+) USD", line)] == pytest.approx([totals[k] for k in ("plan", "keep_all", "greedy", "bound")], rel=1e-5)
    assert totals["plan"] < totals["keep_all"] and line.endswith("gap 0.")
    assert (run / "report.html").read_text("utf-8").count(" USD</td>") == 4
