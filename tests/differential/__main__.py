"""Where known.toml stands: `python -m tests.differential [--all] [--rounds N] [SCRIPT …]`.

Prints the differences that no entry covers, the entries that cover nothing, and how many each of the rest covers; with
--all every difference, with both values. Several rounds tell chance from habit: an entry that covers something in some
rounds alone is named as racy.
"""

from __future__ import annotations

import argparse
import tempfile
from dataclasses import replace
from pathlib import Path

from tests.envtest import binaries

from .compare import Difference, Known, known
from .pair import Pair
from .script import run
from .scripts import ALL


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.differential")
    parser.add_argument("scripts", nargs="*", help="names of scripts (default: all)")
    parser.add_argument("--all", action="store_true", help="print the covered differences too")
    parser.add_argument("--rounds", type=int, default=1, help="fresh pairs of servers to ask")
    options = parser.parse_args()
    folder, why = binaries()
    if folder is None:
        raise SystemExit(why)
    rounds = [_round(options.scripts) for _ in range(options.rounds)]
    names = options.scripts or [script.name for script in ALL]
    entries = [entry for entry in known() if any(map(entry.of, names))]
    for difference in dict.fromkeys(map(str, (item for found in rounds for item in found if options.all))):
        print(difference)
    _summary(entries, rounds, names)


def _round(names: list[str]) -> list[Difference]:
    with tempfile.TemporaryDirectory() as directory:
        pair = Pair(Path(directory))
        try:
            return [item for script in ALL if not names or script.name in names for item in run(pair, script)]
        finally:
            pair.stop()


def _summary(entries: list[Known], rounds: list[list[Difference]], names: list[str]) -> None:
    for number, found in enumerate(rounds):
        for item in found:
            if not any(entry.covers(item) for entry in entries):
                print(f"NOT KNOWN (round {number}): {item}")
    for entry in entries:
        stale: list[set[str]] = [
            {where for name in names for where in replace(entry, racy=False).stale(name, found)} for found in rounds
        ]
        if never := sorted(set[str].intersection(*stale)):
            print(f"COVERS NOTHING: {never} {entry.path}")
        if not entry.racy and (sometimes := sorted(set[str].union(*stale) - set[str].intersection(*stale))):
            print(f"RACY, NOT MARKED: {sometimes} {entry.path}")
    print(f"{len(entries)} entries, {[len(found) for found in rounds]} differences")


if __name__ == "__main__":
    main()
