"""docs/architecture.md is a map of the code: every module is on it, and nothing that does not exist."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "controllers"
MAP = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")


def modules() -> set[str]:
    """Every module, by its path in the package. A folder's `__init__` belongs to the folder."""
    found = PACKAGE.rglob("*.py")
    return {path.relative_to(PACKAGE).as_posix() for path in found if path.name != "__init__.py"}


def rows() -> Counter[str]:
    """The modules that have a row in the tables of rooms, and how often."""
    return Counter(re.findall(r"^\| `([\w/]+\.py)` \| \S", MAP, re.M))


def test_every_module_has_one_row_that_says_what_it_is_for() -> None:
    assert sorted(modules() - set(rows())) == []
    assert [name for name, count in rows().items() if count > 1] == []


def test_no_row_names_a_module_that_does_not_exist() -> None:
    assert sorted(set(rows()) - modules()) == []


def test_every_path_in_where_do_i_change_exists() -> None:
    section = MAP.split("## Where do I change…")[1].split("\n# ")[0]
    named = {path for path in re.findall(r"`([\w/.*]+)`", section) if "/" in path}
    missing = [path for path in named if not (any(PACKAGE.glob(path)) or (ROOT / path).exists())]
    assert named and missing == []


def test_every_room_has_a_heading_and_every_controller_is_named() -> None:
    headings = " ".join(re.findall(r"^## (.*)$", MAP, re.M))
    rooms = {path.name for path in PACKAGE.iterdir() if (path / "__init__.py").is_file()}
    on_the_command_line = {"commands"}  # shares its heading with `cli.py`
    assert {room for room in rooms - on_the_command_line if f"`{room}" not in headings} == set()
    from controllers.cli import CONTROLLERS

    assert [name for name in CONTROLLERS if f"| `{name}` |" not in MAP] == []
