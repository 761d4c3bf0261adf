"""The map and the clusters of a report, from files written by hand: every row drawn once, in the colour and size that is its own."""

import re
from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from page_reader import is_safe, read_page

from tamis.pipeline.ledger import ID, POSITION, SOURCE
from tamis.pipeline.reporting import atlas, choice
from tamis.pipeline.reporting.page import render
from tamis.pipeline.reporting.shelf import Shelf
from tamis.pipeline.workspace import StageFolder, write_table

SIZES = [30, 25, 20, 15, 12, 10, 8, 6, 4]  # of clusters; two more than there are colours
EVIL = "</script><img src=x onerror=alert(1)>\u202e"


def laid(folder: Path, selectors: int = 1, clusters: bool = True) -> tuple[Any, dict[int, StageFolder], np.ndarray, np.ndarray]:
    """A plan, its folders, the cluster of each of 130 rows, and whether every selector picked it. A later one sees fewer rows."""
    cluster, rows = np.repeat(np.arange(len(SIZES)), SIZES), sum(SIZES)
    ids = np.arange(1000, 1000 + rows)
    rng = np.random.default_rng(0)
    x = (rng.normal(size=(len(SIZES), 5))[cluster] + rng.normal(scale=0.05, size=(rows, 5))).astype(np.float16)
    folders = {1: StageFolder(folder / "1"), 2: StageFolder(folder / "2")}
    write_table(folders[1].file("stats", 0), pa.table({ID: ids, SOURCE: [EVIL] * rows, POSITION: ids}))
    write_table(folders[1].path / "rows/part-00000-000.parquet", pa.table({ID: ids, "text": [f"row {i} {EVIL}" for i in ids]}))
    for part, (a, b) in enumerate(((0, 50), (50, rows))):
        write_table(folders[2].file("vectors", part), pa.table({ID: ids[a:b], "vector": pa.FixedSizeListArray.from_arrays(pa.array(x[a:b].ravel(), pa.float16()), 5)}))
    stages = [SimpleNamespace(index=1, kind="rows", steps=()), SimpleNamespace(index=2, kind="embed", steps=())]
    here = np.ones(rows, bool)
    for number in range(selectors):
        folders[3 + number] = StageFolder(folder / f"{3 + number}")
        picked = rng.random(rows) < 0.6
        columns: dict[str, Any] = {ID: ids[here], "picked": picked[here], "order": np.where(picked[here], np.cumsum(picked[here]) - 1, -1)}
        write_table(folders[3 + number].path / "selection.parquet", pa.table(columns | ({"cluster": cluster[here].astype(np.int32)} if clusters else {})))
        if clusters:
            write_table(folders[3 + number].path / "clusters.parquet", pa.table({"cluster": list(range(len(SIZES))), "terms": [[f"word{c}", EVIL] if c else [] for c in range(len(SIZES))]}))
        step = SimpleNamespace(number=number + 5, op=SimpleNamespace(summary="Rows."))
        stages.append(SimpleNamespace(index=3 + number, kind="select", steps=[step]))
        here = here & picked
    return SimpleNamespace(stages=stages), folders, cluster, here


def dots(picture: Any) -> dict[str, int]:
    """Class of a dot -> how many there are."""
    return {kind: d.count("M") for kind, d in re.findall(r'<path class="dot (\w+ \w+)" d="([^"]*)"', str(picture))}


@pytest.mark.parametrize("selectors", [1, 2])
def test_each_row_is_a_dot_of_its_cluster_and_as_large_as_its_fate(tmp_path: Path, selectors: int) -> None:
    plan, folders, cluster, chosen = laid(tmp_path, selectors)
    view = atlas.view(plan, folders)
    assert view is not None and (view.shown, view.rows, view.chosen, view.selected) == (130, 130, int(chosen.sum()), True)
    shown = Counter(dots(view.picture))
    assert shown.total() == 130 and sum(n for kind, n in shown.items() if kind.endswith("in")) == chosen.sum()
    if selectors == 1:
        assert all(shown[f"c{c} in"] == (chosen & (cluster == c)).sum() and shown[f"c{c} out"] == (~chosen & (cluster == c)).sum() for c in range(atlas.COLOURS))
        assert shown["cx in"] + shown["cx out"] == view.others == SIZES[7] + SIZES[8]
    assert [name.partition(":")[0] for _, name, _ in view.legend][:1] == ["cluster 0"] and "word1" in str([name for _, name, _ in view.legend])
    places = re.findall(r"M([\d.]+) ([\d.]+)h0", str(view.picture))
    assert len(places) == 130 and all(0 <= float(x) <= atlas.WIDTH and 0 <= float(y) <= atlas.HEIGHT for x, y in places)


def test_without_clusters_the_map_has_one_colour(tmp_path: Path) -> None:
    plan, folders, _, chosen = laid(tmp_path, clusters=False)
    view = atlas.view(plan, folders)
    assert view is not None and dots(view.picture) == {"c0 in": int(chosen.sum()), "c0 out": int((~chosen).sum())} and (view.legend, view.others) == ([], 0)


def test_there_is_no_map_of_nothing(tmp_path: Path) -> None:
    plan, folders, *_ = laid(tmp_path)
    assert atlas.view(SimpleNamespace(stages=[s for s in plan.stages if s.kind != "embed"]), folders) is None  # type: ignore[arg-type]
    write_table(folders[2].file("vectors", 0), pa.table({ID: [1, 2], "vector": pa.FixedSizeListArray.from_arrays(pa.array(np.zeros(4, np.float16)), 2)}))
    folders[2].file("vectors", 1).unlink()
    assert atlas.view(plan, folders) is None


@pytest.mark.parametrize("vectors", [np.zeros((5, 3)), np.ones((4, 1)), np.repeat([[1.0, 2.0]], 4, axis=0), np.array([[0.0], [1.0], [2.0]])])
def test_vectors_that_span_no_plane_have_places_too(vectors: np.ndarray) -> None:
    places, held = atlas.plane(vectors)
    assert places.shape == (len(vectors), 2) and np.isfinite(places).all() and 0 <= held <= 1 + 1e-12
    read_page(str(atlas._draw(places, np.full(len(vectors), "c0"), np.ones(len(vectors), bool), [])))


def test_clusters_are_shown_with_their_words_a_row_and_their_picks_and_the_page_is_safe(tmp_path: Path) -> None:
    plan, folders, cluster, chosen = laid(tmp_path)
    steps = [{"step": 0, "op": "read", "stage": 1, "rows_in": 130, "rows_out": 130, "left": {}, "facts": {}},
             {"step": 5, "op": "some_selector", "stage": 3, "rows_in": 130, "rows_out": int(chosen.sum()), "left": {"not_selected": int((~chosen).sum())},
              "facts": {"budget": 78.0, "why": EVIL, "quotas": [s * 0.6 for s in SIZES]}}]
    shelf = Shelf()
    view, = choice.views({"steps": steps}, plan, folders, shelf)
    shelf.fill(list(folders.values()), "text")
    assert [name for name, _ in view.shown] == [
        f"cluster {c}: {(chosen & (cluster == c)).sum()} of {size}" + (f": word{c}, {EVIL}" if c else "") for c, size in enumerate(SIZES)]
    assert all(cluster[e.id - 1000] == c and e.where == f"{EVIL}:{e.id}" and e.excerpt.startswith(f"row {e.id} ") for c, (_, e) in enumerate(view.shown))
    manifest = {"rows_in": 130, "rows_out": 7, "rows_left": 123, "stages": [], "timing": [], "models": [{"kind": "list", "file": EVIL, "sha256": "0" * 64}], "seed": 1, "engine": "local",
                "content_hash": "0" * 32, "versions": {EVIL: EVIL}, "notes": [EVIL]}
    page = read_page(render("report.html.j2", manifest=manifest, title=EVIL, seconds=1.0, reused=False, flow="", steps=[], inputs=[{"source": EVIL, "bytes": 1, "digest": EVIL}],
                            more_inputs=3, aside=2, filters=[], dedups=[], choices=[view], atlas=atlas.view(plan, folders), broken=[(EVIL, EVIL, EVIL)]))
    is_safe(page)
    words = page.one("main").text
    assert "and 3 more; manifest.json lists them all." in words and "2 rows were set aside, as on_error allows. The first 1:" in words
    assert len(list(page.all("svg"))) == 2
    assert f"{int(chosen.sum())} of 130 rows chosen from 9 clusters" in words and "All 130 rows" in words
