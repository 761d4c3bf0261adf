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
        words["dataset_path"] = _without_weights(path, dataset if isinstance(dataset, dict) else {}, words, notes)
    if words.pop("load_jsonl_lenient", None) and "on_error" not in words:
        words["on_error"] = {"set_aside": EVERYTHING}
        notes.append("load_jsonl_lenient: lines that cannot be read go to the ledger, each with the reason")
    if "custom-operator-paths" in words:
        words.setdefault("custom_operator_paths", words.pop("custom-operator-paths"))
    if words.get("skip_op_error") is True and "on_error" not in words:
        words["on_error"] = {"set_aside": EVERYTHING}
        notes.append("skip_op_error: rows on which an operator fails go to the ledger, each by itself, and not their whole batch")
    if str(words.get("executor_type", "")).startswith("ray"):
        notes.append("executor_type: ray runs on our local engine; `engine: spark` is the cluster")


def _dataset(dataset: dict[str, Any], words: dict[str, Any], notes: list[str], wrong: list[str]) -> None:
    configs = [c for c in dataset.get("configs") or [] if isinstance(c, dict)]
    local = [c["path"] for c in configs if c.get("type", "local") in ("local", "ondisk") and c.get("path")]
    if not local or len(local) != len(dataset.get("configs") or []):
        wrong.append("dataset: only configs with 'type: local' and a path can be read; download remote sets first")
        return
    words["dataset_path"] = local
    most, weights = dataset.get("max_sample_num"), [c.get("weight", 1.0) for c in configs]
    if most is not None:
        _mixture(local, weights, most, words, notes)
    elif len(set(weights)) > 1:
        notes.append("dataset: weights mean something only with max_sample_num; all rows are read, as Data-Juicer does")


def _mixture(paths: list[Any], weights: list[Any], most: Any, words: dict[str, Any], notes: list[str]) -> None:
    """A first step that takes `most` rows of these sets, by their weights."""
    shares = [float(w) if isinstance(w, int | float) else w for w in weights]
    step = {"mixture_selector": {"paths": paths, "weights": shares, "max_sample_num": most}}
    words["process"] = [step, *(words.get("process") or [])]
    notes.append(f"dataset.max_sample_num: a mixture_selector of {most} rows before the other steps, which count from 2 then")


def _without_weights(path: str, dataset: dict[str, Any], words: dict[str, Any], notes: list[str]) -> str | list[str]:
    """`0.3 a.jsonl 0.7 dir` as its paths; a text without weights as it is. A path without a weight has 1."""
    try:
        parts = shlex.split(path)
    except ValueError:
        return path
    paths = [p for p in parts if not _is_number(p)]
    if len(paths) == len(parts) or not paths:
        return path
    pairs = zip(["", *parts], parts, strict=False)
    weights = [float(before) if _is_number(before) else 1.0 for before, p in pairs if not _is_number(p)]
    most = dataset.get("max_sample_num") or words.pop("max_sample_num", None)
    if most is not None:
        _mixture(paths, weights, most, words, notes)
    else:
        notes.append("dataset_path: weights mean something only with max_sample_num; all rows are read, as Data-Juicer does")
    return paths


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


# Operators whose answers are others than Data-Juicer's on some rows: what it does, and ours do only where asked.
DIFFERENT = {
    "document_minhash_deduplicator": "of texts shorter than the window it keeps one and deletes all others",
    "document_simhash_deduplicator": "of texts shorter than the window it keeps one and deletes all others",
    "specified_numeric_field_filter": "it takes 0 for no number, and the row leaves",
}


def differing(process: list[Any], notes: list[str]) -> None:
    """Notes on the steps of a recipe of Data-Juicer's whose answers are others here."""
    for number, entry in enumerate(process, 1):
        op = next(iter(entry)) if isinstance(entry, dict) and len(entry) == 1 else entry
        if isinstance(op, str) and (told := DIFFERENT.get(data_juicer.ALIASES.get(op, op))):
            notes.append(f"step {number} ({op}): other than in Data-Juicer: {told} (compat: data-juicer does so here)")


def adapt(process: list[Any], compat: str | None, substitutes: dict[str, str], notes: list[str], wrong: list[str]) -> list[Any]:
    """The steps (None: left out): `compat` given to operators that know two answers, substitutes put in, each with a note."""
    for name, instead in substitutes.items():
        known = (name == "tokenization" and instead == SPACES) or (instead == "skip" and steps.find(name) is not None)
        if not known:
            wrong.append(f"substitutes: write 'tokenization: {SPACES}' or 'OPERATOR: skip', not '{name}: {instead}'")
    given: dict[str, dict[str, Any]] = {}
    return [_adapted(number, _leaked(number, entry, compat, given, notes), compat, substitutes, notes)
            for number, entry in enumerate(process, 1)]


def _leaked(number: int, entry: Any, compat: str | None, before: dict[str, dict[str, Any]], notes: list[str]) -> Any:
    """The step; with `compat`, as Data-Juicer has it: with the settings of all earlier steps of that operator as defaults."""
    (op, given), = entry.items() if isinstance(entry, dict) and len(entry) == 1 else ((entry, None),)
    if not isinstance(op, str) or not isinstance(given, dict | None):
        return entry
    own = given or {}
    leaks = {k: v for k, v in before.get(op, {}).items() if k not in own}
    before[op] = {**before.get(op, {}), **own}
    if not leaks:
        return entry
    told = ", ".join(f"{k}: {v}" for k, v in leaks.items())
    if compat:
        notes.append(f"step {number} ({op}) has {told} from an earlier step of that name, as Data-Juicer does")
        return {op: {**leaks, **own}}
    notes.append(f"step {number} ({op}) has its own defaults; Data-Juicer would carry over {told} from an earlier step of that "
                 "name (compat: data-juicer does)")
    return entry


def _adapted(number: int, entry: Any, compat: str | None, substitutes: dict[str, str], notes: list[str]) -> Any:
    (op, given), = entry.items() if isinstance(entry, dict) and len(entry) == 1 else ((entry, None),)
    found = steps.find(op) or steps.find(data_juicer.ALIASES.get(op, "")) if isinstance(op, str) else None
    if found is None or not isinstance(given, dict | None):
        return entry
    if substitutes.get(op) == "skip":
        notes.append(f"step {number} ({op}) is left out, as substitutes says")
        return None
    given = dict(given or {})
    if op.endswith("_with_uid"):  # the row with the smallest __dj__uid stays
        given = {"keep": "oldest", "score_key": "__dj__uid", **given}
    if given.get("tokenization") is True and substitutes.get("tokenization") == SPACES:
        given["tokenization"] = False
        notes.append(f"step {number} ({op}) splits words at spaces instead of by a tokenizer, as substitutes says")
    if compat is not None and "compat" in found.settings:
        given = {"compat": compat, **({"verify": False} if "verify" in found.settings else {}), **given}
    return {op: given}
