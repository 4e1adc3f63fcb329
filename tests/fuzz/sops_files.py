"""Generated files for a differential test of the SOPS reader: any types and nesting that sops will encrypt."""

from __future__ import annotations

import contextlib
import json
import math
import os
import random
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyrage
import yaml

from controllers.sops.binary import find_sops
from controllers.sops.ciphertext import Timestamp, go_float
from controllers.sops.decrypt import decrypt
from controllers.sops.errors import DecryptionError
from controllers.sops.formats import read
from controllers.sops.keys import SopsKeys, parse_key_secret
from controllers.sops.limits import SopsLimits
from controllers.sops.yaml_tree import load_documents

RULES = (
    (), ("--encrypted-regex", "^(data|stringData|b.*)$"), ("--unencrypted-regex", "^(kind|meta|a)$"),
    ("--encrypted-suffix", "_enc"), ("--unencrypted-suffix", "_clear"),
)  # fmt: skip
_WORDS = (
    "a",
    "b",
    "data",
    "kind",
    "meta",
    "x_enc",
    "y_clear",
    "z_unencrypted",
    "long key",
    "é",
    "0",
    "a.b",
    "a:b",
    "-",
)
_TEXTS = (
    "", " ", "plain", "true", "1", "0x1f", "1e3", "~", "null", "2024-01-01", "a: b", "- a", "multi\nline\n", "\ttab",
    "ünï", "'q'", '"q"', "#no", "ENC[x]", "a\\nb", "  lead", "trail  ", "\n", "a\n\n\nb", "=", "<<", "no", "12:30:45",
    "👍", "x" * 300,
)  # fmt: skip


def _text(rng: random.Random) -> str:
    if rng.random() < 0.6:
        return rng.choice(_TEXTS)
    return "".join(
        chr(rng.choice((rng.randrange(32, 127), rng.randrange(160, 0x2FF)))) for _ in range(rng.randrange(9))
    )


def _leaf(rng: random.Random) -> Any:
    match rng.randrange(9):
        case 0:
            return rng.randrange(-(2**40), 2**40)
        case 1:
            return rng.choice((0.5, -1.25, 1e21, 1e-7, 3.0, 12345.678, 1e15))
        case 2:
            return rng.random() < 0.5
        case 3:
            return None
        case _:
            return _text(rng)


def _tree(rng: random.Random, depth: int) -> Any:
    kind = rng.random()
    if depth <= 0 or kind < 0.55:
        return _leaf(rng)
    if kind < 0.75:
        return [_tree(rng, depth - 1) for _ in range(rng.randrange(4))]
    return _mapping(rng, depth - 1)


def _mapping(rng: random.Random, depth: int) -> dict[str, Any]:
    return {key: _tree(rng, depth) for key in rng.sample(_WORDS, rng.randrange(1, 5))}


def plain_file(rng: random.Random) -> tuple[bytes, str]:
    """Plaintext and format."""
    match rng.randrange(8):
        case 0:
            return json.dumps(_mapping(rng, 4), ensure_ascii=False).encode(), "json"
        case 1:
            lines = [f"K{n}={_text(rng)}".replace("\n", "") for n in range(rng.randrange(1, 6))]
            return "\n".join([*lines, "# note", ""]).encode(), "dotenv"
        case 2:
            return rng.randbytes(rng.randrange(1, 200)), "binary"
        case 3:
            lines = [f"k{n} = {rng.choice(('a', '1', 'b c', 'é'))}" for n in range(rng.randrange(1, 5))]
            return "\n".join(["[one]", *lines, "[two]", "z = 1", ""]).encode(), "ini"
        case _:
            documents = [_mapping(rng, 4) for _ in range(rng.choice((1, 1, 1, 2, 3)))]
            style = rng.choice((False, None, True))
            text = yaml.safe_dump_all(documents, allow_unicode=True, sort_keys=False, default_flow_style=style)
            return (_commented(rng, text) if rng.random() < 0.3 else text).encode(), "yaml"


def _commented(rng: random.Random, text: str) -> str:
    """The file with comments on lines of their own and beside values, wherever they are comments and not text."""
    lines: list[str] = []
    for line in text.split("\n"):
        if line.endswith((":", "'", '"', "]", "}")) and rng.random() < 0.3:
            line += " # beside"
        if line.strip() and rng.random() < 0.3:
            lines.append(" " * (len(line) - len(line.lstrip())) + "# above")
        lines.append(line)
    changed = "\n".join(lines)
    with contextlib.suppress(yaml.YAMLError):
        if list(yaml.safe_load_all(changed)) == list(yaml.safe_load_all(text)):
            return changed
    return text


def damaged(rng: random.Random, data: bytes) -> bytes:
    """The file after one change by a hand or a merge."""
    lines = data.split(b"\n")
    at = rng.randrange(len(lines))
    match rng.randrange(5):
        case 0 if data:
            index = rng.randrange(len(data))
            return data[:index] + bytes([data[index] ^ (1 << rng.randrange(7))]) + data[index + 1 :]
        case 1:
            return b"\n".join(lines[:at] + lines[at + 1 :])
        case 2:
            return b"\n".join([*lines[:at], lines[at], *lines[at:]])
        case 3:
            other = rng.randrange(len(lines))
            lines[at], lines[other] = lines[other], lines[at]
            return b"\n".join(lines)
        case _:
            return data.replace(b"type:str", rng.choice((b"type:int", b"type:bool", b"type:float")), 1)


@dataclass
class Rig:
    """The sops binary and our reader with one age key."""

    home: Path
    identity: Any = field(default_factory=pyrage.x25519.Identity.generate)

    def __post_init__(self) -> None:
        self.binary = find_sops()
        self.keys = SopsKeys(parse_key_secret({"a.agekey": str(self.identity).encode()}))

    def _run(self, words: list[str], data: bytes, form: str) -> bytes | None:
        env = {"PATH": os.defpath, "HOME": str(self.home), "SOPS_AGE_KEY": str(self.identity)}
        argv = [self.binary, *words, "--input-type", form, "--output-type", form]
        if words[0] == "encrypt":
            argv += ["--filename-override", "f", "--age", str(self.identity.to_public())]
        done = subprocess.run(argv, input=data, capture_output=True, env=env, cwd=self.home, timeout=60, check=False)
        return done.stdout if done.returncode == 0 else None

    def encrypt(self, data: bytes, form: str, rule: tuple[str, ...]) -> bytes | None:
        return self._run(["encrypt", *rule], data, form)

    def theirs(self, data: bytes, form: str) -> Any:
        """What sops makes of it, as comparable values; None where it refuses."""
        plain = self._run(["decrypt"], data, form)
        try:
            return None if plain is None else comparable(plain, form)
        except DecryptionError as error:
            return f"sops printed what no reader should take: {error.message}"  # as a key twice in a later document

    def ours(self, data: bytes, form: str) -> tuple[Any, str]:
        """The same of our reader, and the reason where it refuses. Any other exception is a finding."""
        try:
            return comparable(decrypt(read(data, form), self.keys).plaintext, form), ""
        except DecryptionError as error:
            return None, error.reason


def comparable(plain: bytes, form: str) -> Any:
    """A plaintext as values with their types: texts and layout of YAML and JSON may differ, values may not."""
    if form == "yaml":
        # an empty document says nothing, whichever writer leaves it out
        return [_typed(document) for document in load_documents(plain, SopsLimits()) if document]
    if form == "json":
        return _typed(json.loads(plain))
    return plain


def _typed(value: Any) -> Any:
    match value:
        case dict():
            return {key: _typed(inner) for key, inner in value.items()}
        case list():
            return [_typed(inner) for inner in value]
        case Timestamp():
            return ("time", value.rfc3339)
        case bool() | None | str():
            return value
        case float() if math.isfinite(value) and value.is_integer() and abs(value) < 2**53:
            return ("number", str(int(value)))  # Go writes a whole float without its point
        case float():
            return ("number", go_float(value))
        case int():
            return ("number", str(value))
    return value
