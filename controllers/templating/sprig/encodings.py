"""Sprig's functions on encodings, regular expressions, paths, URLs, versions and hashes."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import os.path
import posixpath
import string

from ..errors import FunctionError
from ..registry import Function, functions
from ..values import to_bytes, to_text


def b64dec(text: str) -> str:
    """Bad input yields the error's text, as sprig does: users' manifests rely on no failure."""
    raw = text.replace("\r", "").replace("\n", "")
    try:
        return to_text(base64.b64decode(raw, validate=True))
    except (binascii.Error, ValueError):
        return f"illegal base64 data at input byte {_bad_at(raw, 4)}"


def _bad_at(raw: str, group: int) -> int:
    alphabet = (
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
        if group == 4
        else "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
    )
    return next((at for at, char in enumerate(raw) if char not in alphabet), len(raw) // group * group)


def b32dec(text: str) -> str:
    raw = text.replace("\r", "").replace("\n", "")
    try:
        return to_text(base64.b32decode(raw))
    except (binascii.Error, ValueError):
        return f"illegal base32 data at input byte {_bad_at(raw, 8)}"


def hexdec(text: str) -> str:
    """External Secrets' own; bad input yields the error's text, as for b64dec."""
    raw = to_bytes(text)
    for byte in raw:
        if chr(byte) not in string.hexdigits:
            shown = f" '{chr(byte)}'" if chr(byte).isprintable() else ""
            return f"encoding/hex: invalid byte: U+{byte:04X}{shown}"
    return "encoding/hex: odd length hex string" if len(raw) % 2 else to_text(bytes.fromhex(text))


def _clean(path: str) -> str:
    cleaned = posixpath.normpath(path) if path else "."
    return cleaned[1:] if cleaned.startswith("//") else cleaned


def _base(path: str) -> str:
    return posixpath.basename(path.rstrip("/")) or ("/" if path else ".")


def _ext(path: str) -> str:
    name = path.rpartition("/")[2]
    dot = name.rfind(".")
    return name[dot:] if dot >= 0 else ""


def _derive_password(counter: int, kind: str, master: str, user: str, site: str) -> str:
    """The Master Password algorithm that sprig implements."""
    templates = {
        "long": "CvcvnoCvcvCvcv "
        "CvcvCvcvnoCvcv CvcvCvcvCvcvno CvccnoCvcvCvcv CvccCvcvnoCvcv CvccCvcvCvcvno CvcvnoCvccCvcv "
        "CvcvCvccnoCvcv CvcvCvccCvcvno CvcvnoCvcvCvcc CvcvCvcvnoCvcc CvcvCvcvCvccno CvccnoCvccCvcv CvccCvccnoCvcv "
        "CvccCvccCvcvno CvcvnoCvccCvcc CvcvCvccnoCvcc CvcvCvccCvccno CvccnoCvcvCvcc CvccCvcvnoCvcc CvccCvcvCvccno",
        "maximum": "anoxxxxxxxxxxxxxxxxx axxxxxxxxxxxxxxxxxno",
        "medium": "CvcnoCvc CvcCvcno",
        "short": "Cvcn",
        "basic": "aaanaaan aannaaan aaannaaa",
        "pin": "nnnn",
    }
    letters = {
        "V": "AEIOU", "C": "BCDFGHJKLMNPQRSTVWXYZ", "v": "aeiou", "c": "bcdfghjklmnpqrstvwxyz",
        "A": "AEIOUBCDFGHJKLMNPQRSTVWXYZ", "a": "AEIOUaeiouBCDFGHJKLMNPQRSTVWXYZbcdfghjklmnpqrstvwxyz",
        "n": "0123456789", "o": "@&%?,=[]_:-+*$#!'^~;()/.",
        "x": "AEIOUaeiouBCDFGHJKLMNPQRSTVWXYZbcdfghjklmnpqrstvwxyz0123456789!@#$%^&*()",
    }  # fmt: skip
    if kind not in templates:
        raise FunctionError("cannot find password template of that name")
    scope = b"com.lyndir.masterpassword"
    salt = scope + len(to_bytes(user)).to_bytes(4, "big") + to_bytes(user)
    key = hashlib.scrypt(to_bytes(master), salt=salt, n=32768, r=8, p=2, dklen=64, maxmem=64 << 20)
    message = (
        scope + len(to_bytes(site)).to_bytes(4, "big") + to_bytes(site) + (counter & 0xFFFFFFFF).to_bytes(4, "big")
    )
    seed = hmac.new(key, message, "sha256").digest()
    choices = templates[kind].split()
    chosen = choices[seed[0] % len(choices)]
    return "".join(letters[char][seed[at + 1] % len(letters[char])] for at, char in enumerate(chosen))


def _fail(message: str) -> str:
    """The message may have been built from data, so it is not repeated."""
    raise FunctionError("the template called fail")


ENCODINGS: dict[str, Function] = functions(
    {
        "b64enc": ("s", lambda text: base64.b64encode(to_bytes(text)).decode()),
        "b64dec": ("s", b64dec),
        "hexdec": ("s", hexdec),
        "b32enc": ("s", lambda text: base64.b32encode(to_bytes(text)).decode()),
        "b32dec": ("s", b32dec),
        "base": ("s", _base),
        "dir": ("s", lambda path: _clean(path[: path.rfind("/") + 1])),
        "clean": ("s", _clean),
        "ext": ("s", _ext),
        "isAbs": ("s", lambda path: path.startswith("/")),
        "osBase": ("s", _base),
        "osClean": ("s", _clean),
        "osDir": ("s", lambda path: _clean(path[: path.rfind("/") + 1])),
        "osExt": ("s", _ext),
        "osIsAbs": ("s", os.path.isabs),
        "fail": ("s", _fail),
    }
) | functions({"derivePassword": ("issss", _derive_password)}, cost=35)
