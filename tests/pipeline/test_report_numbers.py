"""Every number of a report, read back from the page, against the manifest, the ledger and the data themselves."""

import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from page_reader import Node, is_safe, read_page, sections

from tamis.pipeline.ledger import ID, POSITION, SOURCE
from tamis.pipeline.reporting import words
from tamis.pipeline.run import run

PROCESS: list[Any] = [
    {"text_length_filter": {"min_len": 200, "max_len": 6000}}, {"alphanumeric_filter": {"min_ratio": 0.72}}, "whitespace_normalization_mapper",
    "document_deduplicator", {"document_minhash_deduplicator": {"jaccard_threshold": 0.5, "window_size": 3}}, {"random_selector": {"select_num": 200}},
]


class Made:
    """A finished run, its page as a tree, and its ledger."""

    def __init__(self, folder: Path, corpus: Path) -> None:
        lines = corpus.read_bytes().splitlines(keepends=True)[:420]
        lines[5:5] = [b"no JSON at all\n", b'{"text": null}\n', b'{"text": ["a list"]}\n']
        (folder / "rows.jsonl").write_bytes(b"".join(lines))
        self.manifest: dict[str, Any] = run({"dataset_path": str(folder / "rows.jsonl"), "export_path": str(folder / "out"), "np": 1,
                                             "on_error": {"set_aside": 5}, "process": PROCESS})
        self.data = (folder / "rows.jsonl").read_bytes()
        self.page = read_page((folder / "out/report.html").read_text("utf-8"))
        self.parts = sections(self.page)
        self.ledger: list[dict[str, Any]] = pq.read_table(folder / "out/ledger").to_pylist()
        self.steps: list[dict[str, Any]] = self.manifest["steps"]

    def left_at(self, step: int) -> list[dict[str, Any]]:
        return [r for r in self.ledger if r["step"] == step]

    def texts_at(self, step: int) -> dict[int, str]:
        """Position -> text, as it lies in the file, of the rows that reached a step."""
        before = {r[POSITION] for r in self.ledger if r["step"] < step}
        found, at = {}, 0
        for line in self.data.splitlines(keepends=True):
            if at not in before:
                found[at] = str(json.loads(line)["text"])
            at += len(line)
        return found

    def section(self, name: str, step: int) -> Node:
        found, = [s for s in self.parts[name] if s.tag == "section" and s.one("h3").text.startswith(f"{step} ")]
        return found


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, demo_corpus: Path) -> Made:
    return Made(tmp_path_factory.mktemp("numbers"), demo_corpus)


def read(told: str) -> int:
    return int(told.replace(",", "").replace("−", "-") or 0)


def counts(told: str) -> list[int]:
    return [read(n) for n in re.findall(r"\d[\d,]*", told)]


def test_the_page_asks_for_nothing_and_says_what_came_of_it(made: Made) -> None:
    is_safe(made.page)
    lead = made.page.one("p", "lead").text
    m = made.manifest
    assert lead.startswith(f"{m['rows_in']} rows in, {m['rows_out']} kept ({words.share(m['rows_out'], m['rows_in'])})")
    assert f"Each of the {len(made.ledger)} others" in lead and m["rows_in"] - len(made.ledger) == m["rows_out"] == 200
    assert all(s["rows_in"] > s["rows_out"] for s in made.steps if s["op"] != "whitespace_normalization_mapper"), "each step of this run removes something"


def test_every_link_leads_to_a_heading_of_the_page(made: Made) -> None:
    ids = [e.attributes["id"] for e in made.page.all() if "id" in e.attributes]
    assert len(ids) == len(set(ids)) and {a.attributes["href"][1:] for a in made.page.all("a")} <= set(ids)


def test_the_table_of_steps_is_the_ledger_s(made: Made) -> None:
    rows = made.parts["steps"][1].one("table").rows()
    assert [row[0] for row in rows] == ["", *(str(i) for i in range(1, 7))]
    before = made.manifest["rows_in"]
    for number, (_, name, _, rows_in, left, share, rows_out, why) in enumerate(rows):
        gone = Counter(r["reason"] for r in made.left_at(number))
        assert name.startswith(made.steps[number]["op"]) and read(rows_in) == before and read(left) == gone.total() == before - read(rows_out)
        assert share == (words.share(gone.total(), before) if gone else "")
        before = read(rows_out)
        if gone:
            assert why.split("; ")[0] == ", ".join(f"{n} {words.REASONS[r]}" for r, n in sorted(gone.items(), key=lambda g: (-g[1], g[0])))
    assert before == made.manifest["rows_out"]


def test_settings_beyond_the_defaults_stand_beside_their_step(made: Made) -> None:
    told = [s.text for s in made.parts["steps"][1].one("table").all("span", "setting")]
    assert told == ["window_size: 3", "jaccard_threshold: 0.5", "select_num: 200"]
    assert [row[2] for row in made.parts["steps"][1].one("table").rows()][1:3] == ["200 to 6,000", "at least 0.72"]


def test_the_flow_says_the_same_as_the_table(made: Made) -> None:
    picture = made.parts["flow"][1].one("svg")
    on, off = (picture.titles(kind) for kind in ("hit", "left"))
    assert [counts(t.rpartition(": ")[2])[0] for t in on] == [s["rows_out"] for s in made.steps]
    lost = [s for s in made.steps if s["rows_in"] > s["rows_out"]]
    assert [counts(t.rpartition(": ")[2]) for t in off] == [[s["rows_in"] - s["rows_out"], *sorted(s["left"].values(), reverse=True)] for s in lost]
    assert picture.attributes["aria-label"] == f"Flow of rows through 6 steps: {made.manifest['rows_in']} in, 200 kept"


@pytest.mark.parametrize(("step", "measure", "decides"), [
    (1, len, lambda v: 200 <= v <= 6000), (2, lambda text: sum(c.isalnum() for c in text) / len(text), lambda v: v >= 0.72),
])
def test_a_filter_s_numbers_are_those_of_the_texts(made: Made, step: int, measure: Any, decides: Any) -> None:
    section = made.section("filters", step)
    values = {at: measure(text) for at, text in made.texts_at(step).items()}
    gone = {r[POSITION]: r["value"] for r in made.left_at(step)}
    assert {at for at, v in values.items() if not decides(v)} == set(gone)
    assert all(gone[at] == pytest.approx(values[at]) for at in gone)
    assert f"{len(gone)} of {len(values)} rows left" in section.one("p").text
    ordered = np.sort(list(values.values()))
    at = {"min": 0.0, "p1": 0.01, "p5": 0.05, "median": 0.5, "p95": 0.95, "p99": 0.99, "max": 1.0}
    facts = section.facts()
    for name, share in at.items():
        assert facts[name] == words.number(float(np.float32(ordered[int(share * (len(ordered) - 1))]) if step == 2 else ordered[int(share * (len(ordered) - 1))]))
    assert float(facts["mean"].replace(",", "")) == pytest.approx(ordered.mean(), rel=1e-3)


@pytest.mark.parametrize("step", [1, 2])
def test_a_filter_s_bars_sum_to_its_rows_and_part_at_its_bounds(made: Made, step: int) -> None:
    picture = made.section("filters", step).one("svg")
    bars = {kind: [(r.number("x"), r.number("x") + r.number("width"), counts(r.one("title").raw_title())[-1]) for r in picture.all("rect", kind)] for kind in ("stays", "left")}
    told = made.steps[step]
    assert sum(n for _, _, n in bars["stays"]) == told["rows_out"] and sum(n for _, _, n in bars["left"]) == told["rows_in"] - told["rows_out"]
    lines = sorted(b.number("x1") for b in picture.all("line", "bound"))
    names = [b.text for b in picture.all("text", "bound")]
    assert names == (["min 200", "max 6,000"] if step == 1 else ["min 0.72"])
    low, high = lines[0], (lines[1] if len(lines) > 1 else 1e9)
    assert all(low - 0.2 <= a and b <= high + 0.2 for a, b, _ in bars["stays"])
    assert all(b <= low + 0.2 or a >= high - 0.2 for a, b, _ in bars["left"])


def test_a_bar_s_tooltip_tells_the_values_between_which_its_rows_lie(made: Made) -> None:
    """Of the lengths: borders are told to four digits, so rows near one may be counted on either side."""
    values = sorted(len(text) for text in made.texts_at(1).values())
    for title in (made.section("filters", 1).one("svg").titles(kind) for kind in ("stays", "left")):
        for told in title:
            low, high, count = (float(n.replace(",", "")) for n in re.fullmatch(r"([\d,.]+) to ([\d,.]+): ([\d,]+) (?:stay|leave)", told).groups())  # type: ignore[union-attr]
            inside = sum(low * 0.999 - 1 <= v <= high * 1.001 + 1 for v in values)
            assert 1 <= count <= inside, told


def test_every_example_is_a_row_that_did_what_is_said(made: Made) -> None:
    shown = 0
    for item in made.page.all("li"):
        where, text = item.one("span", "where"), item.one("div", "text").text
        source, _, position = where.text.rpartition(":")
        line = json.loads(made.data[int(position):].split(b"\n", 1)[0])
        assert source == "rows.jsonl" and where.attributes["title"].startswith("id ")
        assert text.replace("⏎", " ").split()[:2] == words.oneline(str(line["text"])).replace("⏎", " ").split()[:2], position
        shown += 1
    assert shown > 25


@pytest.mark.parametrize("step", [1, 2])
def test_rows_that_left_are_shown_with_the_number_that_cost_them_their_place(made: Made, step: int) -> None:
    section = made.section("filters", step)
    values = {f"{r[SOURCE]}:{r[POSITION]}": words.number(r["value"]) for r in made.left_at(step)}
    ids = {f"{r[SOURCE]}:{r[POSITION]}": f"id {words.row_id(r[ID])}" for r in made.left_at(step)}
    gone = [item for item in section.all("li") if list(item.all("span", "gone"))]
    assert len(gone) >= 3
    for item in gone:
        where = item.one("span", "where")
        assert item.one("span", "gone").text == values[where.text] and where.attributes["title"] == ids[where.text]


@pytest.mark.parametrize("step", [4, 5])
def test_clusters_are_those_of_the_ledger(made: Made, step: int) -> None:
    section = made.section("duplicates", step)
    sizes = [n + 1 for n in Counter(r["kept_id"] for r in made.left_at(step)).values()]
    clusters, rows, largest, left = counts(next(section.all("p")).text)[:4]
    assert (clusters, rows, largest, left) == (len(sizes), sum(sizes), max(sizes), len(made.left_at(step)))
    bars = next(section.all("svg"))
    assert sum(counts(t)[-1] for t in bars.titles("stays")) == clusters
    for told in bars.titles("stays"):
        name, n = told.rpartition(": ")[0], counts(told)[-1]
        low, high = (counts(name)[0], counts(name)[-1]) if "over" not in name else (counts(name)[0] + 1, 10**9)
        assert sum(low <= s <= high for s in sizes) == n


def test_similarities_are_those_of_the_ledger(made: Made) -> None:
    gone = made.left_at(5)
    _, picture, curve = made.section("duplicates", 5).all("svg")
    assert sum(counts(t)[-1] for t in picture.titles("left")) == len(gone) and not list(picture.all("rect", "stays"))
    shown = [item.one("span", "value").text for item in made.section("duplicates", 5).all("li")]
    told = {f"{r['value']:.3f}" for r in gone}
    assert {s.partition(",")[0] for s in shown} <= told | {"stays"} and "stays" in shown
    facts = made.steps[5]["facts"]
    assert f"{facts['bands']} bands of {facts['rows']} rows" in curve.titles("pale") and "threshold 0.5" in curve.one("text", "bound").text


def test_the_choice_and_the_broken_rows_are_told(made: Made) -> None:
    choice = made.section("selection", 6)
    assert f"200 of {made.steps[6]['rows_in']} rows chosen" in choice.one("p").text
    assert choice.facts()["picked"] == "200" and choice.facts()["pool"] == str(made.steps[6]["rows_in"])
    errors = [r for r in made.ledger if r["reason"] == "error"]
    told = [row for table in made.parts["broken"][2].all("table") for row in table.rows()]
    assert [row[0] for row in told] == [f"{r[SOURCE]}:{r[POSITION]}" for r in errors] and len(told) == 2
    assert all(r["note"].split("'")[0].strip() in row[2] for r, row in zip(errors, told, strict=True))
    assert made.parts["broken"][1].text.startswith("2 rows were set aside")


def test_where_it_came_from(made: Made) -> None:
    tables = [t for node in made.parts["provenance"] for t in node.all("table")]
    given, = made.manifest["inputs"]
    assert tables[0].rows() == [["rows.jsonl", words.size(len(made.data)), given["digest"]]]
    assert [(row[0], row[1], row[2]) for row in tables[1].rows()] == [(str(s["stage"]), s["kind"], s["fingerprint"]) for s in made.manifest["stages"]]
    facts: dict[str, str] = {}
    for node in made.parts["provenance"]:
        facts |= {d.one("dt").text: d.one("dd").text for d in node.all("div") if list(d.all("dt"))}
    assert facts["content"] == made.manifest["content_hash"] and facts["seed"] == str(made.manifest["seed"])
    assert all(facts[k] == v for k, v in made.manifest["versions"].items())
