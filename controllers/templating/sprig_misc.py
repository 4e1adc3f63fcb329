"""Sprig's functions on encodings, regular expressions, paths, URLs, versions and hashes."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import os.path
import posixpath
import re
from collections.abc import Callable
from typing import Any
from urllib.parse import SplitResult, urlsplit, urlunsplit

import re2

from .errors import FunctionError
from .registry import Function, bounded_size, functions
from .values import Value, to_bytes, to_text

_TEMPLATE = re.compile(r"\$(?:\$|(\w+)|\{(\w+)\})")


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


def compile_re2(pattern: str) -> Any:
    """A user's regular expression, matched in linear time. Raises FunctionError."""
    options = re2.Options()
    options.log_errors = False
    options.max_mem = 8 << 20
    try:
        return re2.compile(pattern, options=options)
    except re2.error:
        raise FunctionError("error parsing regexp") from None


def expand(template: str, found: Any) -> str:
    """Go's Regexp.Expand: `$1`, `${name}`, `$$`; `$1x` is the group named `1x`; an unknown group is empty."""

    def group(reference: re.Match[str]) -> str:
        name = reference[1] or reference[2]
        if name is None:
            return "$"
        try:
            return found.group(int(name) if name.isdecimal() else name) or ""
        except (IndexError, KeyError, re2.error):
            return ""

    return _TEMPLATE.sub(group, template)


def replace_all(pattern: Any, text: str, template: str) -> str:
    """Go's ReplaceAllString: an empty match right behind a match is none (unlike Python's `re.sub`)."""
    out: list[str] = []
    at, previous, total = 0, -1, 0
    for found in pattern.finditer(text):
        start, end = found.span()
        if start == end == previous:
            continue
        piece = text[at:start] + expand(template, found)
        total += len(piece)
        bounded_size(total)
        out.append(piece)
        at = previous = end
    return "".join(out) + text[at:]


def _find_all(pattern: str, text: str, limit: int) -> list[str]:
    found = [match.group(0) for match in _matches(compile_re2(pattern), text)]
    return found if limit < 0 else found[:limit]


def _matches(pattern: Any, text: str) -> list[Any]:
    out, previous = [], -1
    for match in pattern.finditer(text):
        start, end = match.span()
        if start == end == previous:
            continue
        out.append(match)
        previous = end
    return out


def _find(pattern: str, text: str) -> str:
    found = compile_re2(pattern).search(text)
    return found.group(0) if found else ""


def _split(pattern: str, text: str, limit: int) -> list[str]:
    if limit == 0:
        return []
    out: list[str] = []
    at = 0
    for match in _matches(compile_re2(pattern), text):
        if 0 < limit <= len(out) + 1:
            break
        start, end = match.span()
        if end == 0:
            continue
        out.append(text[at:start])
        at = end
    if at != len(text) or not out or text[at:] == "":
        out.append(text[at:])
    return out


def _clean(path: str) -> str:
    cleaned = posixpath.normpath(path) if path else "."
    return cleaned[1:] if cleaned.startswith("//") else cleaned


def _base(path: str) -> str:
    return posixpath.basename(path.rstrip("/")) or ("/" if path else ".")


def _ext(path: str) -> str:
    name = path.rpartition("/")[2]
    dot = name.rfind(".")
    return name[dot:] if dot >= 0 else ""


def _url_parse(text: str) -> dict[str, Value]:
    try:
        parts = urlsplit(text)
    except ValueError:
        raise FunctionError("unable to parse url") from None
    user, _, host = parts.netloc.rpartition("@")
    return {
        "scheme": parts.scheme,
        "host": host,
        "hostname": parts.hostname or "",
        "path": parts.path if parts.netloc or not parts.scheme else "",
        "query": parts.query,
        "opaque": "" if parts.netloc or not parts.scheme or parts.path.startswith("/") else parts.path,
        "fragment": parts.fragment,
        "userinfo": user,
    }


def _url_join(parts: dict[str, Value]) -> str:
    given = {key: value for key, value in parts.items() if isinstance(value, str)}
    userinfo = given.get("userinfo", "")
    host = given.get("host", "")
    netloc = f"{userinfo}@{host}" if userinfo else host
    return urlunsplit(
        SplitResult(
            given.get("scheme", ""), netloc, given.get("path", ""), given.get("query", ""), given.get("fragment", "")
        )
    )


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


def _replace_literal(pattern: str, text: str, new: str) -> str:
    return replace_all(compile_re2(pattern), text, new.replace("$", "$$"))


def _both(name: str, letters: str, call: Callable[..., Value]) -> dict[str, tuple[str, Callable[..., Value]]]:
    """`regexX` and `mustRegexX`: ours both fail with an error and never panic."""
    return {f"regex{name}": (letters, call), f"mustRegex{name}": (letters, call)}


def _fail(message: str) -> str:
    """The message may have been built from data, so it is not repeated."""
    raise FunctionError("the template called fail")


MISC: dict[str, Function] = functions(
    {
        "b64enc": ("s", lambda text: base64.b64encode(to_bytes(text)).decode()),
        "b64dec": ("s", b64dec),
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
        "urlParse": ("s", _url_parse),
        "urlJoin": ("m", _url_join),
        **_both("Match", "ss", lambda pattern, text: compile_re2(pattern).search(text) is not None),
        **_both("Find", "ss", _find),
        **_both("FindAll", "ssi", _find_all),
        **_both("ReplaceAll", "sss", lambda pattern, text, new: replace_all(compile_re2(pattern), text, new)),
        **_both("ReplaceAllLiteral", "sss", _replace_literal),
        **_both("Split", "ssi", _split),
        "fail": ("s", _fail),
        "regexQuoteMeta": ("s", lambda text: re.sub(r"([\\.+*?()|\[\]{}^$])", r"\\\1", text)),
    }
) | functions({"derivePassword": ("issss", _derive_password)}, cost=35)
