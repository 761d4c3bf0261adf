"""What is tried again: lost workers and storage that hiccups, with pauses; what the recipe or the data did wrong is not."""

from typing import Any

from ..pipeline.errors import LostWorkerError, TamisError


def worth_a_retry(_task: Any, _run: Any, state: Any) -> bool:
    """Whether what failed may succeed the next time."""
    try:
        state.result()
    except TamisError as e:
        return isinstance(e, LostWorkerError) or isinstance(e.__cause__, OSError)
    except OSError:
        return True
    return False


RETRIED: dict[str, Any] = {
    "retries": 3, "retry_delay_seconds": [2, 10, 60], "retry_condition_fn": worth_a_retry, "persist_result": False,
}
