"""Every text operator side by side with Data-Juicer's: the same answers on real and made-up documents, and how long each took.

    python benchmarks/juicer_parity.py --data DIR [DIR ...] --peer PYTHON [--docs 10000] [--only NAME ...]

`--data` are folders or files of JSON lines with `text` (and `lang` or `label`, where they know it); `--peer` a Python in whose
environment py-data-juicer 1.6.1 is installed (with selectolax, opencc, ftfy). Half of the documents are real, evenly from every
file and language, half are made of pieces of real ones, marks of 30 scripts and what breaks programs. Without `--peer` only our
times are told. Differences that are known and meant are listed as such. Deduplicators are compared by the rows that they keep,
ours with `compat: data-juicer`.
"""

import argparse
import importlib
import io
import itertools
import json
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

# operator -> (module and class of the peer, settings to try)
MAPPERS: dict[str, tuple[str, list[dict[str, Any]]]] = {
    "whitespace_normalization_mapper": ("WhitespaceNormalizationMapper", [{}]),
    "punctuation_normalization_mapper": ("PunctuationNormalizationMapper", [{}]),
    "clean_email_mapper": ("CleanEmailMapper", [{}, {"repl": "<E>"}]),
    "clean_links_mapper": ("CleanLinksMapper", [{}]),
    "clean_ip_mapper": ("CleanIpMapper", [{}]),
    "clean_html_mapper": ("CleanHtmlMapper", [{}]),
    "clean_copyright_mapper": ("CleanCopyrightMapper", [{}]),
    "expand_macro_mapper": ("ExpandMacroMapper", [{}]),
    "remove_bibliography_mapper": ("RemoveBibliographyMapper", [{}]),
    "remove_comments_mapper": ("RemoveCommentsMapper", [{}]),
    "remove_header_mapper": ("RemoveHeaderMapper", [{}, {"drop_no_head": False}]),
    "remove_long_words_mapper": ("RemoveLongWordsMapper", [{"max_len": 25}, {"min_len": 3}]),
    "remove_words_with_incorrect_substrings_mapper": ("RemoveWordsWithIncorrectSubstringsMapper", [{}]),
    "remove_specific_chars_mapper": ("RemoveSpecificCharsMapper", [{}]),
    "remove_non_chinese_character_mapper": ("RemoveNonChineseCharacterlMapper", [{}, {"keep_punc": False}]),
    "remove_repeat_sentences_mapper": ("RemoveRepeatSentencesMapper", [{}, {"lowercase": True, "ignore_special_character": False}]),
    "remove_table_text_mapper": ("RemoveTableTextMapper", [{"max_col": 4}]),
    "replace_content_mapper": ("ReplaceContentMapper", [{"pattern": r"\d+", "repl": "#"}]),
    "pii_redaction_mapper": ("PiiRedactionMapper", [{}, {"mask_urls": True}]),
    "fix_unicode_mapper": ("FixUnicodeMapper", [{}]),
}
FILTERS: dict[str, tuple[str, str, list[dict[str, Any]]]] = {
    "alphanumeric_filter": ("AlphanumericFilter", "alnum_ratio", [{}]),
    "average_line_length_filter": ("AverageLineLengthFilter", "avg_line_length", [{}]),
    "maximum_line_length_filter": ("MaximumLineLengthFilter", "max_line_length", [{}]),
    "text_length_filter": ("TextLengthFilter", "text_len", [{}]),
    "words_num_filter": ("WordsNumFilter", "num_words", [{}]),
    "character_repetition_filter": ("CharacterRepetitionFilter", "char_rep_ratio", [{}, {"rep_len": 3}]),
    "word_repetition_filter": ("WordRepetitionFilter", "word_rep_ratio", [{}, {"rep_len": 2}]),
    "special_characters_filter": ("SpecialCharactersFilter", "special_char_ratio", [{}]),
    "stopwords_filter": ("StopWordsFilter", "stopwords_ratio", [{}, {"lang": "all"}]),
    "flagged_words_filter": ("FlaggedWordFilter", "flagged_words_ratio", [{"lang": "all"}]),
}
DEDUPLICATORS: dict[str, tuple[str, list[dict[str, Any]]]] = {
    "document_deduplicator": ("DocumentDeduplicator", [{}, {"lowercase": True, "ignore_non_character": True}]),
    "document_minhash_deduplicator": ("DocumentMinhashDeduplicator", [{}, {"tokenization": "character", "jaccard_threshold": 0.5}]),
}
LISTS = str(Path(__file__).resolve().parents[1] / "recipes" / "tables")
KNOWN: dict[str, str] = {}  # operator -> why its answer may differ
MARKS = [
    "é", "e\u0301", "ß", "İ", "Σ", "ς", "中", "文", "。", "，", "“", "”", "’", "…", "……", "한", "ก", "อ", "ا", "ه", "हि",
    "ख", "я", "Ж", "α", "ﬁ", "１", "％", "😀", "👨‍👩‍👧", "\u200b", "\u00a0", "\u3000", "\u2028", "\x85", "\x0b", "\x1c",
    "\r\n", "\t", "\n", "\n\n", "  ", "\x00", "\ufeff", "\u202e", "Ã©", "&amp;", "<b>", "</p>", "<li>", "<table>",
    "http://a.de/b(c)", "www.x.org", "me@x.co", "1.2.3.4", "a|b|c\nd|e|f\n", "%", "\\%", "\\section{A}",
    "\\newcommand{\\R}{r}\n", "\\R ", "\\bibliography{x}", "/* copyright */", "// ", "# ", "password=x", "13812345678",
    "/home/x", ".", "!", "?", "-", "►",
]


def documents(folders: list[Path], count: int, seed: int = 0) -> tuple[list[str], int]:
    """Half real ones, cut at 20,000 characters, half pieces and marks; and how many languages the real ones are said to be in."""
    rng = random.Random(seed)
    files = [f for folder in folders for f in (sorted(folder.rglob("*.jsonl*")) if folder.is_dir() else [folder])]
    rows = [row for file in files for row in _texts(file, count // 2 // len(files) + 1)][: count // 2]
    real = [text[:20_000] for text, _ in rows]
    made = []
    for _ in range(count - len(real)):
        parts = []
        for _ in range(rng.randint(0, 30)):
            base = rng.choice(real)
            at = rng.randrange(max(len(base), 1))
            parts.append(rng.choice(MARKS) if rng.random() < 0.6 else base[at : at + rng.randint(1, 60)])
        made.append("".join(parts))
    return real + made, len({lang for _, lang in rows if lang})


def _texts(path: Path, each: int) -> list[tuple[str, str | None]]:
    """`each` texts of a file, evenly from beginning to end, and the language of each, where it is told."""
    import zstandard

    raw = path.open("rb")
    stream = zstandard.ZstdDecompressor().stream_reader(raw) if path.suffix == ".zst" else raw
    rows = [json.loads(line) for line in itertools.islice(io.TextIOWrapper(stream, encoding="utf-8"), 40_000)]
    found = [(r["text"], r.get("lang") or r.get("label")) for r in rows if isinstance(r.get("text"), str)]
    return found[:: max(1, len(found) // each)][:each]


def peer(file: str) -> None:
    """In the peer's Python: answer every case of a file, one JSON line each."""
    asked = json.loads(Path(file).read_text("utf-8"))
    for name, settings in asked["cases"]:
        if name in DEDUPLICATORS:
            print("ANSWER" + json.dumps(_peer_keeps(name, settings, asked["texts"])), flush=True)
            continue
        module = importlib.import_module(f"data_juicer.ops.{'mapper' if name in MAPPERS else 'filter'}.{name}")
        op = getattr(module, (MAPPERS.get(name) or FILTERS[name])[0])(**settings)
        began = time.process_time()
        if name in MAPPERS:
            texts = list(asked["texts"])
            answer = op.process_batched({"text": texts})["text"] if hasattr(op, "process_batched") and op.is_batched_op() else [
                op.process_single({"text": t})["text"] for t in texts]
        else:
            samples = {"text": asked["texts"], "__dj__stats__": [{} for _ in asked["texts"]]}
            answer = [s[FILTERS[name][1]] for s in op.compute_stats_batched(samples)["__dj__stats__"]]
        print("ANSWER" + json.dumps([time.process_time() - began, answer]), flush=True)


def _peer_keeps(name: str, settings: dict[str, Any], texts: list[str]) -> tuple[float, list[int]]:
    """In the peer's Python: seconds, and the numbers of the rows that it keeps."""
    from data_juicer.core.data import NestedDataset

    module = importlib.import_module(f"data_juicer.ops.deduplicator.{name}")
    op = getattr(module, DEDUPLICATORS[name][0])(**settings)
    rows = NestedDataset.from_list([{"text": t, "n": i} for i, t in enumerate(texts)])
    began = time.process_time()
    kept, _ = op.process(rows.map(op.compute_hash))
    return time.process_time() - began, list(kept["n"])


def _we_keep(name: str, settings: dict[str, Any], texts: list[str]) -> tuple[float, list[int]]:
    """Seconds of a whole run, and the numbers of the rows that we keep."""
    import pyarrow as pa

    from tamis.pipeline.run import apply

    rows = pa.table({"text": texts, "n": range(len(texts))})
    began = time.process_time()
    made = apply([{name: settings}], rows, compat="data-juicer")
    return time.process_time() - began, made.table.column("n").to_pylist()


def ours(name: str, settings: dict[str, Any], column: Any) -> tuple[float, list[Any]]:
    """Seconds and answers of our operator."""
    from tamis.operators import catalog
    from tamis.pipeline import resources

    op = catalog.by_name(name)
    given = {k: s.default for k, s in op.settings.items()} | settings
    handed = resources.load(resources.pin(op, given))
    features = {f.name: f.function for f in catalog.table("feature")}

    def call(text: Any) -> Any:
        return op.function(*(features[n](text) if n in features else text for n in op.reads), **settings, **handed)

    call(column[:50])  # compiled
    began = time.process_time()
    answer = call(column)
    return time.process_time() - began, answer.to_pylist()


def same(a: Any, b: Any) -> bool:
    """Equal; numbers to 1e-9."""
    return a == b or (isinstance(a, float | int) and isinstance(b, float | int) and abs(a - b) <= 1e-9)


def main() -> None:
    """Run all cases and print a line for each."""
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--data", type=Path, nargs="+", required=True)
    asked.add_argument("--peer")
    asked.add_argument("--docs", type=int, default=10_000)
    asked.add_argument("--only", nargs="*", default=[])
    told = asked.parse_args()
    import pyarrow as pa

    texts, languages = documents(told.data, told.docs)
    size = sum(len(t.encode()) for t in texts) / 1e6
    column = pa.array(texts, pa.string())
    cases = [(n, s) for n, (_, tries) in MAPPERS.items() for s in tries]
    lists = {"stopwords_filter": {"stopwords_dir": LISTS}, "flagged_words_filter": {"flagged_words_dir": LISTS}}
    cases += [(n, s | lists.get(n, {}))
              for n, (_, _, tries) in FILTERS.items() for s in tries]
    cases += [(n, s) for n, (_, tries) in DEDUPLICATORS.items() for s in tries]
    cases = [c for c in cases if not told.only or c[0] in told.only]
    theirs = _ask(told.peer, texts, cases) if told.peer else iter(())
    print(f"{len(texts)} documents, {size:.1f} MB, {languages} languages")
    print(f"{'operator':48} {'ours MB/s':>10} {'peer MB/s':>10} {'times':>7}  different")
    wrong = 0
    for name, settings in cases:
        seconds, answer = _we_keep(name, settings, texts) if name in DEDUPLICATORS else ours(name, settings, column)
        line = f"{name + (' ' + str(settings) if settings else ''):48.48} {size / max(seconds, 1e-6):10.1f}"
        if told.peer:
            peer_seconds, wanted = next(theirs)
            if name in DEDUPLICATORS:
                bad = sorted(set(answer) ^ set(wanted))
            else:
                bad = [i for i, (a, b) in enumerate(zip(answer, wanted, strict=True)) if not same(a, b)]
            wrong += len(bad) if name not in KNOWN else 0
            line += f" {size / max(peer_seconds, 1e-6):10.1f} {peer_seconds / max(seconds, 1e-6):7.1f}  {len(bad)} "
            line += KNOWN.get(name, "") if bad else ""
            for i in bad[:2] if name not in DEDUPLICATORS else ():
                line += f"\n    {texts[i][:200]!r}\n    ours {str(answer[i])[:200]!r}\n    peer {str(wanted[i])[:200]!r}"
        print(line, flush=True)
    sys.exit(1 if wrong else 0)


def _ask(python: str, texts: list[str], cases: list[Any]) -> Iterator[tuple[float, list[Any]]]:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "cases.json"
        file.write_text(json.dumps({"texts": texts, "cases": cases}), "utf-8")
        call = [python, __file__, "--answer", str(file)]
        with subprocess.Popen(call, stdout=subprocess.PIPE, text=True, encoding="utf-8") as process:
            assert process.stdout is not None
            for line in process.stdout:
                if line.startswith("ANSWER"):
                    seconds, answer = json.loads(line.removeprefix("ANSWER"))
                    yield seconds, answer


if __name__ == "__main__":
    if sys.argv[1:2] == ["--answer"]:
        peer(sys.argv[2])
    else:
        main()
