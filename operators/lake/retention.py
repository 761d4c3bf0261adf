"""Which tables to keep (OPT-RET): the cheapest set such that every other table can be rebuilt from a kept parent.

    min  sum R_v x_v + sum K_e y_e     x_v = 1: keep v;  y_e = 1: rebuild v from u over the edge e = (u, v)
    x_v + sum y_e = 1 for every v;  y_e <= x_u;  sum over parents of x_u >= copies (1 - x_v)

Source: Shah et al., R2D2 (SIGMOD 2024), OPT-RET. One hop is enough: containment is transitive. The y may be continuous:
with x given, each deleted table takes its cheapest kept parent. Duplicates are cycles and need no care: y_e <= x_u keeps
one of them.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from .milp import solved
from .tree import is_forest, tree_program


@dataclass(frozen=True)
class Problem:
    """Costs of keeping, and of every usable way to rebuild.

    Attributes:
        keep: float64[n], R_v. parent, child: int64[e]. rebuild: float64[e], K_e.
        must: bool[n], tables that stay. copies: a deleted table has at least so many kept parents.
    """

    keep: np.ndarray
    parent: np.ndarray
    child: np.ndarray
    rebuild: np.ndarray
    must: np.ndarray
    copies: int = 1


@dataclass(frozen=True)
class Retention:
    """What stays. `edge`: int64[n], the edge that a deleted table is rebuilt by, -1: kept. `bound`: no choice costs less."""

    kept: np.ndarray
    edge: np.ndarray
    cost: float
    bound: float
    solved: dict[str, int] = field(default_factory=dict)

    @property
    def gap(self) -> float:
        """(cost - bound) / cost: 0 where the choice is proved the cheapest."""
        return max(0.0, (self.cost - self.bound) / self.cost) if self.cost > 0 else 0.0


def keep_all(problem: Problem) -> float:
    """The cost of keeping everything."""
    return float(problem.keep.sum())


def greedy(problem: Problem) -> Retention:
    """Delete what saves most, then the next, as long as every deleted table keeps its parents. The simple way, to compare."""
    kept, edge = np.ones(len(problem.keep), bool), np.full(len(problem.keep), -1)
    needed = np.zeros(len(kept), np.int64)
    cheapest = np.full(len(kept), np.inf)
    np.minimum.at(cheapest, problem.child, problem.rebuild)
    into = _into(problem)
    for v in np.argsort(-(problem.keep - cheapest), kind="stable").tolist():
        ways = [e for e in into.get(v, ()) if kept[problem.parent[e]]]
        if problem.must[v] or needed[v] or len(ways) < problem.copies:
            continue
        best = min(ways, key=lambda e: (problem.rebuild[e], e))
        if problem.rebuild[best] < problem.keep[v]:
            kept[v], edge[v] = False, best
            needed[problem.parent[ways if problem.copies > 1 else [best]]] += 1
    return Retention(kept, edge, _cost(problem, kept, edge), 0.0)


def retain(problem: Problem, seconds: float = 60.0) -> Retention:
    """The cheapest choice: variables fixed by dominance first, then each component by tree program or integer program.

    `seconds` is the limit of one integer program; a component that is not solved by then has its best known choice, and
    the gap says how far it may be off.
    """
    stays = _surely_kept(problem)
    alive = ~stays[problem.child]
    fixed = np.full(len(stays), np.inf)  # the cheapest way from a parent that surely stays
    from_kept = alive & stays[problem.parent]
    np.minimum.at(fixed, problem.child[from_kept], problem.rebuild[from_kept])
    inner = np.flatnonzero(alive & ~stays[problem.parent])
    kept, bound = stays.copy(), float(problem.keep[stays].sum())
    counts = {"fixed": int(stays.sum()), "alone": 0, "tree": 0, "integer": 0}
    for nodes, edges in _components(problem, np.flatnonzero(~stays), inner):
        how, choice, least = _component(problem, nodes, edges, fixed, stays, seconds)
        counts[how] += 1
        kept[nodes], bound = choice, bound + least
    edge = _cheapest(problem, kept)
    cost = _cost(problem, kept, edge)
    return Retention(kept, edge, cost, min(bound, cost), counts)


def _surely_kept(problem: Problem) -> np.ndarray:
    """Tables that some cheapest choice keeps: bound to, without enough parents, or no dearer to keep than to rebuild."""
    cheapest, ways = np.full(len(problem.keep), np.inf), np.bincount(problem.child, minlength=len(problem.keep))
    np.minimum.at(cheapest, problem.child, problem.rebuild)
    return np.asarray(problem.must | (ways < problem.copies) | (problem.keep <= cheapest))


def _component(
    problem: Problem, nodes: np.ndarray, edges: np.ndarray, fixed: np.ndarray, stays: np.ndarray, seconds: float
) -> tuple[str, np.ndarray, float]:
    """(how, bool[nodes] kept, lower bound) of one component: nodes not decided, edges among them."""
    keep, other = problem.keep[nodes], fixed[nodes]
    place = np.full(len(problem.keep), -1)
    place[nodes] = np.arange(len(nodes))
    u, v, k = place[problem.parent[edges]], place[problem.child[edges]], problem.rebuild[edges]
    if problem.copies == 1 and not len(edges):
        choice = keep <= other
        return "alone", choice, float(np.minimum(keep, other).sum())
    if problem.copies == 1 and is_forest(len(nodes), u, v):
        choice, cost = tree_program(keep, other, u, v, k)
        return "tree", choice, cost
    have = np.zeros(len(problem.keep), np.int64)
    np.add.at(have, problem.child[stays[problem.parent]], 1)
    choice, least = solved(keep, other, u, v, k, problem.copies, have[nodes], seconds)
    return "integer", choice, least


def _components(problem: Problem, nodes: np.ndarray, edges: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    """(nodes, edges) of each weakly connected component."""
    root = np.arange(len(problem.keep))
    find = _finder(root)
    for u, v in zip(problem.parent[edges].tolist(), problem.child[edges].tolist(), strict=True):
        a, b = find(u), find(v)
        root[max(a, b)] = min(a, b)
    of_node = np.array([find(n) for n in nodes.tolist()], np.int64)
    of_edge = np.array([find(u) for u in problem.parent[edges].tolist()], np.int64)
    by_node, by_edge = np.argsort(of_node, kind="stable"), np.argsort(of_edge, kind="stable")
    told = []
    for r in np.unique(of_node):
        a, b = np.searchsorted(of_node[by_node], [r, r + 1])
        c, d = np.searchsorted(of_edge[by_edge], [r, r + 1])
        told.append((nodes[by_node[a:b]], edges[by_edge[c:d]]))
    return told


def _finder(root: np.ndarray) -> Callable[[int], int]:
    def find(n: int) -> int:
        while root[n] != n:
            root[n] = root[root[n]]
            n = int(root[n])
        return n

    return find


def _into(problem: Problem) -> dict[int, list[int]]:
    into: dict[int, list[int]] = {}
    for e, v in enumerate(problem.child.tolist()):
        into.setdefault(v, []).append(e)
    return into


def _cheapest(problem: Problem, kept: np.ndarray) -> np.ndarray:
    """int64[n]: the cheapest edge from a kept parent, of deleted tables; -1 of kept ones."""
    edge = np.full(len(kept), -1)
    usable = np.flatnonzero(kept[problem.parent] & ~kept[problem.child])
    for e in usable[np.lexsort((-usable, -problem.rebuild[usable]))].tolist():  # the cheapest comes last
        edge[problem.child[e]] = e
    return edge


def _cost(problem: Problem, kept: np.ndarray, edge: np.ndarray) -> float:
    return float(problem.keep[kept].sum() + problem.rebuild[edge[edge >= 0]].sum())
