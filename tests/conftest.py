"""How hypothesis chooses its examples: the same ones in every run, so that a change is judged by what it changed.

HYPOTHESIS_PROFILE=explore looks for new ones, as `make fuzz` does; what it finds becomes a test of its own.
"""

from __future__ import annotations

import os

from hypothesis import settings

settings.register_profile("same", derandomize=True, database=None, deadline=None)
settings.register_profile("explore", derandomize=False, database=None, deadline=None, print_blob=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "same"))
