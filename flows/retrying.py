"""What is tried again: lost workers and storage that hiccups, with pauses; what the recipe or the data did wrong is not."""

from typing import Any

from ..pipeline.errors import LostWorkerError, TamisError

LASTING = (PermissionError, NotADirectoryError, IsADirectoryError)  # a minute changes nothing about them


def worth_a_retry(_task: Any, _run: Any, state: Any) -> bool:
    """Whether what failed may succeed the next time."""
    error = state.result(raise_on_failure=False)
    if interrupted(error):
        return False
    if isinstance(error, LostWorkerError):
        return True
    told = error.__cause__ if isinstance(error, TamisError) else error
    return isinstance(told, OSError) and not isinstance(told, LASTING)


def interrupted(error: BaseException | None) -> bool:
    """Whether it came while the run was being stopped, as when Spark has gone before what wants to tell it so."""
    while error is not None:
        if not isinstance(error, Exception):
            return True
        error = error.__cause__ or error.__context__
    return False


RETRIED: dict[str, Any] = {
    "retries": 3, "retry_delay_seconds": [2, 10, 60], "retry_condition_fn": worth_a_retry, "persist_result": False,
}
