"""The rules of the house (CONTRIBUTING.md), held by a few lines of ast."""

import ast
import io
import re
import subprocess
import sys
import tokenize
from collections.abc import Iterator
from pathlib import Path
from statistics import median

import pytest

ROOT = Path(__file__).parents[2]
FOLDERS = ("operators", "selectors", "pipeline", "flows")
MAY_IMPORT = {
    "operators": {"operators"},
    "selectors": {"selectors"},
    "pipeline": {"pipeline", "operators", "selectors"},
    "flows": {"flows", "pipeline"},
}
# A library that has one home.
HOMES = {
    "pyspark": ("pipeline/engines/spark",),
    "prefect": ("flows/",),
    "torch": ("selectors/influence/", "operators/embed/", "selectors/parts/on_gpu.py"),
    "sentence_transformers": ("operators/embed/",),
    "yaml": ("pipeline/recipe.py",),
    "typer": ("pipeline/cli.py", "pipeline/engines/cli.py", "pipeline/lake/cli.py"),
}
FILES = sorted(p for f in FOLDERS for p in (ROOT / f).rglob("*.py"))
TREES = {p: ast.parse(p.read_text("utf-8")) for p in FILES}


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def imports(tree: ast.AST) -> Iterator[tuple[ast.stmt, str, int]]:
    """(node, module, level) of every import statement."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node, alias.name, 0
        elif isinstance(node, ast.ImportFrom):
            yield node, node.module or "", node.level


def ours(path: Path, module: str, level: int) -> str | None:
    """The folder of ours that an import reaches, or None."""
    if level == 0:
        return module.split(".")[1] if module.startswith("tamis.") else None
    steps = [*path.relative_to(ROOT).parts[:-1]]
    base = steps[: len(steps) - (level - 1)]
    return base[0] if base else module.split(".")[0] or None


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_imports_follow_the_arrows(path: Path) -> None:
    folder = path.relative_to(ROOT).parts[0]
    reached = {target for _, module, level in imports(TREES[path]) if (target := ours(path, module, level))}
    assert reached <= MAY_IMPORT[folder]


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_inside_the_package_imports_are_relative_and_at_the_top(path: Path) -> None:
    absolute = [m for _, m, level in imports(TREES[path]) if level == 0 and m.split(".")[0] == "tamis"]
    assert not absolute
    top = set(TREES[path].body)
    hidden = [m for node, m, level in imports(TREES[path]) if level > 0 and node not in top]
    assert not hidden


@pytest.mark.parametrize("library", HOMES)
def test_a_library_lives_in_one_place(library: str) -> None:
    elsewhere = [
        name_of(p) for p, tree in TREES.items() if not name_of(p).startswith(HOMES[library])
        for _, m, level in imports(tree) if level == 0 and m.split(".")[0] == library
    ]
    assert not elsewhere


def test_no_circles() -> None:
    graph: dict[str, set[str]] = {}
    for path, tree in TREES.items():
        here = path.relative_to(ROOT).with_suffix("").parts
        targets = set()
        for node in tree.body:
            if isinstance(node, ast.ImportFrom) and node.level:
                base = here[: len(here) - node.level]
                module = (*base, *(node.module or "").split(".")) if node.module else base
                for alias in node.names:
                    for candidate in ((*module, alias.name), module):
                        if (ROOT.joinpath(*candidate).with_suffix(".py")).exists():
                            targets.add("/".join(candidate))
                            break
        graph["/".join(here)] = targets
    seen: dict[str, int] = {}

    def visit(node: str, trail: list[str]) -> None:
        if seen.get(node) == 2:
            return
        assert seen.get(node) != 1, " -> ".join([*trail, node])
        seen[node] = 1
        for target in graph.get(node, ()):
            visit(target, [*trail, node])
        seen[node] = 2

    for node in graph:
        visit(node, [])


@pytest.mark.parametrize("folder", FOLDERS)
def test_no_init_at_the_root_of_a_code_folder(folder: str) -> None:
    assert not (ROOT / folder / "__init__.py").exists(), "it would shadow the standard library's selectors for every Python here"


def test_the_standard_library_works_from_the_root() -> None:
    subprocess.run([sys.executable, "-c", "import asyncio, subprocess, selectors; selectors.SelectSelector"], cwd=ROOT, check=True)


def test_no_file_bears_a_standard_library_name() -> None:
    # inside a package a relative import is meant; at the root of a code folder the name could be imported by accident
    clash = [name_of(p) for p in FILES if p.stem in sys.stdlib_module_names and len(p.relative_to(ROOT).parts) == 2]
    assert not clash


def function_lengths() -> list[tuple[int, str]]:
    return [
        (node.end_lineno - node.lineno + 1, f"{name_of(p)}:{node.name}")  # type: ignore[operator]
        for p, tree in TREES.items() for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]


def percentile(values: list[int], share: float) -> int:
    return sorted(values)[int(share * (len(values) - 1))]


def test_budgets_hold_on_the_tail() -> None:
    files = [(len(p.read_text("utf-8").splitlines()), name_of(p)) for p in FILES]
    functions = function_lengths()
    assert max(files)[0] <= 400, max(files)
    assert percentile([n for n, _ in files], 0.9) <= 220
    assert max(functions)[0] <= 60, max(functions)
    assert percentile([n for n, _ in functions], 0.9) <= 30


def test_tests_keep_up_with_the_code() -> None:
    code, tests = (sum(map(code_lines, files)) for files in (FILES, (ROOT / "tests").rglob("*.py")))
    assert tests >= code, f"{tests} lines of tests for {code} of code"


def code_lines(path: Path) -> int:
    """Lines that hold code: neither blank, nor comment, nor docstring."""
    text = path.read_text("utf-8")
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef)
    firsts = [n.body[0] for n in ast.walk(ast.parse(text)) if isinstance(n, documented) and ast.get_docstring(n, clean=False) is not None]
    docs = {i for d in firsts for i in range(d.lineno, (d.end_lineno or d.lineno) + 1)}
    empty = (tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER)
    tokens = (t for t in tokenize.generate_tokens(io.StringIO(text).readline) if t.type not in empty)
    return len({i for t in tokens for i in range(t.start[0], t.end[0] + 1)} - docs)


def public(tree: ast.Module) -> Iterator[ast.FunctionDef | ast.ClassDef]:
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_"):
            yield node
            if isinstance(node, ast.ClassDef):
                yield from (m for m in node.body if isinstance(m, ast.FunctionDef) and not m.name.startswith("_"))


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_what_is_public_is_documented_and_typed(path: Path) -> None:
    tree = TREES[path]
    assert ast.get_docstring(tree), "a module says in one sentence what is in it"
    for node in public(tree):
        assert ast.get_docstring(node), node.name
        if isinstance(node, ast.FunctionDef):
            untyped = [a.arg for a in (*node.args.args, *node.args.kwonlyargs) if a.annotation is None and a.arg not in ("self", "cls")]
            assert not untyped and node.returns is not None, f"{node.name}: {untyped or 'no return type'}"


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_nothing_dangerous(path: Path) -> None:
    text = path.read_text("utf-8")
    for forbidden in ("pickle.load", "shell=True", "trust_remote_code=True", "except Exception", "except:", "yaml.unsafe"):
        assert forbidden not in text, forbidden
    if name_of(path) != "pipeline/user_code.py":  # the one place that runs what the user brings, where the recipe allows it
        assert not re.search(r"(?<![.\w])(eval|exec)\(", text)
    for node, module, _ in imports(TREES[path]):
        assert module.split(".")[0] not in ("pickle", "marshal", "shelve"), node.lineno


def test_operators_are_short() -> None:
    lengths = [
        node.end_lineno - node.lineno + 1 + len(node.decorator_list)  # type: ignore[operator]
        for p, tree in TREES.items() if name_of(p).startswith(("operators/filters", "operators/mappers"))
        for node in tree.body if isinstance(node, ast.FunctionDef) and node.decorator_list
    ]
    assert median(lengths) <= 25
