"""The stand-in answers as a real kube-apiserver does, but for what known.toml names."""

from __future__ import annotations

import pytest

from .compare import known
from .pair import Pair
from .script import Script, run
from .scripts import ALL

pytestmark = pytest.mark.envtest


def test_there_are_at_least_two_hundred_calls() -> None:
    assert sum(not call.silent for script in ALL for call in script.calls) >= 200


def test_every_known_difference_names_its_script_its_place_and_a_reason() -> None:
    names = {script.name for script in ALL}
    for entry in known():
        assert entry.where and entry.path and entry.reason.strip(), entry
        assert all(where.partition("/")[0] in names for where in entry.where), f"{entry.where}: no such script"
        assert not any(path.strip("*.") == "" for path in entry.path), f"{entry}: a path of its own"


@pytest.mark.parametrize("script", ALL, ids=lambda script: script.name)
def test_the_stand_in_answers_as_the_real_server_does(pair: Pair, script: Script) -> None:
    allowed = [entry for entry in known() if entry.of(script.name)]
    found = run(pair, script)
    unknown = [item for item in found if not any(entry.covers(item) for entry in allowed)]
    assert not unknown, "\n" + "\n".join(map(str, unknown))
    stale = {where: entry.path for entry in allowed for where in entry.stale(script.name, found)}
    assert not stale, f"no longer different, take it out of known.toml: {stale}"
