"""The list of attacks in docs/security.md is the one that the tests make."""

from __future__ import annotations

import subprocess
import sys


def test_the_page_about_security_lists_exactly_the_attacks_that_are_tried() -> None:
    argv = [sys.executable, "-m", "tests.attacks", "--check"]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
