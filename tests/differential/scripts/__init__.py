"""All scripts, by subject."""

from __future__ import annotations

from ..script import Script
from . import access, applying, custom, objects, reading

ALL: tuple[Script, ...] = (*objects.SCRIPTS, *reading.SCRIPTS, *applying.SCRIPTS, *custom.SCRIPTS, *access.SCRIPTS)
