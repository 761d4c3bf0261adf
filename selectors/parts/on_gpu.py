"""The nearest centroid of each row on a GPU, to the bit as on a CPU: what float32 cannot tell apart there is decided here."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import numpy as np

WORTH = 10**9  # pairs of row and centroid from which on rows travel to a GPU
AT_ONCE = 1 << 28  # of them, whose distances lie there at a time: 1 GiB


@cache
def accelerator() -> str | None:
    """`cuda` where this machine has an NVIDIA driver and torch sees a GPU (CUDA_VISIBLE_DEVICES= hides it); else None."""
    if not Path("/dev/nvidiactl").exists():  # torch takes seconds to import
        return None
    try:
        import torch
    except ImportError:
        return None
    return "cuda" if torch.cuda.is_available() else None


def nearest_two(points: np.ndarray, centroids: np.ndarray, device: str) -> tuple[np.ndarray, np.ndarray]:
    """int32[n], the centroid nearest to each point by float32; float32[n], by how much the next one's squared distance is larger.

    The gap is infinite where there is one centroid. Cost: O(n k d) there; the rows travel once.
    """
    import torch

    rows, others = (torch.from_numpy(np.ascontiguousarray(a, np.float32)).to(device) for a in (points, centroids))
    with torch.no_grad(), _whole_float32():
        squared = (others * others).sum(dim=1)[None] - 2 * (rows @ others.T)  # less the row's own length, the same for all
        found = torch.topk(squared, min(2, len(others)), dim=1, largest=False, sorted=True)
    labels = found.indices[:, 0].to(torch.int32).cpu().numpy()
    values = found.values.cpu().numpy()
    gap = values[:, 1] - values[:, 0] if values.shape[1] > 1 else np.full(len(points), np.inf, np.float32)
    return labels, gap


@contextmanager
def _whole_float32() -> Iterator[None]:
    """While it lasts, products of matrices are not rounded to TensorFloat-32, whatever the process has asked for."""
    import torch

    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)
