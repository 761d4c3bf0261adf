"""What the small model knows before any choice is trained on, and the loss of one that has learned no order at all."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import xxhash

from ...selectors.influence import saving
from ...selectors.influence.proxy import Parameters, Proxy
from .. import target_texts
from ..errors import RecipeError
from ..workspace import atomically


def start_of(proxy: Proxy, path: str, tokens: int, folder: Path) -> tuple[Parameters, str]:
    """The weights after reading `tokens` tokens of the column `text` at `path`, once for all choices, and what names them.

    Texts are read in the order of their hash, again from the first where they are too few. The weights are kept in `folder`
    and taken up by a later run. Raises RecipeError where nothing can be read there.
    """
    texts = texts_at(path, "start")
    texts.sort(key=lambda t: xxhash.xxh3_128_digest(t.encode("utf-8", "surrogatepass")))
    rows, count = [], 0
    for row in proxy.encode(texts[: max(1, tokens)]):
        rows.append(row)
        count += len(row) + 1
        if count >= tokens:
            break
    told = xxhash.xxh3_128(repr((vars(proxy.settings), proxy.vocabulary, tokens)).encode())
    for row in rows:
        told.update(row.tobytes() + b"|")
    name, steps = f"start-{told.hexdigest()}", max(1, round(tokens / proxy.step_tokens))
    known: Any = saving.load(folder, name, {"steps": steps})
    if known is None:
        known, _ = proxy.train(rows, steps=steps, seed=0)
        saving.save(folder, name, known, {"steps": steps}, atomically)
    return known, name


def found(path: str, what: str) -> str:
    """The path as it is found. Raises RecipeError where nothing lies there."""
    try:
        return target_texts.place(path)
    except ValueError as e:
        raise RecipeError(f"the proxy's {what}: {str(e).removeprefix('target_path ')}") from e


def texts_at(path: str, what: str) -> list[str]:
    """The column `text` of the rows at `path`, those with nothing in it left out. Raises RecipeError where there are none."""
    texts = [t for t in target_texts.load(found(path, what), "text") if t]
    if not texts:
        raise RecipeError(f"the proxy's {what}: {path} holds no text")
    return texts


def single_tokens(encoded: Sequence[np.ndarray], tested: Sequence[np.ndarray], most: int, vocabulary: int) -> float:
    """Nats per token of the tested rows for a model that knows how frequent each token of the whole pool is, and no more.

    Add one half; of each tested row its first `most` tokens.
    """
    counts = np.bincount(np.concatenate([np.empty(0, np.int32), *encoded]), minlength=vocabulary) + 0.5
    asked = np.concatenate([row[:most] for row in tested])
    return float(-np.log(counts[asked] / counts.sum()).mean())
