"""`python -m tests.conformance [FILE ...]`: upstream's vectors against our rules.

Prints a line per kind (`kind  passed/total`), the vectors that failed and why, and last `N passed, M failed, K
skipped`. Exits 1 when anything failed. Without vectors on the machine it says so and exits 0.
"""

from __future__ import annotations

import json
import os
import sys
import tomllib
from collections import Counter
from pathlib import Path
from typing import Any

from .adapters import ADAPTERS, SKIPPED
from .compare import difference

HERE = Path(__file__).parent
VECTORS = Path(os.environ.get("INHAUL_CONFORMANCE", HERE.parents[2] / "shared" / "conformance"))


def departures() -> dict[tuple[str, str], str]:
    """(kind, name) → reason; name "*" stands for every vector of the kind."""
    table: dict[tuple[str, str], str] = {}
    for path in (HERE / "departures.toml", *sorted((HERE / "departures.d").glob("*.toml"))):
        if path.exists():
            for entry in tomllib.loads(path.read_text())["departure"]:
                table[entry["kind"], entry["name"]] = entry["reason"]
    return table


def wanted(vector: dict[str, Any]) -> dict[str, Any]:
    """What we hold ourselves to: `expected`, or where `strict_expected` refuses, an error.

    Vectors whose expectation stands in the file they name say so in a text; their adapter reports no error or the
    first.
    """
    expected = vector["expected"]
    if str(vector.get("strict_expected", "")).startswith("reject"):
        return {"result": "error"}
    return expected if isinstance(expected, dict) else {"error": False}


def run_vector(vector: dict[str, Any], directory: Path) -> str:
    """ "" when the vector passes, else what differed."""
    given = {
        key: value for key, value in vector.items() if key not in ("expected", "name", "source", "strict_expected")
    }
    expected = wanted(vector)
    try:
        got = ADAPTERS[vector["kind"]]({**given, "dir": str(directory)})
    except Exception as error:  # a rule that raises anything but its own error is a failed vector, not a dead run
        return f"raised {type(error).__name__}: {error}"
    return difference(vector["kind"], expected, got)


def main(arguments: list[str]) -> int:
    files = [Path(name) for name in arguments] or sorted(VECTORS.glob("*.json"))
    if not files:
        print(f"no vectors at {VECTORS.name}: nothing to check against")
        print("0 passed, 0 failed, 0 skipped")
        return 0
    known, counts, failures = departures(), Counter[str](), []
    per_kind: dict[str, Counter[str]] = {}
    for path in files:
        for vector in json.loads(path.read_text()):
            kind, name = vector["kind"], vector["name"]
            tally = per_kind.setdefault(kind, Counter())
            if kind not in ADAPTERS or (kind, name) in known or (kind, "*") in known:
                outcome = "skipped"
            else:
                problem = run_vector(vector, path.parent)
                outcome = "failed" if problem else "passed"
                if problem:
                    failures.append(f"FAILED {kind} {name!r}: {problem}")
            tally[outcome] += 1
            counts[outcome] += 1
    for kind, tally in per_kind.items():
        why = "" if kind in ADAPTERS else f"  skipped: {SKIPPED.get(kind, 'no adapter yet')}"
        left_out = f"  ({tally['skipped']} departures)" if kind in ADAPTERS and tally["skipped"] else ""
        print(f"{kind}  {tally['passed']}/{tally.total()}{why}{left_out}")
    print(*failures, sep="\n", end="\n" if failures else "")
    print(f"{counts['passed']} passed, {counts['failed']} failed, {counts['skipped']} skipped")
    return 1 if counts["failed"] else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
