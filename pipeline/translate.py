"""A recipe written for Data-Juicer, in our words: keys that it says otherwise, and what stands in for what is not at hand."""

import shlex
from pathlib import Path
from typing import Any

from . import data_juicer, steps

EVERYTHING = 10**9  # more broken rows than there are
SPACES = "spaces"


def translate(words: dict[str, Any], notes: list[str], wrong: list[str]) -> None:
    """Change `words` in place: Data-Juicer's other ways of saying what a key of ours says."""
    dataset = words.pop("dataset", None)
    if dataset and not words.get("dataset_path"):
        _dataset(dataset if isinstance(dataset, dict) else {}, words, notes, wrong)
    path = words.get("dataset_path")
    if isinstance(path, str) and " " in path.strip() and not Path(path).exists():
        words["dataset_path"] = _without_weights(path, notes)
    if words.get("load_jsonl_lenient") and "on_error" not in words:
        words["on_error"] = {"set_aside": EVERYTHING}
    if words.get("skip_op_error") is True and "on_error" not in words:
        words["on_error"] = {"set_aside": EVERYTHING}
        notes.append("skip_op_error: rows on which an operator fails go to the ledger, each by itself, and not their whole batch")
    if words.get("open_tracer"):
        notes.append("open_tracer: the ledger has every row that left, with step, number and bound; `tamis why` shows them")
    if str(words.get("executor_type", "")).startswith("ray"):
        notes.append("executor_type: ray runs on our local engine; `engine: spark` is the cluster")


def _dataset(dataset: dict[str, Any], words: dict[str, Any], notes: list[str], wrong: list[str]) -> None:
    configs = [c for c in dataset.get("configs") or [] if isinstance(c, dict)]
    local = [c["path"] for c in configs if c.get("type", "local") == "local" and c.get("path")]
    if not local or len(local) != len(dataset.get("configs") or []):
        wrong.append("dataset: only configs with 'type: local' and a path can be read; download remote sets first")
        return
    words["dataset_path"] = local
    most = dataset.get("max_sample_num")
    if most is not None and len(local) > 1:
        wrong.append("dataset.max_sample_num over several sets is not supported: run one recipe for each, with a random_selector")
    elif most is not None:
        words["process"] = [{"random_selector": {"select_num": most}}, *(words.get("process") or [])]
        notes.append(f"dataset.max_sample_num: a random_selector of {most} rows before the other steps")
    elif len({c.get("weight", 1.0) for c in configs}) > 1:
        notes.append("dataset: weights mean something only with max_sample_num; all rows are read, as Data-Juicer does")


def _without_weights(path: str, notes: list[str]) -> str | list[str]:
    """`0.3 a.jsonl 0.7 dir` as its paths; a text without weights as it is."""
    try:
        parts = shlex.split(path)
    except ValueError:
        return path
    paths = [p for p in parts if not _is_number(p)]
    if len(paths) == len(parts) or not paths:
        return path
    notes.append("dataset_path: weights mean something only with dataset.max_sample_num; all rows are read, as Data-Juicer does")
    return paths


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def adapt(process: list[Any], compat: str | None, substitutes: dict[str, str], notes: list[str], wrong: list[str]) -> list[Any]:
    """The steps (None: left out): `compat` given to operators that know two answers, substitutes put in, each with a note."""
    for name, instead in substitutes.items():
        known = (name == "tokenization" and instead == SPACES) or (instead == "skip" and steps.find(name) is not None)
        if not known:
            wrong.append(f"substitutes: write 'tokenization: {SPACES}' or 'OPERATOR: skip', not '{name}: {instead}'")
    return [_adapted(number, entry, compat, substitutes, notes) for number, entry in enumerate(process, 1)]


def _adapted(number: int, entry: Any, compat: str | None, substitutes: dict[str, str], notes: list[str]) -> Any:
    (op, given), = entry.items() if isinstance(entry, dict) and len(entry) == 1 else ((entry, None),)
    found = steps.find(op) or steps.find(data_juicer.ALIASES.get(op, "")) if isinstance(op, str) else None
    if found is None or not isinstance(given, dict | None):
        return entry
    if substitutes.get(op) == "skip":
        notes.append(f"step {number} ({op}) is left out, as substitutes says")
        return None
    given = dict(given or {})
    if given.get("tokenization") is True and substitutes.get("tokenization") == SPACES:
        given["tokenization"] = False
        notes.append(f"step {number} ({op}) splits words at spaces instead of by a tokenizer, as substitutes says")
    if compat is not None and "compat" in found.settings:
        given = {"compat": compat, **({"verify": False} if "verify" in found.settings else {}), **given}
    return {op: given}
