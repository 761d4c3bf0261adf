"""Words under `tokenization: datatrove` beside datatrove's own: `python benchmarks/datatrove_words.py FILE ... --peer PYTHON`.

FILE: *.jsonl or *.jsonl.zst with a field `text` (or others). `--peer` is a Python in whose environment datatrove (0.10.1) and spacy
are installed: each document goes through its `simplify_text` and English word tokenizer, and through ours; told are documents with
any difference.
`--made N` adds N texts made of what such cutters get wrong. Besides:

    --rules     write operators/kernels/english_parts.py: what spaCy's rules come to on what `simplify_text` leaves
    --golden    write tests/golden/datatrove_words.jsonl: the peer's words of some short texts of the files, and of made ones
"""

import argparse
import json
import random
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

PEER = '''
import json, sys, time
from datatrove.utils.text import simplify_text
from datatrove.utils.word_tokenizers import load_word_tokenizer
cutter = load_word_tokenizer("en")
cutter.word_tokenize("warm")
began = time.process_time()
found = [" ".join(cutter.word_tokenize(simplify_text(text))) for text in json.load(open(sys.argv[1]))]
json.dump([found, time.process_time() - began], sys.stdout)
'''
RULES = '''
import json, sys, re
import spacy
from spacy.lang.char_classes import LIST_UNITS, ALPHA
from datatrove.utils.text import TextNormConfig, simplify_text
cutter = spacy.blank("en").tokenizer
cased = TextNormConfig(lowercase=False)
every = " ".join(chr(p) for p in range(0x30000) if not 0xD800 <= p < 0xE000)  # spaCy's lists end at 2FA1F
left = {*simplify_text(every), *simplify_text(every, cased)}
left.discard(" ")
split, whole = {}, []
for word, parts in cutter.rules.items():
    if set(word) <= left and "0" not in word:
        told = [[v for k, v in part.items() if str(k) in ("65", "ORTH")][0] for part in parts]
        if len(told) > 1:
            assert word.isascii() and word.isalpha() and len(told) < 4, word
            split[word] = told
        elif cutter.find_prefix(word) and not cutter.find_suffix(word):
            whole.append(word)
        elif cutter.find_suffix(word) or cutter.find_infix(word):
            print("left out:", word, file=sys.stderr)
assert cutter.token_match is None and not cutter.url_match("a" * 9)
units = sorted({u for u in LIST_UNITS if set(u) <= left})
kinds = {name: [] for name in ("OPENS", "CLOSES", "MONEY", "PARTS", "JOINS", "LETTERS")}
letter = re.compile("[" + ALPHA + "]")
for c in sorted(left):
    opens, closes, infix = cutter.find_prefix(c + "x"), cutter.find_suffix("x" + c), len(cutter.find_infix("\\x01" + c + "\\x01"))
    joins = len(cutter.find_infix("x" + c + "x"))
    assert max(opens, closes, infix, joins) <= 1 and all(cutter.find_prefix(c + b) == opens for b in "0x") and c not in "\\x01"
    money = not closes and cutter.find_suffix("0" + c) and c not in units
    told = opens, closes, money, infix, joins and not infix, letter.match(c)
    for name, is_so in zip(kinds, told):
        if is_so:
            kinds[name].append(ord(c))
for unit in units:
    assert cutter.find_suffix("0" + unit) == len(unit) and not cutter.find_suffix("x" + unit), unit
json.dump({"version": spacy.__version__, "split": split, "whole": sorted(whole), "units": units, "kinds": kinds}, sys.stdout)
'''
DATA = Path(__file__).parents[1] / "operators" / "kernels" / "english_parts.py"
GOLDEN = Path(__file__).parents[1] / "tests" / "golden" / "datatrove_words.jsonl"
NAMES = {
    "OPENS": "symbols that go from the front of a word", "CLOSES": "symbols that go from its end", "MONEY": "these only behind a 0",
    "PARTS": "symbols within a word, each a word of its own", "JOINS": "these only between letters",
    "LETTERS": "what counts as a letter there",
}
_PIECES = (
    "dont cant cannot gonna Gotta im Ima ill id itll theyllve whatdve shouldntve yall hows well em notve lets wont "
    "dontt adont x 0km 5kg 3.5mb 1,000km² 12µm 0к 7кг 3м² 10am 9pm 80s 2nd km kg5 5x 5kgx 0.5€ 5₽ €5 £ ₽x §a a§ 1€2 "
    "٣km ३kg ½km ² ☺ ☺☺ a☺b ☺dont dont☺ a☺dont ☺dont☺ © ©2020 ™ 5°c °c° → a→b ≠ a≠b ≠b 3≠4 a≮b ≯ 5≮b ॐ ⌘c ⓐ 漢字 漢⼀字 ㍿a "
    "꠨ ﷽ 🎉 x🎉🎉y 👩‍💻 🇩🇪 ‘tis ‘dont’ ‚a‘ 『a』 〔b〕 ⟦c⟧ ¿que? ¡no! a·b ؟ كم 5كم 3كوب ، ٪ 50٪ ۔ ؛ । ॥ don't can't I'm 've "
    "o'clock I’ve and/or a-b --a-- C++ e.g. ` ; ´ ` ; ´ · 〈a〉 가나 é́ ﬁn Σας İi ß \u200b \u200bx \ufeffa a\u00adb "
    "\u2060 ̈ a̐ 0\u0301km \x85 \u3000 ٫5 5٫5٫5km 1.2.3kg _a_ #dont @im"
)
PIECES = _PIECES.split(" ")


def read(path: Path) -> list[str]:
    import zstandard

    with zstandard.open(path, "rt", encoding="utf-8") if path.suffix == ".zst" else path.open(encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    return [row["text"] if "text" in row else "\n".join(v for v in row.values() if isinstance(v, str)) for row in rows]


def made(count: int, most: int = 40) -> Iterator[str]:
    """Texts of the pieces above, single code points from everywhere among them, with and without blanks between."""
    chance = random.Random(1)
    for _ in range(count):
        parts = []
        for _ in range(chance.randint(0, most)):
            point = chance.choice((chance.randint(0x80, 0x2FFF), chance.randint(0x80, 0xD7FF), chance.randint(0xE000, 0x1FFFF)))
            parts += [chance.choice(PIECES) if chance.random() < 0.8 else chr(point), chance.choice(("", " ", " ", "\n", "0", "a"))]
        yield "".join(parts)


def ours(texts: list[str]) -> tuple[list[str], float]:
    """(words of each text with a blank between, CPU seconds)."""
    import pyarrow as pa

    from tamis.operators.dedup.simplified import english_words

    english_words(pa.array(["warm"]), True)
    began = time.process_time()
    found = english_words(pa.array(texts, pa.large_string()), True)
    spent = time.process_time() - began
    return [" ".join(row.split()) for row in found.to_pylist()], spent


def peer(python: str, texts: list[str]) -> tuple[list[str], float]:
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump(texts, file)
        file.flush()
        told = subprocess.run([python, "-c", PEER, file.name], stdout=subprocess.PIPE, check=True, text=True).stdout
    found, spent = json.loads(told)
    return found, spent


def ranges(points: list[int]) -> str:
    """Hexadecimal: "9-d 20-40 5b", in lines."""
    parts: list[list[int]] = []
    for point in points:
        if parts and parts[-1][1] == point - 1:
            parts[-1][1] = point
        else:
            parts.append([point, point])
    return wrapped([f"{a:x}" if a == b else f"{a:x}-{b:x}" for a, b in parts])


def wrapped(words: list[str]) -> str:
    lines, line = [], ""
    for word in words:
        if len(line) + len(word) > 123:
            lines.append(line)
            line = ""
        line += word + " "
    return "(\n" + "".join(f'    "{one}"\n' for one in [*lines, line]) + ")"


def rules(python: str) -> str:
    """The text of english_parts.py."""
    told = json.loads(subprocess.run([python, "-c", RULES], check=True, stdout=subprocess.PIPE, text=True).stdout)
    kinds = "".join(f"# {what}\n{name} = {ranges(told['kinds'][name])}\n" for name, what in NAMES.items())
    apart = wrapped(["-".join(parts) for _, parts in sorted(told["split"].items())])
    return (
        f'"""What spaCy {told["version"]} (MIT licence) cuts of English without punctuation: '
        "made by benchmarks/datatrove_words.py.\n\n"
        "Of its tokenizer's rules those that apply to what datatrove's `simplify_text` leaves; code points as hexadecimal ranges.\n"
        f'"""\n\n# words with where they are cut\nAPART = {apart}\n'
        f"# words that stay whole though they begin with a symbol\nWHOLE = {wrapped(told['whole'])}\n"
        f"# units, cut off where they stand behind a 0\nUNITS = {wrapped(told['units'])}\n{kinds}")


def report(name: str, texts: list[str], python: str) -> None:
    (mine, spent), (theirs, cost) = ours(texts), peer(python, texts)
    size = sum(len(t.encode()) for t in texts) / 1e6
    differ = [i for i, pair in enumerate(zip(mine, theirs, strict=True)) if pair[0] != pair[1]]
    words = sum(row.count(" ") + 1 for row in theirs if row)
    print(f"| {name} | {len(texts):,} | {words:,} | {len(differ)} | {size / spent:,.0f} | {size / cost:,.1f} |", flush=True)
    for i in differ[:3]:
        a, b = mine[i].split(" "), theirs[i].split(" ")
        at = next(k for k in range(len(a) + 1) if a[k : k + 1] != b[k : k + 1])
        print("    differ:", a[max(0, at - 2) : at + 4], b[max(0, at - 2) : at + 4])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", type=Path, nargs="*")
    parser.add_argument("--peer", required=True)
    parser.add_argument("--documents", type=int, default=5000, help="of each file, evenly")
    parser.add_argument("--made", type=int, default=0)
    parser.add_argument("--rules", action="store_true")
    parser.add_argument("--golden", action="store_true")
    asked = parser.parse_args()
    if asked.rules:
        DATA.write_text(rules(asked.peer), "utf-8")
    texts = {path.name.partition(".")[0]: read(path) for path in asked.files}
    if asked.golden:
        short = [t[len(t) // 2 :][:160] for rows in texts.values() for t in rows[:: len(rows) // 70 + 1]]
        rows = [*short, *PIECES, *made(150, 15)]
        told = [json.dumps([t, w], ensure_ascii=False) for t, w in zip(rows, peer(asked.peer, rows)[0], strict=True)]
        GOLDEN.write_text("\n".join(told) + "\n", "utf-8")
    if asked.made:
        texts["made"] = list(made(asked.made))
    print("| texts | documents | words | documents that differ | ours, MB/cpu-s | datatrove, MB/cpu-s |\n|---|--:|--:|--:|--:|--:|")
    for name, rows in texts.items():
        report(name, rows[:: -(-len(rows) // asked.documents)] if name != "made" else rows, asked.peer)


if __name__ == "__main__":
    main()
