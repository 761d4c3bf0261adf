"""What is drawn on a terminal of any width, and on none."""

import io
import re
import time
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

from tamis.pipeline import display, plan, recipe
from tamis.pipeline.errors import RecipeError
from tamis.pipeline.run import run
from tamis.pipeline.verify import Finding

STEPS: list[tuple[str, str, int]] = [  # operator, what stays, rows that leave
    ("text_length_filter", "200 <= v <= 100000", 1_234_567), ("document_minhash_deduplicator", "first", 89), ("fix_unicode_mapper", "", 0),
]


def manifest() -> dict[str, Any]:
    rows, told = 9_876_543, []
    for number, (op, stays, left) in enumerate(STEPS, 1):
        kind = "deduplicator" if "dedup" in op else "mapper" if "mapper" in op else "filter"
        facts = {"deduplicator": {"clusters": 7}, "mapper": {"changed": 1}, "filter": {}}[kind]
        told.append({"step": number, "op": op, "keep": stays, "kind": kind, "rows_in": rows, "rows_out": rows - left,
                     "left": {"below_min": left} if left else {}, "facts": facts, "settings": {}})
        rows -= left
    return {"steps": told, "recipe": {"export_path": "out [red]"}, "timing": [{"seconds": 1.5}], "rows_in": 9_876_543, "rows_out": rows,
            "rows_left": 9_876_543 - rows, "content_hash": "0" * 32, "notes": ["a [bold]note[/bold]"]}


def drawn(width: int, show: Any, *given: Any, **console: Any) -> str:
    out = Console(file=io.StringIO(), width=width, highlight=False, soft_wrap=True, **console)
    show(out, *given)
    return out.file.getvalue()  # type: ignore[attr-defined, no-any-return]


@pytest.mark.parametrize("width", [50, 60, 80, 89, 90, 100, 109, 110, 160])
def test_no_number_and_no_name_is_cut_at_any_width(width):
    text = drawn(width, display.summary, manifest())
    table = text.split("\n\n")[0].splitlines()
    assert max(map(len, table)) <= width
    rows = [line for line in table if re.match(r" *[1-3] ", line)]
    for row, step in zip(rows, manifest()["steps"], strict=True):
        told = [step["rows_in"], *step["left"].values(), step["rows_out"]]
        shown = [word for word in row.split() if re.fullmatch(r"[\d,]+", word)]
        assert " ".join(f"{n:,}" for n in told) in " ".join(shown)
    letters = re.sub("[^a-z_]", "", "".join(table[1:]))  # a name may be folded
    assert all(op in letters for op, _, _ in STEPS)


def test_a_wide_terminal_says_why_and_markup_of_the_users_is_no_markup():
    wide, narrow = drawn(160, display.summary, manifest()), drawn(60, display.summary, manifest())
    assert "1,234,567 below min" in wide and "200 <= v <= 100000" in wide and "(7 clusters)" in wide
    assert "below min" not in narrow and "<= v" not in narrow
    assert "out [red]/report.html" in wide and "a [bold]note[/bold]" in wide
    assert "\x1b" not in wide and "\x1b" in drawn(160, display.summary, manifest(), force_terminal=True)


def test_nothing_read_is_no_division_by_nothing():
    empty = {**manifest(), "rows_in": 0, "rows_out": 0, "rows_left": 0, "steps": []}
    assert "0 rows (0.0%)" in drawn(80, display.summary, empty)


def test_findings_by_level():
    text = drawn(80, display.findings, [Finding("ok", "One [x]."), Finding("warn", "Two."), Finding("fail", "Three.")])
    assert [line.split(None, 1) for line in text.splitlines()] == [["ok", "One [x]."], ["warn", "Two."], ["fail", "Three."]]


@pytest.mark.parametrize("terminal", [False, True])
def test_progress_of_a_whole_run_on_a_terminal_and_on_none(tmp_path, terminal):
    (tmp_path / "a.jsonl").write_text('{"text": "one"}\n{"text": "one"}\n')
    words = {"dataset_path": str(tmp_path / "a.jsonl"), "export_path": str(tmp_path / "out"), "np": 1,
             "process": ["document_minhash_deduplicator", "whitespace_normalization_mapper"]}
    console = Console(file=io.StringIO(), width=140, force_terminal=terminal)
    for _ in range(2):
        with display.progress(console) as watcher:
            run(words, watcher)
    text = console.file.getvalue()  # type: ignore[attr-defined]
    for title in ("1 rows: read", "2 dedup: document_minhash_deduplicator", "3 rows: whitespace_normalization_mapper", "4 export"):
        assert title in text
    assert "2 -> 1 rows" in text and "2 -> 1 rows (done before)" in text
    assert ("\x1b" in text) is terminal


def test_a_check_that_takes_long_says_why_and_leaves_no_line_behind(monkeypatch):
    """A first run on a machine compiles: half a minute of nothing looks like a hang."""
    monkeypatch.setattr(display, "_LONG_CHECK", 0.01)
    plain = Console(file=io.StringIO(), width=140)
    with display.progress(plain):
        for _ in range(500):
            if plain.file.getvalue():  # type: ignore[attr-defined]
                break
            time.sleep(0.01)
    assert plain.file.getvalue() == "0 check  compiles kernels at their first use\n"  # type: ignore[attr-defined]
    soon = Console(file=io.StringIO(), width=140)
    with display.progress(soon) as watcher:
        watcher.begin(SimpleNamespace(index=2, kind="dedup", steps=[]), 1)  # type: ignore[arg-type]
        time.sleep(0.05)
    assert not soon.file.getvalue()  # type: ignore[attr-defined]
    drawing = Console(file=io.StringIO(), width=140, force_terminal=True)
    with pytest.raises(RecipeError), display.progress(drawing):
        raise RecipeError("wrong")
    with display.progress(drawing) as bars:
        bars.begin(SimpleNamespace(index=2, kind="dedup", steps=[]), 1)  # type: ignore[arg-type]
        assert [t.visible for t in bars.bars.tasks] == [False, True]  # type: ignore[attr-defined]


def test_quiet_says_nothing():
    console = Console(file=io.StringIO())
    with display.progress(console, quiet=True) as watcher:
        watcher.begin(None, 3)  # type: ignore[arg-type]
        watcher.advance({})
    assert console.file.getvalue() == ""  # type: ignore[attr-defined]


def test_a_title_names_few_steps_and_counts_many(tmp_path):
    (tmp_path / "a.jsonl").write_text('{"text": "one"}\n')
    for steps, expected in ((0, "1 rows: read"), (2, "1 rows: read, text_length_filter, text_length_filter"), (3, "1 rows: read, 3 steps")):
        planned = plan.make(recipe.load({"dataset_path": str(tmp_path / "a.jsonl"), "process": ["text_length_filter"] * steps}))
        assert [display.title(s) for s in planned.stages] == [expected, "2 export"]
