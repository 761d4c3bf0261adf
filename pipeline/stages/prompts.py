"""What a model reads of a row before its text: the columns that a step names in `prompt_keys`, one to a line."""

import functools
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from ..ledger import ID
from ..steps import Step
from .lineage import Lineage, texts


def keys_of(step: Step) -> tuple[str, ...]:
    """The columns; none: nothing is read before the text."""
    return tuple(step.settings.get("prompt_keys", ()))


def prompts(batch: pa.RecordBatch, keys: Sequence[str], where: str) -> pa.StringArray:
    """The prompts of a batch; what is null or empty makes no line, and without any line a prompt is empty."""
    found = pa.array([""] * len(batch), pa.string())
    for key in keys:
        more = pc.fill_null(texts(batch, key, where), "")
        line = pc.if_else(pc.or_(pc.equal(found, ""), pc.equal(more, "")), "", "\n")
        found = pc.binary_join_element_wise(found, more, line)
    return found


@functools.lru_cache(maxsize=1)  # the next piece is mostly of the same part
def of_part(
    before: Lineage, part: int, key: str, prompt_keys: tuple[str, ...], where: str,
) -> tuple[pa.ChunkedArray, pa.ChunkedArray, pa.ChunkedArray]:
    """Ids, texts and prompts of the rows of a part that still stand."""
    read = [(batch.column(ID), texts(batch, key, where), prompts(batch, prompt_keys, where))
            for batch in before.read(part, [key, *prompt_keys])]
    kinds = (pa.int64(), pa.string(), pa.string())
    ids, words, given = (pa.chunked_array([r[i] for r in read], kind) for i, kind in enumerate(kinds))
    return ids, words, given


def whole(batch: pa.RecordBatch, step: Step, where: str) -> list[str | None]:
    """All that is read of each row, as one string."""
    words = texts(batch, step.text_key, where).to_pylist()
    if not (keys := keys_of(step)):
        return words  # type: ignore[no-any-return]
    return joined(prompts(batch, keys, where).to_pylist(), words)


def joined(given: Sequence[str], words: Sequence[str | None]) -> list[str | None]:
    """Each prompt, a line break, and the text."""
    return [f"{prompt}\n{text or ''}" if prompt else text for prompt, text in zip(given, words, strict=True)]


def columns(step: Step, text: pa.StringArray, prompt: pa.StringArray) -> tuple[pa.Array, ...]:
    """What the step's operator reads."""
    told: Mapping[str, Any] = {"text": text, "prompt": prompt}
    return tuple(told[name] for name in getattr(step.op, "reads", ()))
