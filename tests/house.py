"""How the code is laid out, as a check: no circle of imports between files, no crowded folder, no file or function that
is too long to be read at once. `make lint` runs it, and `tests/unit/test_house.py` shows that it finds what it looks
for.

Circles are looked for in the product with its imports for type checkers, and those inside functions, counted: they tie
two files together for a reader as any other import does. `__init__.py` counts as a module of its folder.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

import grimp

ROOTS = ("controllers", "tests", "benchmarks")
MAX_MODULES = 25
"""Python files in one folder, without its sub-folders."""
MAX_FILE_LINES = 400
MAX_FUNCTION_LINES = 50
"""From `def` to the last line, the docstring included and decorators not."""

Edges = Mapping[str, Iterable[str]]


def circles(imports: Edges) -> list[tuple[str, ...]]:
    """The groups of modules that import each other, directly or by way of others. Each sorted, the groups sorted."""
    order: dict[str, int] = {}
    lowest: dict[str, int] = {}
    path: list[str] = []
    found: list[tuple[str, ...]] = []
    for start in sorted(imports):
        if start in order:
            continue
        walk: list[tuple[str, Iterator[str]]] = [(start, iter(sorted(imports.get(start, ()))))]
        order[start] = lowest[start] = len(order)
        path.append(start)
        while walk:
            module, rest = walk[-1]
            if (following := next(rest, None)) is not None:
                if following not in order:
                    order[following] = lowest[following] = len(order)
                    path.append(following)
                    walk.append((following, iter(sorted(imports.get(following, ())))))
                elif following in path:
                    lowest[module] = min(lowest[module], order[following])
                continue
            walk.pop()
            if walk:
                above = walk[-1][0]
                lowest[above] = min(lowest[above], lowest[module])
            if lowest[module] == order[module]:
                cut = path.index(module)
                group, path[cut:] = path[cut:], []
                found += [tuple(sorted(group))] if len(group) > 1 else []
    return sorted(found)


def import_circles(package: str) -> list[str]:
    graph = grimp.build_graph(package, cache_dir=None)
    edges = {module: graph.find_modules_directly_imported_by(module) for module in graph.modules}
    return [f"{' <-> '.join(group)}: these files import each other" for group in circles(edges)]


def crowded_folders(root: Path) -> list[str]:
    counts: dict[Path, int] = {}
    for file in _modules(root):
        counts[file.parent] = counts.get(file.parent, 0) + 1
    return [
        f"{folder}: {count} modules, at most {MAX_MODULES}: move some to a sub-folder of their own"
        for folder, count in sorted(counts.items())
        if count > MAX_MODULES
    ]


def long_files(root: Path) -> list[str]:
    lengths = ((file, len(file.read_text().splitlines())) for file in _modules(root))
    return [
        f"{file}: {length} lines, at most {MAX_FILE_LINES}: split it by subject"
        for file, length in lengths
        if length > MAX_FILE_LINES
    ]


def long_functions(root: Path) -> list[str]:
    found = []
    for file in _modules(root):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                length = (node.end_lineno or node.lineno) - node.lineno + 1
                if length > MAX_FUNCTION_LINES:
                    found.append(f"{file}:{node.lineno}: {node.name} has {length} lines, at most {MAX_FUNCTION_LINES}")
    return found


def _modules(root: Path) -> list[Path]:
    return sorted(root.rglob("*.py"))


TREE_CHECKS: tuple[Callable[[Path], list[str]], ...] = (crowded_folders, long_files, long_functions)


def problems() -> list[str]:
    """What the checkout in the working directory does wrong, a line each, and nothing where all is well."""
    return import_circles("controllers") + [
        line for root in ROOTS for check in TREE_CHECKS for line in check(Path(root))
    ]


if __name__ == "__main__":
    lines = problems()
    print("\n".join(lines) or "layout: no import circles, no crowded folders, no file or function too long")
    sys.exit(1 if lines else 0)
