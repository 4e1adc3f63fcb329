"""SOPS keys and files, for the commands that read both."""

from __future__ import annotations

from tests.unit.sops.conftest import age, encrypt  # noqa: F401
