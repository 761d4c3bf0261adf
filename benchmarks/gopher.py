"""Gopher's, C4's and FineWeb's rules: documents per CPU second, ours beside datatrove's filters, and where they decide alike.

    python benchmarks/gopher.py FOLDER [--peer PYTHON] [--documents 5000] [--rounds 3]

FOLDER holds *.jsonl.zst with a field `text`; documents are drawn evenly from all of it. `--peer` is a Python in whose environment
datatrove (0.10.1) and spacy are installed. Each side uses one thread and is warm when the clock starts; ours in batches of 1,000
rows. Twice: as both are, datatrove's words by spaCy, ours nearly those; and with words by str.split on both sides.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

PEER = '''
import json, sys, time
import datatrove.utils.text as words
from datatrove.data import Document
from datatrove.pipeline.filters import C4QualityFilter, GopherQualityFilter, GopherRepetitionFilter
from datatrove.pipeline.filters import fineweb_quality_filter, gopher_quality_filter, gopher_repetition_filter
texts = json.load(open(sys.argv[1]))
if sys.argv[2] == "split":
    for module in (words, gopher_quality_filter, gopher_repetition_filter, fineweb_quality_filter):
        module.split_into_words = lambda text, language=None: text.split()
filters = {"gopher_quality_filter": GopherQualityFilter(), "gopher_repetition_filter": GopherRepetitionFilter(),
           "fineweb_quality_filter": fineweb_quality_filter.FineWebQualityFilter(), "c4_quality_filter": C4QualityFilter()}
spent, kept = {}, {}
for name, one in filters.items():
    one.filter(Document(text="Some words, to be warm. " * 20, id="0"))
    began, kept[name] = time.process_time(), []
    for i, text in enumerate(texts):
        kept[name].append(one.filter(Document(text=text, id=str(i))) is True)
    spent[name] = time.process_time() - began
json.dump([spent, kept], sys.stdout)
'''
BATCH = 1000


def ours(texts: list[str], words: str) -> tuple[dict[str, float], dict[str, list[bool]]]:
    """(CPU seconds, which rows stay) of each filter; that which the Gopher filters share is `words, shared by three`."""
    import pyarrow as pa

    from tamis.operators.filters import gopher, web_pages
    from tamis.operators.kernels import runs
    from tamis.operators.kernels.strings import lists, view
    from tamis.operators.mappers.web_lines import c4_lines

    spent: dict[str, float] = {}
    kept: dict[str, list[bool]] = {}
    for start in range(0, len(texts), BATCH):
        text, made = pa.array(texts[start : start + BATCH]), []

        def page(text: pa.Array = text) -> pa.Array:
            return web_pages.c4_quality(c4_lines(text).field("text"))

        for name, run in {
            "words, shared by three": lambda: made.append(  # noqa: B023
                gopher.runs(text) if words == "punctuation"  # noqa: B023
                else lists(*runs.word_runs(*view(text), gopher._classes()), like=text)),  # noqa: B023
            "gopher_quality_filter": lambda: gopher.gopher_quality(text, made[0]),  # noqa: B023
            "gopher_repetition_filter": lambda: gopher.gopher_repetition(text, made[0]),  # noqa: B023
            "fineweb_quality_filter": lambda: gopher.fineweb_quality(text, made[0]),  # noqa: B023
            "c4_quality_filter": page,
        }.items():
            began = time.process_time()
            answer = run()
            spent[name] = spent.get(name, 0.0) + time.process_time() - began
            if answer is not None:
                kept.setdefault(name, []).extend(n == 0 for n in answer.flatten()[-1].to_pylist())
    return spent, kept


def read(folder: Path, wanted: int) -> list[str]:
    import zstandard

    found: list[str] = []
    for path in sorted(folder.glob("*.jsonl.zst")):
        with zstandard.open(path, "rt", encoding="utf-8") as lines:
            found += [json.loads(line)["text"] for line in lines]
    return found[:: max(1, len(found) // wanted)][:wanted]


def peer(python: str, texts: list[str], words: str) -> list[Any]:
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump(texts, file)
        file.flush()
        return json.loads(subprocess.run([python, "-c", PEER, file.name, words], capture_output=True, check=True, text=True).stdout)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--peer")
    parser.add_argument("--documents", type=int, default=5000)
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args()
    texts = read(asked.folder, asked.documents)
    size = sum(len(t.encode()) for t in texts)
    print(f"{len(texts):,} documents of {size / len(texts):,.0f} bytes, Python {sys.version.split()[0]}\n")
    for words, theirs in (("punctuation", "spacy"), ("blanks", "split")):
        ours(texts[:5], words)
        spent, kept = min((ours(texts, words) for _ in range(asked.rounds)), key=lambda told: sum(told[0].values()))
        report(texts, size, words, spent, kept, peer(asked.peer, texts, theirs) if asked.peer else None)


def report(texts: list[str], size: int, words: str, spent: dict[str, float], kept: dict[str, list[bool]], other: Any) -> None:
    n = len(texts)
    told, decided = other or ({}, {})
    print(f"| words: {words} | ours, docs/cpu-s | MB/cpu-s | datatrove, docs/cpu-s | ours is ahead | decide alike |")
    print("|---|--:|--:|--:|--:|--:|")
    for name, cost in spent.items():
        theirs = f"{n / told[name]:,.0f} | {told[name] / cost:,.0f}x" if name in told else " | "
        same = [a == b for a, b in zip(decided.get(name, []), kept.get(name, []), strict=name in told)]
        alike = f"{sum(same) / n:.2%}" if same else ""
        print(f"| {name} | {n / cost:,.0f} | {size / cost / 1e6:,.0f} | {theirs} | {alike} |")
    for title, names in (("both of Gopher, words too", list(spent)[:3]), ("all, words too", list(spent))):
        cost, theirs = sum(spent[name] for name in names), sum(told.get(name, 0.0) for name in names)
        ahead = f"{n / theirs:,.0f} | **{theirs / cost:,.0f}x**" if told else " | "
        print(f"| **{title}** | {n / cost:,.0f} | {size / cost / 1e6:,.0f} | {ahead} | |")
    print()


if __name__ == "__main__":
    main()
