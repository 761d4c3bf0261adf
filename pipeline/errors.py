"""The errors, by what they mean for the run.

    TamisError
    ├── RecipeError      the user's words: found before any data is read, unless only the data can tell
    ├── ReadError        an input line or file that cannot be read, with file, line and reason
    ├── OperatorError    an operator failed on a row: recipe, step, file, row
    ├── SelectionError   a selector cannot meet what was asked
    ├── LostRowError     the ledger does not add up: a bug of ours, never the user's
    ├── StaleError       what lies in the workspace was made by something else than what is asked now
    ├── GuardError       more rows left than the recipe's guards allow
    └── LostWorkerError  a worker process died; what it had finished is kept

Leaves raise plain ValueError with one good sentence; the spine locates it. Exit codes: see `cli.py`.
"""

from collections.abc import Iterable
from difflib import get_close_matches


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """` Did you mean 'x'?` for the known word nearest to `word`, or nothing."""
    near = get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f" Did you mean {near[0]!r}?" if near else ""


class TamisError(Exception):
    """Base of all errors that tamis raises on purpose."""

    exit_code = 1
    title: str | None = None  # what the command line calls it, where its class does not say enough


class RecipeError(TamisError):
    """The recipe asks for something that cannot be: every problem found is a line of the message."""

    exit_code = 2


class ReadError(TamisError):
    """An input that cannot be read."""


class OperatorError(TamisError):
    """An operator failed on a row."""


class SelectionError(TamisError):
    """A selector cannot meet what was asked."""


class LostRowError(TamisError):
    """Rows in differ from rows out plus ledger lines."""


class StaleError(TamisError):
    """The workspace holds results of another recipe, input or version, or another run is writing there."""


class GuardError(TamisError):
    """More rows left than the recipe's guards allow: nothing is exported."""


class LostWorkerError(TamisError):
    """A worker process died. Finished parts are kept: running again goes on from there."""
