"""The layout check finds what it is there for, and passes for this checkout."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests import house

ROOT = Path(__file__).parents[2]


def test_a_circle_is_found_over_two_files_and_over_many_and_a_chain_is_none() -> None:
    assert house.circles({"a": ["b"], "b": ["a"]}) == [("a", "b")]
    assert house.circles({"a": ["b"], "b": ["c", "d"], "c": ["a"], "d": []}) == [("a", "b", "c")]
    assert house.circles({"a": ["b", "c"], "b": ["c"], "c": []}) == []


def test_two_circles_that_a_chain_joins_are_two() -> None:
    edges = {"a": ["b"], "b": ["a", "c"], "c": ["d"], "d": ["c"], "e": ["a", "d"]}
    assert house.circles(edges) == [("a", "b"), ("c", "d")]


def test_a_circle_that_is_reached_from_its_middle_is_whole() -> None:
    assert house.circles({"a": ["y"], "x": ["y"], "y": ["z"], "z": ["x", "a"]}) == [("a", "x", "y", "z")]


def test_imports_inside_functions_and_for_type_checkers_close_a_circle(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "circling_package"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "a.py").write_text("from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from . import b\n")
    (package / "b.py").write_text("def late():\n    from .a import something\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert house.import_circles("circling_package") == [
        "circling_package.a <-> circling_package.b: these files import each other"
    ]


def test_folders_files_and_functions_are_refused_one_over_their_limit_and_not_at_it(tmp_path: Path) -> None:
    for number in range(house.MAX_MODULES):
        (tmp_path / f"m{number}.py").write_text("")
    body = "    pass\n" * (house.MAX_FUNCTION_LINES - 1)
    (tmp_path / "m0.py").write_text(f"def at_the_limit():\n{body}")
    (tmp_path / "m1.py").write_text("x = 1\n" * house.MAX_FILE_LINES)
    assert [check(tmp_path) for check in house.TREE_CHECKS] == [[], [], []]
    (tmp_path / "one_more.py").write_text("")
    (tmp_path / "m0.py").write_text(f"async def over_the_limit():\n{body}    pass\n")
    (tmp_path / "m1.py").write_text("x = 1\n" * (house.MAX_FILE_LINES + 1))
    found = [line for check in house.TREE_CHECKS for line in check(tmp_path)]
    assert [line.removeprefix(str(tmp_path)) for line in found] == [
        ": 26 modules, at most 25: move some to a sub-folder of their own",
        "/m1.py: 401 lines, at most 400: split it by subject",
        "/m0.py:1: over_the_limit has 51 lines, at most 50",
    ]


def test_this_checkout_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    assert house.problems() == []
