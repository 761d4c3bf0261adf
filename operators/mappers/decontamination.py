"""The mapper that cuts out of texts what repeats evaluation examples."""

import pyarrow as pa

from ..base import mapper
from ..filters.decontamination import Examples, words_of
from ..kernels.evaluation import hit_spans, overlaps
from ..kernels.strings import view


@mapper("ngram_decontamination_mapper", many=True, resources={"examples": "evaluation"})
def cut_evaluation(
    text: pa.StringArray, *, examples: Examples, evaluation: str | list[str] = "", fields: list[str] | None = None, ngram: int = 13,
    min_words: int = 8, max_examples: int = 10, window: int = 200, min_piece: int = 200, max_hits: int = 10,
) -> pa.ListArray:
    """Pieces of the text between n-grams of evaluation examples, each cut `window` code points before and after them.

    A text without any stays whole. Pieces of `min_piece` code points or fewer go, and so does a text with more than
    `max_hits` n-grams (a copied passage of 24 words has 12 of 13). Other settings and what is compared:
    `ngram_decontamination_filter`. Empty: empty. Null: null. Cost: linear; Python for texts with an n-gram.
    Source: Brown et al. 2020 (GPT-3), appendix C; as lm-evaluation-harness's Janitor.
    """
    read, (offsets, _) = words_of(text), view(text)
    hits, _, _ = overlaps(read, examples.long, examples.short, examples.words, examples.longest)
    told: list[list[str] | None] = []
    for row, (words, hit) in enumerate(zip(text.to_pylist(), hits.tolist(), strict=True)):
        if words is None or not hit:
            told.append(None if words is None else [words])
        elif hit > max_hits:
            told.append([])
        else:
            raw, spans = words.encode(), hit_spans(read, row, examples.long, examples.short, examples.words)
            start = offsets[row]
            places = [(len(raw[: a - start].decode()), len(raw[: b - start].decode())) for a, b in spans.tolist()]
            told.append(_pieces(words, places, window, min_piece))
    return pa.array(told, pa.list_(text.type))


def _pieces(text: str, places: list[tuple[int, int]], window: int, least: int) -> list[str]:
    pieces, done = [], 0
    for start, end in places:
        if start - window - done > least:
            pieces.append(text[done : start - window])
        done = max(done, min(len(text), end + window))
    return [*pieces, text[done:]] if len(text) - done > least else pieces
