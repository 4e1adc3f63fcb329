"""`python -m benchmarks [NAME ...]`: runs the named benchmarks, or lists them.

Each is a module of its own with a `main()`; figures are printed, nothing is asserted.
"""

from __future__ import annotations

import importlib
import pkgutil
import sys

from . import __path__ as folder


def main(names: list[str]) -> int:
    known = sorted(module.name for module in pkgutil.iter_modules(folder) if not module.name.startswith("_"))
    if not names:
        print("benchmarks:", *known, sep="\n  ")
        return 0
    if unknown := set(names) - set(known):
        print(f"found {', '.join(sorted(unknown))}, expected some of {', '.join(known)}", file=sys.stderr)
        return 2
    for name in names:
        sys.argv = [f"benchmarks.{name}"]
        importlib.import_module(f"benchmarks.{name}").main()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
