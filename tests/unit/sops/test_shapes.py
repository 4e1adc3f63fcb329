"""Shapes that YAML, JSON and INI can say: what our reader writes has the meaning of what sops writes."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from controllers.sops.binary import find_sops
from controllers.sops.ciphertext import go_json_float, go_yaml_float
from controllers.sops.decrypt import decrypt, decrypt_object
from controllers.sops.errors import SopsError
from controllers.sops.formats import read

from .conftest import Age, Encrypt


def by_sops(data: bytes, form: str, age: Age, home: Path) -> bytes:
    argv = [find_sops(), "decrypt", "--input-type", form, "--output-type", form]
    env = {"PATH": os.defpath, "HOME": str(home), "SOPS_AGE_KEY": age.identity}
    return subprocess.run(argv, input=data, capture_output=True, env=env, check=True, cwd=home).stdout


def ours(data: bytes, form: str, age: Age) -> bytes:
    return decrypt(read(data, form), age.keyring()).plaintext


COMMENTED = """\
# head of the file
values: # beside a mapping
  # above a key
  ingress:
    hosts:
      # above a scalar
      - a.example # beside a scalar
      # above a mapping
      - host: b.example # beside a value
        # below a value
      - [x, # in flow style
         y]
      - {k: v} # beside a flow mapping
      # trailing
  blank:
    #
    - z
other: 1 # beside an integer
# end of the file
"""


@pytest.mark.parametrize("flags", [(), ("--encrypted-regex", "^hosts$")])
def test_comments_at_encrypted_places_are_dropped_and_outside_the_mac(
    age: Age, encrypt: Encrypt, tmp_path: Path, flags: tuple[str, ...]
) -> None:
    data = encrypt(COMMENTED.encode(), "yaml", *flags)
    assert b"type:comment]\n" in data
    expected = yaml.safe_load(by_sops(data, "yaml", age, tmp_path))
    assert expected["values"]["ingress"]["hosts"][2:] == [["x", "y"], {"k": "v"}]
    opened = decrypt(read(data, "yaml"), age.keyring())
    assert yaml.safe_load(opened.plaintext) == expected
    assert not any("comment" in name for name in opened.report.fields)


def test_a_list_of_nothing_but_a_comment_is_empty(age: Age, encrypt: Encrypt) -> None:
    data = encrypt(b"a: [] # note\nb: {c: []} # note\n", "yaml")
    assert yaml.safe_load(ours(data, "yaml", age)) == {"a": [], "b": {"c": []}}


def test_a_value_that_is_turned_into_a_comment_breaks_the_mac(age: Age, encrypt: Encrypt) -> None:
    data = encrypt(b"a: [x, y]\n", "yaml").replace(b"type:str]", b"type:comment]", 1)
    with pytest.raises(SopsError) as refused:
        ours(data, "yaml", age)
    assert refused.value.reason == "MacMismatch"


def test_numbers_of_json_are_written_as_go_writes_them(age: Age, encrypt: Encrypt, tmp_path: Path) -> None:
    plain = (
        b'{"port": 8080, "neg": -3, "f": 1.5, "big": 123456789012, "e": 1e21, "t": 1e-7, "s": 0.00001, "zero": 0,'
        b' "c_unencrypted": 8080.0, "long_unencrypted": 12345678901234567, "l": [1, 2.0, {}, []], "u": "\xc3\xa9"}'
    )
    data = encrypt(plain, "json")
    assert ours(data, "json", age) == by_sops(data, "json", age, tmp_path)
    assert type(json.loads(ours(data, "json", age))["port"]) is int
    opened, _ = decrypt_object(json.loads(data), age.keyring())
    assert opened["port"] == 8080 and type(opened["port"]) is int and opened["f"] == 1.5


def test_a_long_integer_in_the_clear_verifies_as_sops_reads_it_before_and_since_3_13_2(
    age: Age, encrypt: Encrypt
) -> None:
    """Older releases round it to a float, in the file and in the MAC; a file that still has all digits opens too."""
    data = encrypt(b'{"id_unencrypted": 9007199254740993, "a": "b"}', "json")
    restored = data.replace(b"9007199254740992", b"9007199254740993")
    for each in (data, restored):
        assert b"b" in ours(each, "json", age)
    with pytest.raises(SopsError):
        ours(data.replace(b"9007199254740992", b"9007199254740996"), "json", age)


@pytest.mark.parametrize("scalar", ["8080.0", "1e7", "123456.5", ".inf", "-.inf", "0.00001", "1e-4", "1234567.5"])
def test_floats_of_yaml_keep_the_text_that_sops_gives_them(
    age: Age, encrypt: Encrypt, tmp_path: Path, scalar: str
) -> None:
    data = encrypt(f"a: {scalar}\nb_unencrypted: {scalar}\n".encode(), "yaml")
    assert ours(data, "yaml", age) == by_sops(data, "yaml", age, tmp_path)


@pytest.mark.parametrize(
    "value", [0.1, 1e20, 1e21, 1e22, 123e-9, 1e-6, 9.5e-7, -2.5e300, 5e-324, 1.7976931348623157e308]
)
def test_a_written_float_reads_back_as_itself(value: float) -> None:
    assert float(go_json_float(value)) == float(go_yaml_float(value)) == value


def test_a_merge_key_is_still_one_for_the_next_reader(age: Age, encrypt: Encrypt, tmp_path: Path) -> None:
    plain = b"base: &b {x: 1, y: two}\nm:\n  <<: *b\n  z: 3\nq:\n  <<: [*b, {w: 4}]\n  y: own\n"
    data = encrypt(plain, "yaml")
    opened = yaml.safe_load(ours(data, "yaml", age))
    assert opened == yaml.safe_load(by_sops(data, "yaml", age, tmp_path)) == yaml.safe_load(plain)


@pytest.mark.parametrize("tag", ["!Ref", "!!set", "!<tag:example.com,2000:x>", "!!int", "!!omap"])
@pytest.mark.parametrize("value", ["word", "{a: b}", "[a]"])
def test_a_tag_that_readers_take_differently_is_refused_by_its_line(
    age: Age, encrypt: Encrypt, tag: str, value: str
) -> None:
    data = encrypt(b"a_unencrypted: b\nc: d\n", "yaml").replace(
        b"a_unencrypted: b", f"a_unencrypted: {tag} {value}".encode()
    )
    with pytest.raises(SopsError) as refused:
        ours(data, "yaml", age)
    assert refused.value.reason == "TagRefused" and refused.value.message.startswith("line 1: the tag ")


@pytest.mark.parametrize(
    ("tagged", "expected"),
    [("!!str 5", "5"), ("!!float 1", 1.0), ("!!binary aGVsbG8=", "hello"), ("!!bool true", True), ("!!int 7", 7)],
)
def test_tags_of_the_core_schema_keep_their_meaning(age: Age, encrypt: Encrypt, tagged: str, expected: Any) -> None:
    data = encrypt(f"a_unencrypted: {tagged}\nc: d\n".encode(), "yaml")
    line = data.split(b"\n")[0]
    for each in (data, data.replace(line, f"a_unencrypted: {tagged}".encode())):
        assert yaml.safe_load(ours(each, "yaml", age))["a_unencrypted"] == expected


@pytest.mark.parametrize("version", ["3.9.0", "v3.9.0", "3.10.0-rc.1", "3.11.0+build.5", "1.7", "1.14"])
def test_any_version_that_sops_accepts_is_accepted(age: Age, encrypt: Encrypt, version: str) -> None:
    data = encrypt(b"a: b\n", "yaml").replace(b"version: 3.11.0", f"version: '{version}'".encode())
    assert ours(data, "yaml", age) == b"a: b\n"


@pytest.mark.parametrize("version", ["", "3.9", "latest", "3.9.0 "])
def test_other_versions_are_refused(age: Age, encrypt: Encrypt, version: str) -> None:
    data = encrypt(b"a: b\n", "yaml").replace(b"version: 3.11.0", f"version: '{version}'".encode())
    with pytest.raises(SopsError, match=r"sops\.version"):
        ours(data, "yaml", age)


INI = b"""; top
# second
z = 1

; section
; of two lines
[one]
; above a key
a = b
longer_unencrypted = c ; beside a value
# before the next
[two]
x=y#z
w = 1
"""


def test_comments_of_ini_files_stay_where_sops_puts_them(age: Age, encrypt: Encrypt, tmp_path: Path) -> None:
    data = encrypt(INI, "ini")
    assert ours(data, "ini", age).strip() == by_sops(data, "ini", age, tmp_path).strip()
