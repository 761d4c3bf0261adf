"""The record of a finished stage: the sums of its parts' counts."""

from collections import Counter
from typing import Any

from ..plan import Stage


def record(stage: Stage, done: dict[str, Any]) -> dict[str, Any]:
    """What done.json says of a stage, from its parts' records and facts."""
    by: Counter[str] = Counter()
    for part in done["records"]:
        by.update(part["by"])
    sums = {k: sum(part[k] for part in done["records"]) for k in ("rows_in", "rows_out", "left")}
    facts = {str(k): v for k, v in done.get("facts", {}).items()}
    return {"kind": stage.kind, "fingerprint": stage.fingerprint, "parts": len(done["records"]), **sums, "by": dict(by), "facts": facts}
