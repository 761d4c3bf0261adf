"""The record of a finished stage: the sums of its parts' counts."""

from collections import Counter
from typing import Any

from ..plan import Stage


def record(stage: Stage, done: dict[str, Any]) -> dict[str, Any]:
    """What done.json says of a stage, from its parts' records and facts."""
    by: Counter[str] = Counter()
    changed: Counter[str] = Counter()
    for part in done["records"]:
        by.update(part["by"])
        changed.update(part.get("changed", {}))
    sums = {k: sum(part[k] for part in done["records"]) for k in ("rows_in", "rows_out", "left")}
    facts = {str(k): v for k, v in done.get("facts", {}).items()} | {k: {"changed": n} for k, n in changed.items()}
    told = {"kind": stage.kind, "fingerprint": stage.fingerprint, "parts": len(done["records"]), "by": dict(by), "facts": facts}
    born = sum(part.get("born", 0) for part in done["records"])  # rows more, by texts cut into several
    aside = {"aside": done["aside"]} if "aside" in done else {}  # rows set aside by this pass and those before it
    return told | sums | ({"born": born} if born else {}) | aside
