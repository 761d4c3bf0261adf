"""Reports of hostile names and texts, and of runs without rows: nothing runs, nothing turns, forges or hides, nothing is nan."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from page_reader import Node, is_safe, read_page, sections
from typer.testing import CliRunner

from tamis.pipeline.cli import app
from tamis.pipeline.reporting import comparison, svg
from tamis.pipeline.reporting.choice import _clusters
from tamis.pipeline.reporting.flow import flow
from tamis.pipeline.run import run

EVIL = ["</script><script>alert(1)</script>", "<img src=x onerror=alert(1)>", "\"'><svg onload=alert(1)>", "]]><!--", "{{ 7 * 7 }}{% raw %}", "&lt;b&gt;&#x202e;"]
CONTROLS = "\x00\x07\x1b[31mred\x1b[0m\x9b2J\u202egnp.exe\u2066\u200f\ud7ff\ufeff"
TEXTS = [f"{e} {CONTROLS} and enough ordinary words to be kept, number {i}" for i, e in enumerate(EVIL)]


def lay(folder: Path, names: list[str]) -> None:
    (folder / "in").mkdir()
    for k, name in enumerate(names):
        rows: list[Any] = [{"text": t + f" of file {k}" * (k > 0)} for t in TEXTS] + [{"text": f"{EVIL[1]} short{CONTROLS}"}]
        lines = [json.dumps(r) for r in rows] + [json.dumps({"text": TEXTS[0]}), f'{{"text": "{EVIL[0]}" broken']
        (folder / "in" / name).write_text("\n".join(lines) + "\n", "utf-8")


@pytest.fixture(scope="module")
def evil(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any], Node]:
    folder = tmp_path_factory.mktemp("evil")
    lay(folder, ["<img src=x onerror=alert(1)>.jsonl", "turned\u202elnosj.jsonl", "es\x1b[2Jcape.jsonl", "new\nline & 'quotes'.jsonl"])
    told = run({"project_name": f"{EVIL[0]}{EVIL[4]}\u202e", "dataset_path": str(folder / "in"), "export_path": str(folder / "out"), "np": 1, "on_error": {"set_aside": 9},
                "process": [{"text_length_filter": {"min_len": 70}}, {"remove_specific_chars_mapper": {"chars_to_remove": f"◆{EVIL[1]}\u202e"}},
                            "document_deduplicator", {"random_selector": {"select_num": 9}}]})
    return folder, told, read_page((folder / "out/report.html").read_text("utf-8"))


def test_nothing_of_the_data_becomes_markup_and_no_character_forges_what_is_seen(evil: tuple[Path, dict[str, Any], Node]) -> None:
    _, _, page = evil
    is_safe(page)
    words = page.one("main").raw()
    for piece in ("alert(1)", "onerror", "{{ 7 * 7 }}"):
        assert piece in words, "shown as it is, not dropped"
    assert page.one("h1").text.startswith(EVIL[0])


def test_places_can_still_be_asked_for(evil: tuple[Path, dict[str, Any], Node]) -> None:
    """A name that cannot be shown is shown with boxes; the id beside it is whole."""
    folder, _, page = evil
    item = next(i for i in page.all("li") if "cape" in i.one("span", "where").text)
    row = item.one("span", "where").attributes["title"].removeprefix("id ")
    assert "es□[2Jcape.jsonl:" in item.one("span", "where").text
    told = CliRunner().invoke(app, ["why", str(folder / "out"), row])
    assert told.exit_code == 0 and f"{item.one('span', 'where').text}  (__id__ {row})" in told.output and "\x1b" not in told.output


def test_a_terminal_is_told_no_commands(evil: tuple[Path, dict[str, Any], Node]) -> None:
    folder, _, _ = evil
    told = CliRunner().invoke(app, ["dups", str(folder / "out")], terminal_width=200)
    assert told.exit_code == 0 and "rows  step 3" in told.output and "alert(1)" in told.output
    assert not [c for c in told.output if not c.isprintable() and c != "\n"]
    clusters = json.loads(CliRunner().invoke(app, ["dups", str(folder / "out"), "--json"]).output)
    assert any("\x1b" in c["kept_excerpt"] for c in clusters), "for machines it is the text itself"


def test_what_changed_in_a_text_tells_no_commands_either(tmp_path: Path) -> None:
    words = " ".join(f"word{i}" for i in range(60))
    (tmp_path / "x.jsonl").write_text("".join(json.dumps({"text": t}) + "\n" for t in (words, f"{words} \x1b[2J\u202eevil\x1b]0;title\x07")))
    run({"dataset_path": str(tmp_path / "x.jsonl"), "export_path": str(tmp_path / "out"), "np": 1, "process": ["document_minhash_deduplicator"]})
    told = CliRunner().invoke(app, ["dups", str(tmp_path / "out")], terminal_width=300).output
    assert "{+□[2J□evil□]0;title□+}" in told and not [c for c in told if not c.isprintable() and c != "\n"]


@pytest.mark.parametrize("words", [*EVIL, CONTROLS, "a\tb\nc", "\x0b\x0c\x85"])
def test_pictures_hold_any_words(words: str) -> None:
    steps = [{"step": n, "op": words, "rows_in": 9 - n, "rows_out": 8 - n, "left": {words: 1}} for n in range(2)]
    pictures = [svg.bars([(words, 3, 1)], words), flow(steps), _clusters([(1, 5, 2, None)]), svg.frame(9, 9, [svg.text(0, 0, words), svg.rect(0, 0, 1, 1, "k", words)], words)]
    for picture in pictures:
        page = read_page(str(picture))
        seen = [c for e in page.all() for c in [*e.inside, *e.attributes.values()] if isinstance(c, str)]
        assert all(c.isprintable() for c in "".join(seen)), seen
        assert {e.tag for e in page.all()} <= {"svg", "rect", "text", "title", "path", "line"}


# ---- without rows


@pytest.mark.parametrize("lines", [[], ["{}"], ['{"text": null}'] * 3, ["no JSON"] * 2], ids=["no rows", "no text", "null texts", "broken rows"])
def test_a_run_without_rows_has_a_page_that_says_so(tmp_path: Path, lines: list[str]) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in/x.jsonl").write_text("".join(f"{line}\n" for line in ['{"text": "one that is read, else there is no column"}', *lines] if lines != []) or "")
    process = [{"text_length_filter": {"min_len": 1000}}, {"alphanumeric_filter": {}}, "document_deduplicator", "document_minhash_deduplicator", {"random_selector": {"select_num": 3}}]
    told = run({"dataset_path": str(tmp_path / "in"), "export_path": str(tmp_path / "out"), "np": 1, "on_error": {"set_aside": 9}, "process": process})
    page = read_page((tmp_path / "out/report.html").read_text("utf-8"))
    is_safe(page)
    count = len(lines) + 1 if lines else 0
    assert told["rows_out"] == 0 and page.one("p", "lead").text.startswith(f"{count} rows in, 0 kept")
    words = page.one("main").text
    assert not re.search(r"\b(nan|inf|None|Undefined)\b", words)
    assert [row[6] for row in sections(page)["steps"][1].one("table").rows()][1:] == ["0"] * 5
    for section in sections(page)["filters"][3:]:
        assert "No row left here." in section.text or section.one("h3").text.startswith("1 ")


# ---- the comparison's page


def row(name: str, **numbers: float) -> dict[str, Any]:
    return {"share": 0.1, "name": name, "seeds": 2, **numbers, **{f"{k}_sd": 0.01 for k in numbers}}


def test_a_comparison_s_page_and_table_say_the_same() -> None:
    numbers = {"rows": 1200.0, "tokens": 56000.0, "coverage": 0.9123, "vendi": 31.25, "distance": 0.1, "apart": 0.2, "seconds": 0.5}
    table = [row("random", **numbers), row(f"{EVIL[1]}\u202e", **{k: v * 1.5 for k, v in numbers.items()})]
    differences = [{"share": 0.1, "name": table[1]["name"], "what": what, "mean": mean, "low": mean - 0.1, "high": mean + 0.1}
                   for what, mean in (("loss", -0.25), ("accuracy", -0.2), ("loss", 0.05))]
    told = {"pool": {"rows": 12000, "tokens": 560000.0, "heldout": 100}, "seeds": 2, "table": table, "differences": differences, "baseline": "random",
            "contenders": [{"name": "random", "op": "random_selector", "settings": {"x": EVIL[0]}}], "overlap": {"0.1": {"random": {"random": 0.5}}}}
    page = read_page(comparison.html(told))
    is_safe(page)
    rows = next(page.all("table")).rows()
    lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in comparison.markdown(told).splitlines() if line.startswith("| 0.1 |")]
    assert rows[0] == lines[0] == ["0.1", "random", "1,200", "56,000", "0.912 ± 0.010", "31.2", "0.1000 ± 0.0100", "0.2000 ± 0.0100", "0.50 ± 0.01"]
    assert [line[-1] for line in lines[2:]] == ["better", "worse", ""] == [comparison.verdict(d) for d in differences]
    titles = [h.text for h in page.all("h3")]
    assert titles[:2] == ["loss", "accuracy"] and {"clusters", "Vendi", "distance", "apart", "seconds"} <= set(titles)


def test_marks_of_a_comparison_stand_where_the_axis_says() -> None:
    gaps = [{"name": "a", "share": 0.1, "mean": m, "low": m - 0.5, "high": m + 0.25} for m in (-1.0, 0.5, 2.0)]
    page = read_page(str(comparison._intervals(gaps)))
    ticks = {float(t.text.replace("−", "-")): t.number("x") for t in page.all("text", "tick")}
    scale = np.polyfit(list(ticks), list(ticks.values()), 1)
    means = [r.number("x") + 2.5 for r in page.all("rect", "stays")]
    ranges = [(r.number("x"), r.number("x") + r.number("width")) for r in page.all("rect", "pale")]
    assert means == pytest.approx([np.polyval(scale, g["mean"]) for g in gaps], abs=0.2)
    assert np.array(ranges) == pytest.approx(np.array([[np.polyval(scale, g[k]) for k in ("low", "high")] for g in gaps]), abs=0.3)
    assert page.one("line", "bound").number("x1") == pytest.approx(np.polyval(scale, 0), abs=0.2)


def test_equal_numbers_have_a_picture_too() -> None:
    page = read_page(str(comparison._dots([row("a", vendi=1.0) | {"vendi_sd": 0.0}], "vendi")))
    assert [float(r.attributes["width"]) for r in page.all("rect", "pale")] == [0]
