"""Texts of the sets of instruction data, as the benchmarks draw them: equal texts once, in the order of their hashes."""

import hashlib
import json
from pathlib import Path

import fsspec


def texts(data: Path, name: str) -> dict[str, str]:
    """Instruction, input and output by the sha256 of them, the smallest first."""
    found = {}
    with fsspec.open(str(data / f"{name}.jsonl.zst"), "rt", compression="zstd", encoding="utf-8") as file:
        for line in file:
            row = json.loads(line)
            text = row["instruction"] + ("\n" + row["input"] if row.get("input") else "") + "\n" + row["output"]
            found[hashlib.sha256(text.encode()).hexdigest()] = text
    return {key: found[key] for key in sorted(found)}
