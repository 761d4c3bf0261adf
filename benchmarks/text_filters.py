"""Ten statistics of a text: documents per CPU second, ours against the same loops in plain Python.

    python benchmarks/text_filters.py FOLDER [--documents 5000] [--rounds 3]

FOLDER holds *.jsonl or *.jsonl.zst with a field `text`; documents are drawn evenly from all of it. Ours runs in batches of
1,000 rows, compiled before the clock starts; the other side is what Data-Juicer's operators do for each row, without its
frame around it, on the same documents. Both sides use one thread; the best round counts, the sides taking turns. The answers of
the two are compared too.
"""

import argparse
import io
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import regex
import zstandard

from tamis.operators.filters import characters, lines, repetition, words
from tamis.operators.kernels.codepoints import SPECIAL, spread

TABLES = Path(__file__).parents[1] / "recipes" / "tables"
SPECIALS = {chr(code) for code in np.flatnonzero(spread(SPECIAL))}
STOPWORDS, FLAGGED = (
    frozenset(json.loads((TABLES / f"{name}.json").read_text("utf-8"))["en"]) for name in ("stopwords", "flagged_words")
)
BATCH = 1000


def strip(word: str) -> str:
    first, last = 0, len(word)
    for i in range(len(word)):
        if word[i] not in SPECIALS:
            break
        first += 1
    for i in range(1, len(word) + 1):
        if word[-i] not in SPECIALS:
            break
        last -= 1
    return word[first:last]


def refined(text: str, lower: bool) -> list[str]:
    found = [word for word in regex.split(" |\n|\t", text) if word]
    if lower:
        found = [word.lower() for word in found]
    return [word for word in map(strip, found) if word]


def share_in(text: str, listed: frozenset[str]) -> float:
    found = refined(text, True)
    return len([word for word in found if word in listed]) / len(found) if found else 0.0


def grams(items: Any, n: int, join: Callable[[Any], str]) -> list[int]:
    counts: dict[str, int] = {}
    for i in range(len(items) - n + 1):
        gram = join(items[i : i + n])
        counts[gram] = counts.get(gram, 0) + 1
    return list(counts.values())


def character_repetition(text: str) -> float:
    counts = sorted(grams(text, 10, str), reverse=True)
    top = min(int(np.sqrt(len(counts))), len(counts) - counts.count(1))
    return sum(counts[:top]) / sum(counts) if counts else 0.0


def word_repetition(text: str) -> float:
    counts = grams(refined(text, True), 10, " ".join)
    return sum(c for c in counts if c > 1) / sum(counts) if counts else 0.0


def average(text: str) -> float:
    found = text.splitlines()
    return len(text) / len(found) if found else 0.0


PLAIN: dict[str, Callable[[str], float]] = {
    "alphanumeric": lambda t: sum(map(lambda c: 1 if c.isalnum() else 0, t)) / len(t) if t else 0.0,  # noqa: C417
    "special characters": lambda t: len([c for c in t if c in SPECIALS]) / len(t) if t else 0.0,
    "text length": len,
    "average line": average,
    "longest line": lambda t: max(map(len, t.splitlines()), default=0),
    "number of words": lambda t: len(refined(t, False)),
    "stop words": lambda t: share_in(t, STOPWORDS),
    "flagged words": lambda t: share_in(t, FLAGGED),
    "word repetition": word_repetition,
    "character repetition": character_repetition,
}


def ours(batch: pa.Array) -> Iterator[tuple[str, Callable[[], pa.Array]]]:
    """(name, what to time) of the shared feature and of the ten; the feature is not one of the ten."""
    found: list[pa.Array] = []
    yield "words, shared by four", lambda: found.append(words.words(batch)) or found[-1]
    text = {
        "alphanumeric": characters.alnum_ratio, "special characters": characters.special_char_ratio,
        "text length": characters.text_len, "average line": lines.avg_line_length, "longest line": lines.max_line_length,
        "number of words": words.num_words, "character repetition": repetition.char_rep_ratio,
    }
    for name, function in text.items():
        yield name, lambda function=function: function(batch)
    yield "stop words", lambda: words.stopwords_ratio(found[-1], stopwords=STOPWORDS)
    yield "flagged words", lambda: words.flagged_words_ratio(found[-1], flagged_words=FLAGGED)
    yield "word repetition", lambda: repetition.word_rep_ratio(found[-1])


def time_ours(batches: list[pa.Array]) -> tuple[dict[str, float], dict[str, list[float]]]:
    spent: dict[str, float] = {}
    answers: dict[str, list[float]] = {}
    for batch in batches:
        for name, run in ours(batch):
            started = time.process_time()
            answer = run()
            spent[name] = spent.get(name, 0.0) + time.process_time() - started
            answers.setdefault(name, []).extend(answer.to_pylist())
    return spent, answers


def time_plain(documents: list[str]) -> tuple[dict[str, float], dict[str, list[float]]]:
    spent, answers = {}, {}
    for name, function in PLAIN.items():
        started = time.process_time()
        answers[name] = [function(text) for text in documents]
        spent[name] = time.process_time() - started
    return spent, answers


def read(folder: Path, wanted: int) -> list[str]:
    found: list[str] = []
    for path in sorted([*folder.glob("*.jsonl"), *folder.glob("*.jsonl.zst")]):
        with zstandard.open(path, "rb") if path.suffix == ".zst" else path.open("rb") as raw:
            found += [json.loads(line)["text"] for line in io.TextIOWrapper(raw, "utf-8")]
    return found[:: max(1, len(found) // wanted)][:wanted]


def best(rounds: list[dict[str, float]]) -> dict[str, float]:
    return min(rounds, key=lambda spent: sum(spent.values()))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--documents", type=int, default=5000)
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args()
    documents = read(asked.folder, asked.documents)
    batches = [pa.array(documents[i : i + BATCH]) for i in range(0, len(documents), BATCH)]
    started = time.process_time()
    time_ours([batches[0].slice(0, 5)])
    compiled = time.process_time() - started
    rounds = [(time_ours(batches), time_plain(documents)) for _ in range(asked.rounds)]
    (_, answers), (_, expected) = rounds[0]
    for name in PLAIN:
        np.testing.assert_allclose(answers[name], expected[name], rtol=0, atol=1e-12, err_msg=name)
    report(documents, compiled, best([mine for (mine, _), _ in rounds]), best([plain for _, (plain, _) in rounds]))


def report(documents: list[str], compiled: float, mine: dict[str, float], plain: dict[str, float]) -> None:
    count, size = len(documents), sum(len(text.encode()) for text in documents)
    print(f"{count:,} documents of {size / count:,.0f} bytes; all answers equal; compiling or loading took {compiled:.1f} s\n")
    print("| microseconds a document | ours | plain Python | ratio |\n|---|--:|--:|--:|")
    for name in mine:
        own, other = mine[name] / count * 1e6, plain.get(name, 0.0) / count * 1e6
        print(f"| {name} | {own:.2f} | {f'{other:.1f} | {other / own:.0f}' if other else ' | '} |")
    own, other = sum(mine.values()), sum(plain.values())
    print(f"| **documents per CPU second, all ten** | **{count / own:,.0f}** | {count / other:,.0f} | **{other / own:.1f}** |")
    print(f"| MB per CPU second, all ten | {size / own / 1e6:.1f} | {size / other / 1e6:.2f} | |")


if __name__ == "__main__":
    main()
