"""Commands end with a code and at most one line, whatever stops them."""

from __future__ import annotations

import argparse
import subprocess
import sys
from typing import Any

import pytest

from controllers.api.base import InvalidSpecError
from controllers.runtime.cli.command import CommandError, guarded, table
from controllers.runtime.kube import ConfigError, NotFound, UnknownKindError


class OwnError(Exception):
    pass


def _ends(error: BaseException, *expected: type[Exception]) -> int:
    def work(given: argparse.Namespace) -> int:
        raise error

    return guarded(work, *expected)(argparse.Namespace())


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (CommandError("which one?"), "which one?"),
        (ConfigError("kubeconfig: found nothing"), "kubeconfig: found nothing"),
        (UnknownKindError("example.org/v1", "Thing"), "does not serve kind Thing in example.org/v1"),
        (InvalidSpecError("spec.a", "1", "a string"), "spec.a"),
        (NotFound(404, "NotFound", 'pods "a" not found'), 'NotFound: pods "a" not found'),
        (FileNotFoundError(2, "No such file or directory", "values.yaml"), "values.yaml"),
        (OwnError("the room's own"), "the room's own"),
    ],
)
def test_an_expected_error_is_one_line_and_code_2(
    error: Exception, line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _ends(error, OwnError) == 2
    shown = capsys.readouterr().err
    assert shown.startswith("inhaul: ")
    assert line in shown
    assert shown.count("\n") == 1


def test_a_bug_is_not_taken_for_an_answer() -> None:
    with pytest.raises(OwnError):
        _ends(OwnError("nobody said that this may happen"))


def test_an_interrupt_ends_with_the_code_of_its_signal() -> None:
    assert _ends(KeyboardInterrupt()) == 130


def test_a_reader_that_leaves_early_leaves_no_trace_behind() -> None:
    program = (
        "import argparse, sys\n"
        "from controllers.runtime.cli.command import guarded\n"
        "def work(given):\n"
        "    for number in range(100_000): print(number)\n"
        "    return 0\n"
        "sys.exit(guarded(work)(argparse.Namespace()))\n"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as child:
        assert child.stdout is not None
        assert child.stderr is not None
        assert child.stdout.readline() == b"0\n"
        child.stdout.close()
        assert child.stderr.read() == b""
        assert child.wait(30) == 2


@pytest.mark.parametrize(
    ("rows", "right", "text"),
    [
        ([], (), ""),
        ([("A", "BB"), ("long", "x")], (), "A     BB\nlong  x"),
        ([("A", "CALLS"), ("long", "1")], (1,), "A     CALLS\nlong      1"),
    ],
)
def test_a_table_aligns_its_columns(rows: list[Any], right: tuple[int, ...], text: str) -> None:
    assert table(rows, right=right) == text
