"""Prints the list of attacks by area, numbered; `--write` puts it into docs/security.md, `--check` compares.

The list is what pytest collects: an attack that no test carries cannot stand in it.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from . import AREAS, Attack

HERE = Path(__file__).parent
PAGE = HERE.parent.parent / "docs" / "security.md"
BEGIN, END = "<!-- attacks: made by `python -m tests.attacks --write` -->", "<!-- attacks: end -->"


class _Collector:
    """A plugin that keeps the markers of what is collected."""

    def __init__(self) -> None:
        self.found: dict[tuple[str, str], Attack] = {}

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        for item in items:
            test = f"{item.path.name}::{item.nodeid.rpartition('::')[2].partition('[')[0]}"
            for mark in item.iter_markers("attack"):
                area, title = mark.args
                if known := self.found.get((area, title)):
                    self.found[area, title] = replace(known, runs=known.runs + 1)
                else:
                    self.found[area, title] = Attack(area, title, mark.kwargs["guard"], mark.kwargs["without"], test)


def collect() -> list[Attack]:
    """All attacks that the tests of this directory carry, by area, else as collected. Raises SystemExit."""
    collector, said = _Collector(), io.StringIO()
    with contextlib.redirect_stdout(said):
        code = pytest.main(["--collect-only", "-q", str(HERE)], plugins=[collector])
    if code not in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED):
        raise SystemExit(said.getvalue())
    return sorted(collector.found.values(), key=lambda each: AREAS.index(each.area))


def plain(attacks: list[Attack]) -> str:
    """The list for a terminal."""
    lines: list[str] = []
    for area in AREAS:
        chosen = [each for each in attacks if each.area == area]
        lines += [f"{area}: {len(chosen)}"] if chosen else []
        for number, each in enumerate(chosen, 1):
            lines += [f"{number:4}  {each.title}", f"      guard: {each.guard}; without it: {each.without}",
                      f"      {each.test}" + (f" ({each.runs} runs)" if each.runs > 1 else "")]  # fmt: skip
    return "\n".join(lines) + "\n"


def markdown(attacks: list[Attack]) -> str:
    """The tables for docs/security.md."""
    lines: list[str] = []
    for area in AREAS:
        chosen = [each for each in attacks if each.area == area]
        if not chosen:
            continue
        lines += ["", f"### {area.capitalize()}: {len(chosen)}", "",
                  "| | Attack | Refused by | Without that guard | Test |", "|---|---|---|---|---|"]  # fmt: skip
        for number, each in enumerate(chosen, 1):
            cells = [each.title, each.guard, each.without, f"`{each.test}`"]
            lines.append(f"| {number} | " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join([*lines, ""])


def page(text: str, table: str) -> str:
    """The page with the table between its two marks."""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise SystemExit(f"{PAGE.name}: expected the lines {BEGIN} and {END}")
    return f"{before}{BEGIN}\n{table}\n{END}{after}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, prog="python -m tests.attacks")
    parser.add_argument("--write", action="store_true", help="write docs/security.md")
    parser.add_argument("--check", action="store_true", help="fail where docs/security.md is not up to date")
    chosen = parser.parse_args()
    attacks = collect()
    if not (chosen.write or chosen.check):
        print(plain(attacks), end="")
        return 0
    text = PAGE.read_text()
    made = page(text, markdown(attacks))
    if chosen.write:
        PAGE.write_text(made)
    elif made != text:
        print(f"{PAGE.name} is not up to date: python -m tests.attacks --write", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
