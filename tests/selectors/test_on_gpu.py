"""Assignment by torch, on whichever device: the bits of the assignment on a CPU. (Here torch's device is a CPU too.)"""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tamis.selectors.parts import on_gpu
from tamis.selectors.parts.cluster import kmeans
from tamis.selectors.parts.lloyd import as_points, assign, assign_on

torch = pytest.importorskip("torch")


@given(n=st.integers(1, 60), k=st.integers(1, 9), d=st.integers(1, 12), seed=st.integers(0, 999), spherical=st.booleans(),
       same=st.booleans())
@settings(max_examples=60, deadline=None)
def test_every_label_and_distance_has_the_same_bits(n: int, k: int, d: int, seed: int, spherical: bool, same: bool) -> None:
    rng = np.random.default_rng(seed)
    points = as_points(rng.standard_normal((n, d)).astype(np.float32) + 0.01, spherical)
    centroids = as_points(rng.standard_normal((k, d)).astype(np.float32) + 0.01, spherical)
    if same:  # equal centroids, and some that float32 cannot tell apart: ties go to the lower number
        centroids = np.concatenate([centroids, centroids, centroids * np.float32(1 + 2e-7)])[rng.permutation(3 * k)]
    for mine, theirs in zip(assign_on("cpu", points, centroids, spherical), assign(points, centroids, spherical), strict=True):
        assert mine.tobytes() == theirs.tobytes() and mine.dtype == theirs.dtype


def test_a_clustering_with_it_is_the_clustering_without(monkeypatch: pytest.MonkeyPatch) -> None:
    points = np.random.default_rng(2).standard_normal((3000, 16)).astype(np.float32)
    plain, asked = kmeans(points, 20, seed=1), []
    nearest = on_gpu.nearest_two
    monkeypatch.setattr(on_gpu, "WORTH", 0)
    monkeypatch.setattr(on_gpu, "accelerator", lambda: "cpu")
    monkeypatch.setattr(on_gpu, "nearest_two", lambda *told: asked.append(len(told[0])) or nearest(*told))
    found = kmeans(points, 20, seed=1)
    assert asked == [3000] and found.inertia == plain.inertia
    assert all(getattr(found, name).tobytes() == getattr(plain, name).tobytes() for name in ("labels", "centroids", "distance"))


def test_what_the_process_asked_of_products_stays_as_it_was() -> None:
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("high")
    try:
        on_gpu.nearest_two(np.eye(3, dtype=np.float32), np.eye(3, dtype=np.float32), "cpu")
        assert torch.get_float32_matmul_precision() == "high"
    finally:
        torch.set_float32_matmul_precision(before)


def test_no_driver_no_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(on_gpu.Path, "exists", lambda self: False)
    on_gpu.accelerator.cache_clear()
    try:
        assert on_gpu.accelerator() is None
    finally:
        on_gpu.accelerator.cache_clear()
