"""The selection section: what each cluster holds and gave, the numbers behind the choice, rows chosen and rows not."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from markupsafe import Markup

from ..ledger import ID
from ..plan import Plan
from ..workspace import StageFolder
from . import pulls
from .pulls import PullsView
from .shelf import Example, Shelf
from .svg import frame, line, rect, text
from .words import number, share

CLUSTERS = 40  # bars drawn; the rest are told in one line
SHOWN = 12  # clusters with excerpts


@dataclass(frozen=True)
class ChoiceView:
    """One selector as the page shows it."""

    told: Mapping[str, Any]
    summary: str
    facts: list[tuple[str, str]]
    clusters: int
    picture: Markup | None
    hidden: int
    shown: list[tuple[str, Example]]
    pulls: PullsView | None = None


def views(manifest: Mapping[str, Any], plan: Plan, folders: Mapping[int, StageFolder], shelf: Shelf) -> Iterator[ChoiceView]:
    """One view per selector, in order."""
    told = {s["step"]: s for s in manifest["steps"]}
    for stage in plan.stages:
        if stage.kind == "select":
            step = stage.steps[0]
            yield _view(told[step.number], step.op.summary, folders[stage.index], shelf)


def _view(told: Mapping[str, Any], summary: str, folder: StageFolder, shelf: Shelf) -> ChoiceView:
    table = pq.read_table(folder.path / "selection.parquet")
    facts = [(k.replace("_", " "), _fact(v)) for k, v in told["facts"].items() if isinstance(v, int | float | str)]
    if "cluster" not in table.column_names:
        picked = table.filter(table.column("picked")).sort_by("order").slice(0, SHOWN)
        shown = [(f"pick {i + 1}", shelf.take(r)) for i, r in enumerate(picked.column(ID).to_pylist())]
        return ChoiceView(told, summary, facts, 0, None, 0, shown)
    labels = table.column("cluster").to_numpy()
    names, index, sizes = np.unique(labels, return_inverse=True, return_counts=True)
    picked = np.bincount(index, table.column("picked").to_numpy(zero_copy_only=False), len(names)).astype(int)
    order = np.lexsort((names, -sizes))
    quotas = _quotas(told, names)
    rows = [(int(names[c]), int(sizes[c]), int(picked[c]), quotas[c] if quotas else None) for c in order[:CLUSTERS]]
    words = words_of(folder)
    shown = [(f"cluster {names[c]}: {picked[c]:,} of {sizes[c]:,}{words.get(int(names[c]), '')}",
              _typical(table, labels == names[c], shelf)) for c in order[:SHOWN]]
    bandit = pulls.view(folder.path, told["facts"])
    return ChoiceView(told, summary, facts, len(names), _clusters(rows), max(len(names) - CLUSTERS, 0), shown, bandit)


def words_of(folder: StageFolder, most: int = 8) -> dict[int, str]:
    """Cluster -> its characteristic words, behind a colon; none where the selection did not tell any."""
    path = folder.path / "clusters.parquet"
    if not path.exists():
        return {}
    table = pq.read_table(path, columns=["cluster", "terms"])
    told = zip(table.column("cluster").to_pylist(), table.column("terms").to_pylist(), strict=True)
    return {cluster: f": {', '.join(terms[:most])}" for cluster, terms in told if terms}


def _fact(value: Any) -> str:
    return value if isinstance(value, str) else number(float(value))


def _quotas(told: Mapping[str, Any], names: np.ndarray) -> list[float] | None:
    """Quota in rows of each cluster, where the selector told them (fact `quotas`: a list by cluster number)."""
    quotas = told["facts"].get("quotas")
    if "select_tokens" in told or not isinstance(quotas, list) or not len(names) or names.min() < 0 or names.max() >= len(quotas):
        return None
    return [float(quotas[n]) for n in names]


def _typical(table: pa.Table, here: np.ndarray, shelf: Shelf) -> Example:
    """The row nearest to the cluster's centre where the selector told distances, else its first pick, else any."""
    rows = table.filter(pa.array(here))
    key = next((k for k in ("distance", "order") if k in rows.column_names), ID)
    values = np.nan_to_num(rows.column(key).to_numpy(zero_copy_only=False).astype(float), nan=np.inf)
    if key == "order":
        values = np.where(values < 0, np.inf, values)
    ids = rows.column(ID).to_numpy()
    best = np.lexsort((ids, values))[0]
    return shelf.take(int(ids[best]), float(values[best]) if key == "distance" else None)


def _clusters(rows: list[tuple[int, int, int, float | None]], width: float = 1040) -> Markup:
    """A bar per cluster: its rows, of them picked, and a mark at its quota."""
    most = max([size for _, size, _, _ in rows], default=0) or 1
    side, step, columns = 44, 19, 2 if len(rows) > 8 else 1
    column = width / columns
    deep = -(-len(rows) // columns)
    scale = (column - side - 150) / most
    marks = []
    for i, (name, size, picked, quota) in enumerate(rows):
        x, y = side + column * (i // deep), 4 + step * (i % deep)
        marks.append(text(x - 8, y + 12, str(name), "label", "end"))
        marks.append(rect(x, y + 2, size * scale, 12, "pale", f"cluster {name}: {size:,} rows"))
        marks.append(rect(x, y + 2, picked * scale, 12, "stays", f"cluster {name}: {picked:,} of {size:,} picked"))
        if quota is not None:
            marks.append(line(x + quota * scale, y, x + quota * scale, y + 16, "bound"))
        marks.append(text(x + size * scale + 7, y + 12, f"{picked:,} of {size:,}, {share(picked, size)}"))
    return frame(width, 8 + step * deep, marks, f"Rows and picks of {len(rows)} clusters")
