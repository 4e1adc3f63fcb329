"""Random documents as `toYaml` writes them and `fromYaml` reads them, against kubectl's own Go code: the same text.

Stated differences: NEL within a text (Go makes a space of it) and other exotic line ends; hexadecimal texts beyond 64
bits (quoted since yaml.v2 knows big numbers); a key `<<` (Go cannot read what it wrote); control characters beyond
ASCII (Go refuses the document, and so do we; kubectl ends); keys of digits and letters, where Go's order has circles.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
from pathlib import Path
from typing import Any

import pytest

from controllers.templating.goyaml import from_yaml
from controllers.templating.goyaml_write import to_yaml
from tests.unit.templating.oracle import KUBECTL

COUNT = int(os.environ.get("INHAUL_FUZZ_DOCUMENTS", "60"))
_NUMBERS: list[Any] = [1, 0, -5, 1.5, 1e21, 1e20, 1e-7, 123456.789, 12345678.5, 1e15, True, False, None, 2**53, 1e100]
_WORDS = """
    true True y Y yes no No on off null ~ Null .inf .nan .5 .5e1 1. +1 -1 1_000 _1 0x 0x1F 0b12 0b11 0o7 089 010 1e3 1e
    1:30 2026-01-01 2026-13-01 2026-03-01T12:30:15Z = << . - + .. --1 1-1 00 -0 0.0 # #c a#b a:b a: : ? -a !x @a `b %c
    [a {a *a &a | > , ,a a,b {} [] --- ... it's "q" \\ a\\b é 😀
""".split()  # noqa: SIM905
_PIECES = [*_WORDS, " ", "  ", "\n", "\n\n", "\t", "word", "a b", ": ", " #", "- ", "\u00a0", "x" * 90, "\r"]
_KEYS = """
    true True y Y yes no on null ~ .inf .5 1. -1 0x # a#b a:b a: : ? !x @a `b [a {a *a &a > ,a --- it's "q" é 😀 a b a1
    a2 a10 A _a a-b a_b ab aB z
""".split()  # noqa: SIM905
_KEYS += ["", "a b", "k 1"]


class Maker:
    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)

    def text(self) -> str:
        if self.random.random() < 0.5:
            return self.random.choice(_WORDS)
        return "".join(self.random.choice(_PIECES) for _ in range(self.random.randint(0, 12)))

    def value(self, depth: int = 0) -> Any:
        roll = self.random.random()
        if roll < 0.55:
            return self.text()
        if roll < 0.7 or depth > 3:
            return self.random.choice(_NUMBERS)
        if roll < 0.85:
            return [self.value(depth + 1) for _ in range(self.random.randint(0, 4))]
        return {self.random.choice(_KEYS): self.value(depth + 1) for _ in range(self.random.randint(0, 6))}


def _go(directory: Path, document: Any, form: str) -> str:
    source = directory / "document.json"
    source.write_text(json.dumps(document))
    command = [KUBECTL or "kubectl", "label", "--local", "--overwrite", "-f", str(source), "z=1", "-o", form]
    return subprocess.run(command, capture_output=True, check=True, timeout=60).stdout.decode()


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_documents_are_written_and_read_as_go_does(tmp_path: Path) -> None:
    for seed in range(COUNT):
        make = Maker(seed)
        body = {f"k{at}": make.value() for at in range(60)}
        head = {"apiVersion": "example.dev/v1", "kind": "Thing", "metadata": {"name": "x", "labels": {"z": "1"}}}
        document = {**head, "x": body}
        theirs = _go(tmp_path, document, "yaml")
        assert to_yaml(document) + "\n" == theirs, seed
        assert from_yaml(theirs) == json.loads(_go(tmp_path, document, "json"), parse_int=float), seed
