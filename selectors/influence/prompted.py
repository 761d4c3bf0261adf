"""Rows of which a part is only read: the prompt's tokens, then the answer's, cut apart before they are tokens."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from .documents import Document
from .ready import answers

Pair = tuple[str, str]  # what is read but not predicted, and what is predicted


def pairs(texts: Sequence[str | None], prompts: Sequence[str | None], after: str | None = None) -> list[Pair]:
    """Each row's prompt, a line break behind it, with its text up to and with the first `after`; and the rest of its text.

    Without `after` all of the text is the rest; where it is missing, nothing is. Null is as good as empty.
    """
    counted = zip(prompts, answers(texts, after), strict=True)
    return [((f"{prompt}\n" if prompt else "") + text[:start], text[start:]) for prompt, (text, start) in counted]


def documents(reader: Any, given: Sequence[Pair], most: int) -> list[Document]:
    """The rows as tokens, of which those of the answer count: the same ones whatever the prompt, as both are cut up alone.

    A row of more than `most` tokens is cut: first the answer's end, down to half of `most`, then the prompt's beginning.
    """
    first = first_token(reader)
    found = []
    for prompt, answer in zip(_tokens(reader, [p for p, _ in given]), _tokens(reader, [a for _, a in given]), strict=True):
        answer = answer[: max(most - len(first) - len(prompt), most // 2)]
        room = most - len(first) - len(answer)
        before = [*first, *(prompt[-room:] if room > 0 else [])]
        counts = np.repeat([False, True], [len(before), len(answer)])
        found.append(Document(np.array([*before, *answer], np.int64), counts))
    return found


def without_prompt(reader: Any, found: Sequence[Document]) -> list[Document]:
    """The same answers with nothing before them."""
    first = first_token(reader)
    answers_only = [d.tokens[d.counts] for d in found]
    return [Document(np.array([*first, *a], np.int64), np.repeat([False, True], [len(first), len(a)])) for a in answers_only]


def first_token(reader: Any) -> list[int]:
    """The token that this model is given before any text; most small models have none."""
    given = reader("", verbose=False)["input_ids"][:1]
    return given if given == [reader.bos_token_id] else []


def count_tokens(reader: Any, texts: Sequence[str | None]) -> np.ndarray:
    """int64[n], tokens of each whole text. Null: 0."""
    return np.array([len(t) for t in _tokens(reader, [text or "" for text in texts])], np.int64)


def _tokens(reader: Any, texts: Sequence[str]) -> list[list[int]]:
    return reader(list(texts), add_special_tokens=False, verbose=False)["input_ids"] if texts else []  # type: ignore[no-any-return]
