"""`tamis compare`: one pool, several selectors and seeds, equal budgets in tokens, one table.

    from tamis.pipeline.compare import compare
    told = compare(["recipes/random.yaml", "recipes/kmq.yaml"], "outputs/compare", shares=(0.05, 0.1), seeds=5)

Each recipe ends with a selector; what comes before it is the same in all, embedding apart, and makes the pool once.
"""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .comparing import choosing, measure
from .comparing.contenders import Candidates, Contender, Words, contenders
from .comparing.trial import Trial, trial
from .errors import RecipeError
from .execute import Progress, Silent
from .reporting import comparison
from .workspace import atomically, write_json

POOL = "pool"  # the folder below `out` in which the pool is made


def compare(
    recipes: Sequence[Words], out: str | Path = "outputs/compare", *, shares: Sequence[float] = (0.1,), seeds: int = 3,
    heldout: float = 0.05, baseline: bool = True, proxy: Trial | None = None, sets: Sequence[str] = (),
    progress: Progress | None = None, patience: float = 0.0,
) -> dict[str, Any]:
    """Compare the selectors that end these recipes; answers what it writes to `out`/compare.json, .md and .html.

    Every selector gets `shares` of the pool's tokens as budgets, and the seeds 0, 1, 2 ...; without a recipe of
    `random_selector`, one is added (`baseline`). `heldout`: the share of the pool's rows that no selector sees, drawn by
    hash; with `proxy` a small language model is trained on each choice and tested on them. What a selector chose is kept in
    `out`/choices and taken up by a later run; while another run makes the pool, it is waited for, for `patience` seconds.

    Answers: `pool` (rows, tokens, heldout, clusters, seconds), `runs` (a line for each name, share and seed), `table` (their
    means and standard deviations), `overlap` (share -> name -> name -> Jaccard), and with `proxy` `differences`: loss and
    accuracy against the baseline with paired bootstrap intervals.
    Raises RecipeError where the recipes cannot be compared, SelectionError where a selector cannot choose.
    """
    check(shares, seeds, heldout, proxy)
    folder, found = Path(out), contenders(recipes, sets, baseline or proxy is not None)
    began = time.perf_counter()
    pool = choosing.opened(found, folder / POOL, heldout, progress or Silent(), patience)
    try:
        return _compared(found, pool, time.perf_counter() - began, folder, shares, seeds, proxy)
    finally:
        choosing.close()


def _compared(
    found: Sequence[Contender], pool: Candidates, seconds: float, folder: Path, shares: Sequence[float], seeds: int,
    proxy: Trial | None,
) -> dict[str, Any]:
    labels = measure.clusters_of(pool.pool)
    runs, overlap, picked = [], {}, {}
    for share in shares:
        lines, choices = _choices(found, pool, labels, share, seeds, folder)
        runs += lines
        overlap[f"{share:g}"] = measure.overlaps(choices)
        picked[share] = choices
    told: dict[str, Any] = {
        "pool": {"rows": len(pool.pool), "tokens": pool.tokens, "heldout": len(pool.heldout),
                 "clusters": int(labels.max()) + 1 if labels is not None else None, "seconds": seconds},
        "shares": list(shares), "seeds": seeds, "baseline": _baseline(found),
        "contenders": [{"name": c.name, "recipe": c.recipe.name, **c.step.describe()} for c in found],
    }
    if proxy is not None:
        told |= trial(pool, picked, runs, told["baseline"], proxy, folder / "trained")
    told |= {"runs": runs, "table": measure.summary(runs), "overlap": overlap}
    write_json(folder / "compare.json", told)
    atomically(folder / "compare.md", lambda tmp: tmp.write_text(comparison.markdown(told), "utf-8"))
    atomically(folder / "compare.html", lambda tmp: tmp.write_text(comparison.html(told), "utf-8"))
    return told


def check(shares: Sequence[float], seeds: int, heldout: float, proxy: Trial | None) -> None:
    """Raises RecipeError for budgets, seeds or rows held out with which nothing can be compared."""
    if not shares or not all(0 < s <= 1 for s in shares):
        raise RecipeError(f"shares are of the pool's tokens, above 0 and at most 1, not {list(shares)}")
    if seeds < 1 or not 0 <= heldout < 1:
        raise RecipeError(f"seeds must be at least 1 (it is {seeds}), heldout at least 0 and below 1 (it is {heldout:g})")
    if proxy is not None and proxy.tests is None and heldout == 0:
        raise RecipeError("a proxy is tested on rows held out: heldout must be above 0, or give it tests of their own")
    if proxy is not None:
        proxy.check()


def _baseline(found: Sequence[Contender]) -> str:
    return next((c.name for c in found if c.step.name == "random_selector"), found[0].name)


def _choices(
    found: Sequence[Contender], pool: Candidates, labels: np.ndarray | None, share: float, seeds: int, folder: Path,
) -> tuple[list[dict[str, Any]], dict[str, list[np.ndarray]]]:
    """The lines of one budget, and the rows that each contender picked with each seed."""
    lines: list[dict[str, Any]] = []
    choices: dict[str, list[np.ndarray]] = {}
    for contender in found:
        for seed in range(seeds):
            index, seconds = choosing.choice(folder, pool, contender, share, seed)
            choices.setdefault(contender.name, []).append(index)
            numbers = measure.of_choice(pool.pool, labels, index)
            lines.append({"share": share, "name": contender.name, "seed": seed, **numbers, "seconds": seconds})
    return lines, choices
