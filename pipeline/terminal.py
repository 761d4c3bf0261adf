"""The two streams of the command: `out` for answers, `err` for progress and errors."""

import os
import sys
from pathlib import Path

from rich.console import Console

if sys.stdout is None:  # `>&-`: nobody listens
    sys.stdout = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115
# a pipe has no width: tables are then as wide as they need to be
out = Console(highlight=False, soft_wrap=True, width=None if sys.stdout.isatty() or "COLUMNS" in os.environ else 160)
err = Console(stderr=True, highlight=False, soft_wrap=True)
