"""Near-duplicate removal by ours and by the peers, over the same 5-word shingles (lower case, split at blanks).

Each function takes an Arrow column, a threshold, the number of permutations and of workers, and answers bool[n]: which rows
are removed. A peer that is not installed raises ImportError. Each works as its own documentation shows, in bulk where it can.
"""

import importlib.util
import os
import struct
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import xxhash

from tamis.operators.dedup.bands import balanced_bands
from tamis.operators.dedup.components import components
from tamis.operators.dedup.edges import Edges, joined, link, lists, shared
from tamis.operators.dedup.minhash import minhash_keys
from tamis.operators.dedup.shingles import shingle_sets

WINDOW = 5
Find = Callable[[pa.Array, float, int, int], np.ndarray]


def _halves(make: Callable[[pa.Array], pa.Array], text: pa.Array, workers: int) -> pa.Array:
    """`make` of each of `workers` stretches, in as many threads: kernels let go of the interpreter."""
    if workers == 1:
        return make(text)
    cuts = [len(text) * i // workers for i in range(workers + 1)]
    with ThreadPoolExecutor(workers) as pool:
        return pa.concat_arrays(list(pool.map(lambda i: make(text.slice(cuts[i], cuts[i + 1] - cuts[i])), range(workers))))


def _removed(edges: Edges, n: int) -> np.ndarray:
    return components(edges.a, edges.b, n) != np.arange(n)


def tamis_verified(text: pa.Array, threshold: float, permutations: int, workers: int) -> np.ndarray:
    keys = _halves(lambda part: minhash_keys(part, jaccard_threshold=threshold, num_permutations=permutations), text, workers)
    buckets, suspect = shared(lists(keys)), np.zeros(len(text), bool)
    suspect[buckets.rows] = True
    sets = _halves(shingle_sets, pc.if_else(pa.array(suspect), text, pa.scalar(None, text.type)), workers)
    return _removed(joined(buckets, lists(sets), threshold), len(text))


def tamis_unverified(text: pa.Array, threshold: float, permutations: int, workers: int) -> np.ndarray:
    keys = _halves(
        lambda part: minhash_keys(part, jaccard_threshold=threshold, num_permutations=permutations, verify=False), text, workers)
    return _removed(link(keys, None), len(text))


def shingles(content: str) -> list[str]:
    """The distinct runs of WINDOW words; all of them where there are fewer."""
    tokens = [token for token in content.lower().split(" ") if token]
    width = min(WINDOW, len(tokens))
    return list({" ".join(tokens[i : i + width]) for i in range(len(tokens) - width + 1)}) if tokens else []


def rensa(text: pa.Array, threshold: float, permutations: int, workers: int) -> np.ndarray:
    from rensa import RMinHashDeduplicator

    most = 1.4 * balanced_bands(threshold, permutations)[0]  # its bands divide the permutations: 32 x 8 of 256 at 0.7
    bands = max(b for b in range(1, permutations + 1) if permutations % b == 0 and b <= most)
    index = RMinHashDeduplicator(threshold, permutations, True, bands, 42)
    rows = text.to_pylist()
    fresh: list[bool] = []
    for low in range(0, len(rows), 10_000):
        fresh += index.add_pairs([(str(low + i), shingles(row)) for i, row in enumerate(rows[low : low + 10_000])])
    return ~np.array(fresh)


def datasketch(text: pa.Array, threshold: float, permutations: int, workers: int) -> np.ndarray:
    from datasketch import MinHash, MinHashLSH

    a, b = [], []
    index = MinHashLSH(threshold=threshold, num_perm=permutations)
    blank = MinHash(num_perm=permutations)
    for row, content in enumerate(text.to_pylist()):
        found = shingles(content)
        if found:
            sketch = blank.copy()
            sketch.update_batch([s.encode() for s in found])
            others = index.query(sketch)
            a += others
            b += [row] * len(others)
            index.insert(row, sketch, check_duplication=False)
    return components(np.array(a, np.int64), np.array(b, np.int64), len(text)) != np.arange(len(text))


class _Blanks:
    def word_tokenize(self, text: str) -> list[str]:
        return [token for token in text.split(" ") if token]


def datatrove(text: pa.Array, threshold: float, permutations: int, workers: int) -> np.ndarray:
    from datatrove.data import Document
    from datatrove.pipeline.dedup import minhash
    from datatrove.utils.text import TextNormConfig

    minhash.load_word_tokenizer = lambda language: _Blanks()  # the same words for all; its spaCy is slower by far
    bands, rows = balanced_bands(threshold, permutations)
    norm = TextNormConfig(
        lowercase=True, norm_whitespace=False, remove_punctuation=False, norm_unicode_diacritics=False, norm_numbers=False)
    how = minhash.MinhashConfig(n_grams=WINDOW, num_buckets=bands, hashes_per_bucket=rows, norm_config=norm)
    gone = np.zeros(len(text), bool)
    with tempfile.TemporaryDirectory() as folder:
        documents = (Document(text=row, id=str(i)) for i, row in enumerate(text.to_pylist()))
        signing = minhash.MinhashDedupSignature(f"{folder}/signatures", how)
        signing._hash_func = lambda words: xxhash.xxh64_intdigest(words.encode())  # its own call fails with xxhash 4
        signing.run(documents)
        for band in range(bands):
            minhash.MinhashDedupBuckets(f"{folder}/signatures", f"{folder}/buckets", config=how).run(None, band, bands)
        minhash.MinhashDedupCluster(f"{folder}/buckets", f"{folder}/removed", config=how).run(None, 0, 1)
        for path in Path(folder, "removed").glob("*.remove"):
            gone[[n for (n,) in struct.iter_unpack("<I", path.read_bytes())]] = True
    return gone


def data_juicer(text: pa.Array, threshold: float, permutations: int, workers: int) -> np.ndarray:
    os.environ["TQDM_DISABLE"] = "1"
    if importlib.util.find_spec("data_juicer") is None:
        raise ImportError("data_juicer")
    from data_juicer.ops.deduplicator.document_minhash_deduplicator import DocumentMinhashDeduplicator
    from datasets import Dataset, disable_progress_bars
    from loguru import logger

    logger.remove()
    disable_progress_bars()
    op = DocumentMinhashDeduplicator(
        tokenization="space", window_size=WINDOW, lowercase=True, num_permutations=permutations, jaccard_threshold=threshold)
    rows = Dataset.from_dict({"text": text.to_pylist(), "row": list(range(len(text)))})
    kept, _ = op.process(rows.map(op.compute_hash, num_proc=workers if workers > 1 else None))
    gone = np.ones(len(text), bool)
    gone[np.array(kept["row"], np.int64)] = False
    return gone


SYSTEMS: dict[str, Find] = {
    "tamis, verified": tamis_verified, "tamis, unverified": tamis_unverified, "rensa": rensa, "datasketch": datasketch,
    "datatrove": datatrove, "data-juicer": data_juicer,
}
