"""Starting light: what a run does not use is not loaded when its process starts.

pyarrow looks for pandas at the first array that is made of Python values, numba for scipy (for matrix products in compiled
code, of which there are none here) when it loads its first kernel: together a fifth of the CPU seconds of a small run.
"""

import importlib.abc
import importlib.machinery
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import ModuleType


class _Absent(importlib.abc.MetaPathFinder):
    """Says of one library, and of what is in it, that it is not installed."""

    def __init__(self, name: str) -> None:
        self.name = name

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname == self.name or fullname.startswith(f"{self.name}."):
            raise ModuleNotFoundError(f"{fullname} is not loaded now", name=fullname)
        return None


@contextmanager
def without(name: str) -> Iterator[None]:
    """In the block, whoever looks for this library does not find it; what of it is loaded already is left as it is."""
    finder = _Absent(name)
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)


def load() -> None:
    """Load pyarrow and numba without what they look for. For processes of our own, not for those of a user.

    Whoever needs pandas later (`to_pandas`, a user's function) gets it: pyarrow looks for it again where it cannot do without.
    """
    with without("pandas"):
        import pyarrow as pa

        pa.array([0])
    with without("scipy"):
        import numba.np.arraymath  # noqa: F401
