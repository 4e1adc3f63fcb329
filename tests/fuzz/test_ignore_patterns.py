"""Ignore patterns beside the package that Flux matches them with (a copy of go-git's), and beside git itself.

go-git and git differ; Flux's reading decides. Git is asked about what both mean alike: no `[!…]` and no backslash, no
inclusion (git cannot include again what is inside an excluded directory), at most one `**`, in front or between two
names of which the second is the last, and files only.
"""

from __future__ import annotations

import os
import random
import subprocess
from pathlib import Path

import pytest

from controllers.lang.gitignore import Matcher, parse_file
from tests.fuzz.go_library import ask

COUNT = int(os.environ.get("INHAUL_FUZZ_IGNORES", "10000"))
_NAMES = ["a", "b", "ab", "a.yaml", "b.yaml", "dir", "é", "a b", "!a", "#a", "*", "[", "a]", "-"]
_GLOBS = [
    "*",
    "?",
    "a*",
    "*.yaml",
    "[ab]",
    "[!a]",
    "[^a]",
    "[a-",
    "[]a]",
    "[a-c]*",
    "\\a",
    "\\!a",
    "\\#a",
    "a\\",
    "**",
    "a**",
    "**b",
    "",
]
_PIECES = list("ab*?[]!^-\\ /#.")


def _path(make: random.Random, *, directories: bool = True) -> str:
    path = "/".join(make.choice(_NAMES) for _ in range(make.randint(1, 4)))
    return f"{path}/" if directories and make.random() < 0.3 else path


def _line(make: random.Random) -> str:
    if make.random() < 0.15:
        return "".join(make.choice(_PIECES) for _ in range(make.randint(0, 8)))
    parts = [make.choice(_NAMES if make.random() < 0.5 else _GLOBS) for _ in range(make.randint(1, 4))]
    line = make.choice(("", "", "/", "**/", "/**/")) + "/".join(parts) + make.choice(("", "", "/", "/**", "/**/", "//"))
    return make.choice(("", "", "", "!", "#", "\\!")) + line + make.choice(("", "", "", " ", "  ", "\\ ", "\t", "\r"))


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_patterns_are_read_as_flux_reads_them() -> None:
    make = random.Random(16)
    cases = [
        ("\n".join(_line(make) for _ in range(make.randint(1, 4))), [_path(make) for _ in range(8)])
        for _ in range(COUNT)
    ]
    answers = ask({"rule": "ignore", "text": text, "paths": paths} for text, paths in cases)
    for (text, paths), answer in zip(cases, answers, strict=True):
        matcher = Matcher(parse_file(text))
        ours = [matcher.ignores(path.removesuffix("/"), is_dir=path.endswith("/")) for path in paths]
        assert ours == answer["flags"], (text, paths)


def _common(make: random.Random) -> str:
    names = ["a", "b", "ab", "a.yaml", "dir", "*", "a*", "*.yaml", "[ab]", "[^a]", "?"]
    one, other = make.choice(names), make.choice(names)
    lines = (one, f"/{one}", f"{one}/", f"{one}/{other}", f"/{one}/{other}/", f"**/{one}", f"{one}/**/{other}")
    return make.choice(lines) + make.choice(("", "  "))


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_patterns_mean_to_git_what_they_mean_here(tmp_path: Path) -> None:
    make = random.Random(17)
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    for _ in range(COUNT // 20):
        text = "\n".join(_common(make) for _ in range(make.randint(1, 4)))
        paths = [
            "/".join(make.choices(["a", "b", "ab", "a.yaml", "dir", "c"], k=make.randint(1, 4))) for _ in range(20)
        ]
        (tmp_path / ".gitignore").write_text(f"{text}\n")
        done = subprocess.run(
            ["git", "check-ignore", "--no-index", "--stdin", "-z"], cwd=tmp_path, input="\0".join(paths) + "\0",
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        matcher = Matcher(parse_file(text))
        assert {path for path in paths if matcher.ignores(path)} == set(filter(None, done.stdout.split("\0"))), text
