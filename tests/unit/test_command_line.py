"""The start of `inhaul`: it costs no SDK, and every command that it lists is there."""

from __future__ import annotations

import subprocess
import sys

import pytest

from controllers.cli import main

_HEAVY = ("asyncio", "aiohttp", "boto3", "cryptography", "kopf", "pydantic", "yaml")


def test_help_loads_neither_an_sdk_nor_a_controller() -> None:
    program = "import sys\nfrom controllers.cli import main\ntry: main(['--help'])\nexcept SystemExit: pass\n"
    report = "print('loaded:', *sys.modules, file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", program + report], capture_output=True, text=True, check=True)
    loaded = set(done.stderr.split())
    assert "controllers.cli" in loaded
    assert loaded.isdisjoint(_HEAVY)
    rooms = {name for name in loaded if name.startswith("controllers.") and name.count(".") >= 2}
    assert rooms == {"controllers.runtime.cli", "controllers.runtime.cli.lazy"}, "no room is read for its commands"


def test_every_listed_command_explains_itself(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])
    listed = capsys.readouterr().out.split("  COMMAND\n")[1]
    names = [line.split()[0] for line in listed.splitlines() if line.startswith("    ") and line[4] != " "]
    assert {"run", "demo", "crds", "seal", "image", "diff", "why", "drift"} <= set(names)
    for name in names:
        try:
            code: object = main([name, "--help"])
        except SystemExit as end:
            code = end.code
        assert code in (0, None), name
        assert capsys.readouterr().out.startswith(f"usage: inhaul {name}"), name


def test_wrong_use_of_a_command_is_its_own_usage_and_code_2(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["why", "--nonsense"]) == 2
    assert capsys.readouterr().err.startswith("usage: inhaul why ")


def test_what_follows_two_dashes_is_a_name_and_no_flag(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["build", "--", "--nowhere"]) != 0
    assert "--nowhere" in capsys.readouterr().err
