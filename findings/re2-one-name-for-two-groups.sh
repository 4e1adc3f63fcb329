#!/usr/bin/env bash
# google-re2 1.1.20251105: an expression may give one name to two groups, and only the first can be asked for by name.
#
# RE2, like Go's regexp, compiles `a(?P<n>\d)|b(?P<n>\d)` (Python's re refuses it). Go's Expand then takes the first
# group of that name that took part in the match. The guess was that `match["n"]` does the same, or that compiling fails.
# Instead the binding knows the name for the first group alone: for "b2" it answers None, as if nothing had matched.
# A Flux ImagePolicy with such a `filterTags.pattern` picks "2" upstream and nothing in a port to Python.
#
# What it prints:
#   {'n': 1} ('1', None) 1
#   {'n': 1} (None, '2') None
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check google-re2==1.1.20251105
"$work/venv/bin/python" - <<'PY' | tee "$work/out"
import re2

pattern = re2.compile(r"a(?P<n>\d)|b(?P<n>\d)")
for text in ("a1", "b2"):
    match = pattern.fullmatch(text)
    print(pattern.groupindex, match.groups(), match["n"])
PY
diff "$work/out" - <<'END'
{'n': 1} ('1', None) 1
{'n': 1} (None, '2') None
END
