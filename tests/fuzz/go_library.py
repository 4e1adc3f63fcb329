"""The Go libraries behind kubectl, kustomize and Flux, built from their modules: one process, many questions."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

import pytest

SOURCE = Path(__file__).parent / "golang"


@cache
def go() -> str:
    """The go command; "" where there is none."""
    return shutil.which("go") or shutil.which("go", path="/usr/local/go/bin") or ""


@cache
def _program() -> str:
    """Builds the program. Skips the test, with the reason, where Go or its modules are out of reach."""
    if not go():
        pytest.skip("no Go: install it to compare with the original libraries")
    target = Path(os.environ.get("TMPDIR", "/tmp")) / f"inhaul-fuzz-{os.getpid()}"
    done = subprocess.run(
        [go(), "build", "-o", str(target), "."], cwd=SOURCE, capture_output=True, text=True, timeout=300, check=False
    )
    if done.returncode:
        pytest.skip(f"the Go libraries cannot be built: {done.stderr.strip()[-300:]}")
    return str(target)


def ask(requests: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """The answers to requests (golang/main.go says which there are), in their order."""
    text = "".join(json.dumps(each) + "\n" for each in requests)
    done = subprocess.run([_program()], input=text, capture_output=True, text=True, timeout=300, check=True)
    return [json.loads(line) for line in done.stdout.splitlines()]
