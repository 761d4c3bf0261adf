"""Gopher's, C4's and FineWeb's rules: documents per CPU second, ours beside datatrove's filters, and where they decide alike.

    python benchmarks/gopher.py FOLDER [--peer PYTHON] [--documents 5000] [--rounds 3]

FOLDER holds *.jsonl.zst with a field `text`; documents are drawn evenly from all of it. `--peer` is a Python in whose environment
datatrove (0.10.1) and spacy are installed. Each side uses one thread and is warm when the clock starts; ours in batches of 1,000
rows. datatrove runs twice: as it is, words by spaCy; and with its words replaced by str.split, which are ours.
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


def ours(texts: list[str]) -> tuple[dict[str, float], dict[str, list[bool]]]:
    """(CPU seconds, which rows stay) of each filter; that which the Gopher filters share is `words, shared by three`."""
    import pyarrow as pa

    from tamis.operators.filters import gopher, web_pages
    from tamis.operators.mappers.web_lines import c4_lines

    spent: dict[str, float] = {}
    kept: dict[str, list[bool]] = {}
    for start in range(0, len(texts), BATCH):
        text, made = pa.array(texts[start : start + BATCH]), []

        def page(text: pa.Array = text) -> pa.Array:
            return web_pages.c4_quality(c4_lines(text).field("text"))

        for name, run in {
            "words, shared by three": lambda: made.append(gopher.runs(text)),  # noqa: B023
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
    ours(texts[:5])
    spent, kept = min((ours(texts) for _ in range(asked.rounds)), key=lambda told: sum(told[0].values()))
    others = {words: peer(asked.peer, texts, words) for words in ("spacy", "split")} if asked.peer else {}
    report(texts, size, spent, kept, others)


def report(texts: list[str], size: int, spent: dict[str, float], kept: dict[str, list[bool]], others: dict[str, list[Any]]) -> None:
    n = len(texts)
    print("| | ours, docs/cpu-s | MB/cpu-s |" + "".join(f" datatrove ({w}) | ours is ahead | decide alike |" for w in others))
    print("|---|--:|--:|" + "--:|--:|--:|" * len(others))

    def line(name: str, cost: float, cells: str) -> None:
        print(f"| {name} | {n / cost:,.0f} | {size / cost / 1e6:,.0f} |{cells}")

    for name, cost in spent.items():
        cells = ""
        for told, decided in others.values():
            if name in told:
                alike = sum(a == b for a, b in zip(decided[name], kept[name], strict=True)) / n
                cells += f" {n / told[name]:,.0f} | {told[name] / cost:,.0f}x | {alike:.2%} |"
            else:
                cells += " | | |"
        line(name, cost, cells)
    for title, names in (("both of Gopher, words too", list(spent)[:3]), ("all, words too", list(spent))):
        cost = sum(spent[name] for name in names)
        totals = [sum(told.get(name, 0.0) for name in names) for told, _ in others.values()]
        line(f"**{title}**", cost, "".join(f" {n / t:,.0f} | **{t / cost:,.0f}x** | |" for t in totals))


if __name__ == "__main__":
    main()
