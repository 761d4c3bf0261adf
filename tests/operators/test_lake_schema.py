"""SGB against brute force: every pair of schemas and no other."""

import random

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tamis.operators.lake.leaves import columns, leaves
from tamis.operators.lake.schema_graph import bitsets, distinct_schemas, edge_count, schema_pairs

NAMES = st.frozensets(st.sampled_from("abcdefgh"), max_size=6)


def brute(schemas: list[frozenset[str]]) -> set[tuple[int, int]]:
    return {(i, j) for i, a in enumerate(schemas) for j, b in enumerate(schemas) if i != j and b <= a}


@given(st.lists(NAMES, max_size=25))
def test_equals_brute_force_with_equal_empty_and_lonely_schemas(tables: list[frozenset[str]]) -> None:
    schemas, of = distinct_schemas(tables)
    assert [schemas[k] for k in of] == tables
    found = schema_pairs(schemas)
    assert {(int(p), int(c)) for p, c in found} == brute(schemas) and len(found) == len(brute(schemas))
    assert edge_count(found, of) == sum(b <= a for i, a in enumerate(tables) for j, b in enumerate(tables) if i != j)


def test_many_random_lakes() -> None:
    for seed in range(300):
        rng = random.Random(seed)
        words = [f"c{i}" for i in range(rng.choice([3, 20, 200]))]
        schemas, _ = distinct_schemas(rng.sample(words, rng.randrange(min(len(words), 12))) for _ in range(rng.randrange(40)))
        assert {(int(p), int(c)) for p, c in schema_pairs(schemas)} == brute(schemas), seed


def test_bits_of_a_wide_vocabulary() -> None:
    schemas = [frozenset(f"c{i}" for i in range(200)), frozenset({"c63", "c64", "c199"}), frozenset({"other"})]
    bits = bitsets(schemas)
    assert bits.shape == (3, 4) and [int(np.bitwise_count(row).sum()) for row in bits] == [200, 3, 1]
    assert schema_pairs(schemas).tolist() == [[0, 1]]


def test_structs_are_taken_apart_and_lists_stay_whole() -> None:
    schema = pa.schema([("a", pa.struct([("b", pa.int8()), ("c", pa.struct([("d", pa.string())]))])), ("e", pa.list_(pa.int8())),
                        ("f", pa.struct([]))])
    assert [leaf.name for leaf in leaves(schema)] == ["a.b", "a.c.d", "e", "f"]


def test_a_name_that_stands_twice_is_refused() -> None:
    with pytest.raises(ValueError, match="stand twice: a"):
        leaves(pa.schema([("a", pa.int8()), ("a", pa.int8())]))
    with pytest.raises(ValueError, match=r"a\.b"):
        leaves(pa.schema([("a", pa.struct([("b", pa.int8())])), ("a.b", pa.int8())]))


def test_the_depth_of_a_null_is_told() -> None:
    kind = pa.struct([("b", pa.struct([("c", pa.int8())]))])
    table = pa.table({"a": pa.array([{"b": {"c": 1}}, {"b": {"c": None}}, {"b": None}, None], kind)})
    (column,) = columns(table)
    assert column.depth is not None and column.depth.tolist() == [0, 0, 1, 2]
    assert column.values.to_pylist() == [1, None, None, None]
