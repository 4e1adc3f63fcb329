"""Differential: our SOPS reader and the sops binary give the same plaintext, or both refuse.

We may refuse more (duplicate keys, aliases, text after an envelope): that is said by reason. We may never accept what
the binary refuses, nor read another value.
"""

from __future__ import annotations

import os
import random
import time
from pathlib import Path

import pytest

from tests.fuzz.sops_files import RULES, Rig, damaged, plain_file

STRICTER = {
    "SyntaxError", "DuplicateKey", "AliasRefused", "TooLarge", "NotEncrypted", "ValueInvalid", "KeyNotString",
    "MetadataInvalid", "UnsupportedFormat", "MacMissing",
}  # fmt: skip
SEED = 20260806
SECONDS = float(os.environ.get("INHAUL_FUZZ_SECONDS", "8"))


def compare(rig: Rig, seed: int) -> tuple[int, int]:
    """One generated file and one damage to it: (files compared, of those refused by both)."""
    rng = random.Random(seed)
    plain, form = plain_file(rng)
    data = rig.encrypt(plain, form, rng.choice(RULES))
    if data is None:
        return 0, 0
    theirs = rig.theirs(data, form)
    ours, reason = rig.ours(data, form)
    where = f"seed {seed}, {form}:\n{data.decode(errors='replace')[:3000]}"
    if reason == "UnsupportedFormat":
        return 0, 0  # left to the binary
    assert ours == theirs, f"{where}\n{reason}"
    broken = damaged(rng, data)
    theirs = rig.theirs(broken, form)
    ours, reason = rig.ours(broken, form)
    if theirs is None:
        assert ours is None, f"accepted what sops refuses; {where}\n----\n{broken.decode(errors='replace')[:3000]}"
    elif ours is None:
        assert reason in STRICTER, f"refused as {reason} what sops accepts; {where}"
    else:
        assert ours == theirs, f"after damage; {where}\n----\n{broken.decode(errors='replace')[:3000]}"
    return 1, int(theirs is None)


def test_generated_files_read_as_sops_reads_them(tmp_path: Path) -> None:
    rig, end, compared = Rig(tmp_path), time.monotonic() + SECONDS, 0
    seed = SEED
    while time.monotonic() < end or compared < 10:
        compared += compare(rig, seed)[0]
        seed += 1
    assert compared > (seed - SEED) // 2, "most generated files must be comparable"


@pytest.mark.slow
def test_two_thousand_generated_files_read_as_sops_reads_them(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    results = [compare(rig, SEED + number) for number in range(2_000)]
    compared, refused = (sum(column) for column in zip(*results, strict=True))
    assert compared > 1_000 and refused > 300, (compared, refused)
