"""How many bands of how many minima: which pairs become candidates.

A pair of Jaccard similarity s shares one of b bands of r minima with probability 1 - (1 - s^r)^b
(Leskovec, Rajaraman, Ullman, Mining of Massive Datasets, section 3.4).
"""

import math
from functools import lru_cache

AT_THRESHOLD = 0.985  # of pairs exactly at the threshold are candidates; more of those above it (0.9987 at 0.75 with 34 x 6)
MOST = 1 << 16  # permutations: 7 times the most that have been published (9,000, RefinedWeb)


def candidate_probability(similarity: float, bands: int, rows: int) -> float:
    """Probability that a pair of that Jaccard similarity shares a band, 0 to 1."""
    return 1.0 - (1.0 - similarity**rows) ** bands


@lru_cache(maxsize=64)
def verified_bands(threshold: float, permutations: int) -> tuple[int, int]:
    """(bands, rows) where candidates are verified: as few bands of as many rows as find AT_THRESHOLD of pairs.

    More rows mean fewer false candidates; verification removes those that come, so recall decides. Where
    `permutations` do not suffice for any: all of them in bands of one.
    """
    for rows in range(permutations, 0, -1):
        share = threshold**rows  # probability of one band
        if share >= AT_THRESHOLD:
            return 1, rows
        bands = math.log(1.0 - AT_THRESHOLD) / math.log1p(-share) if share > 0.0 else math.inf  # inf too where it is tiny
        if bands <= permutations and math.ceil(bands) * rows <= permutations:
            return math.ceil(bands), rows
    return permutations, 1


@lru_cache(maxsize=64)
def balanced_bands(threshold: float, permutations: int) -> tuple[int, int]:
    """(bands, rows) where keys decide: the least sum of false positives and false negatives, Data-Juicer's choice."""
    from datasketch import MinHashLSH

    index = MinHashLSH(threshold=threshold, num_perm=permutations, weights=(0.5, 0.5))
    return index.b, index.r


def bands_and_rows(
    threshold: float, permutations: int, bands: int | None, rows: int | None, verify: bool
) -> tuple[int, int]:
    """(bands, rows) as given, or chosen for the threshold. Raises ValueError for settings that make no sense."""
    if not 0.0 < threshold <= 1.0:
        raise ValueError(f"jaccard_threshold must be above 0 and at most 1, it is {threshold}")
    if permutations < 1:
        raise ValueError(f"num_permutations is {permutations}: at least one is needed")
    if permutations > MOST:
        raise ValueError(f"num_permutations is {permutations}: more than {MOST} only cost time")
    if (bands is None) != (rows is None):
        raise ValueError("num_bands and num_rows_per_band go together: give both or neither")
    if bands is not None and rows is not None:
        if bands < 1 or rows < 1 or bands * rows > permutations:
            raise ValueError(f"{bands} bands of {rows} rows need {bands * rows} of {permutations} permutations")
        return bands, rows
    return (verified_bands if verify else balanced_bands)(threshold, permutations)
