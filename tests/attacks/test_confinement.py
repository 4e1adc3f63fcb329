"""The second guard of a build: kustomize itself is told to read outside and to go out, past `readset.py`, and cannot.

The control: the same tree and the same binary started without `confine.py` read the file (`test_kustomize_build.py`
shows it for every field).
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from controllers.kustomization.build.kustomize import KustomizeError, build
from controllers.runtime.sandbox import command, powers

PYTHON = sys.executable
needs_landlock = pytest.mark.skipif(not powers().landlock, reason="this kernel has no Landlock")
needs_network = pytest.mark.skipif(
    not powers().network and powers().landlock < 4, reason="no network namespace and no Landlock 4 in this kernel"
)


def kustomization(text: str) -> dict[str, bytes]:
    return {"app/kustomization.yaml": text.encode()}


@needs_landlock
@pytest.mark.parametrize(
    "text",
    [
        "resources: [{file}]", "crds: [{file}]", "patches: [{{path: {file}}}]", "transformers: [{file}]",
        "configMapGenerator: [{{name: x, files: ['k={file}']}}]", "secretGenerator: [{{name: x, envs: [{file}]}}]",
    ],
)  # fmt: skip
def test_a_build_past_the_read_set_opens_no_file_outside(text: str, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("found=stolen\n")
    with pytest.raises(KustomizeError, match="permission denied") as caught:
        build(kustomization(text.format(file=secret)), "app")
    assert "stolen" not in str(caught.value)


@needs_landlock
def test_the_environment_of_the_controller_is_not_read_through_proc() -> None:
    with pytest.raises(KustomizeError, match="permission denied"):
        build(kustomization("configMapGenerator: [{name: x, files: ['k=/proc/self/environ']}]"), "app")


def outcome(*options: str, code: str, read: tuple[str, ...] = (), write: tuple[str, ...] = ()) -> str:
    """What a Python program that is confined says; it may read the interpreter and its library."""
    library = (sys.base_prefix, "/usr", "/lib", "/lib64", "/etc/ld.so.cache")
    argv = command(PYTHON, "-I", "-S", "-c", code, run=library, read=read, write=write)
    done = subprocess.run(argv, capture_output=True, text=True, timeout=20, check=False, env={})
    return done.stdout + done.stderr


LISTENING = """
import socket
try: socket.create_connection(("127.0.0.1", {port}), 2); print("connected")
except OSError: print("refused")
"""


@needs_network
def test_a_confined_program_reaches_no_server_that_the_controller_reaches() -> None:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as server:
        code = LISTENING.format(port=server.getsockname()[1])
        free = subprocess.run([PYTHON, "-I", "-c", code], capture_output=True, text=True, timeout=20, check=False)
        assert free.stdout == "connected\n"
        assert outcome(code=code) == "refused\n"


@needs_landlock
def test_a_confined_program_writes_in_its_own_directory_alone(tmp_path: Path) -> None:
    own, other = tmp_path / "own", tmp_path / "other"
    own.mkdir()
    other.mkdir()
    assert outcome(code=f"open({str(own / 'a')!r}, 'w').write('x')", write=(str(own),)) == ""
    refused = outcome(code=f"open({str(other / 'a')!r}, 'w')", read=(str(other),), write=(str(own),))
    assert "PermissionError" in refused and (own / "a").exists() and not (other / "a").exists()


@needs_landlock
def test_a_confined_program_starts_no_other_program(tmp_path: Path) -> None:
    shell = tmp_path / "run"
    shell.write_text("#!/bin/sh\n")
    shell.chmod(0o755)
    assert "PermissionError" in outcome(code=f"import os; os.execv({str(shell)!r}, ['x'])", read=(str(tmp_path),))


def test_a_program_that_cannot_be_confined_does_not_start(tmp_path: Path) -> None:
    argv = command("/bin/true", limits={"NOFILE": -2})
    done = subprocess.run(argv, capture_output=True, timeout=20, check=False, env={})
    assert done.returncode != 0
