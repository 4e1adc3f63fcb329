"""INI files: the subset that every reader reads alike. The rest is left to the sops binary.

Comments stay where sops puts them: the first entry of a section, where it is a comment, stands above the section's
header; any other stands above the key that it follows in the tree. Several comment lines in a row are one comment.
"""

from __future__ import annotations

import re
from typing import Any

from .ciphertext import Comment
from .document import EncryptedFile, Entries
from .errors import MetadataError, NeedsBinaryError, RefusedSyntaxError
from .flat import flat_section, scalar_text, text_lines

_NETWORK_KEYS = re.compile(rb"(kms|azure_kv|hc_vault|key_groups)__", re.I)


def read_ini(data: bytes) -> EncryptedFile:
    """Raises RefusedSyntaxError, MetadataError."""
    try:
        sections = _sections(data)
    except NeedsBinaryError as need:
        return EncryptedFile("ini", [], _odd_section(data), data, need.message)
    flat = {str(key): str(value).replace("\\n", "\n") for key, value in sections.pop("sops", Entries())}
    tree = Entries((name, entries) for name, entries in sections.items() if entries or name != "DEFAULT")
    return EncryptedFile("ini", [tree], flat_section(flat), data)


def _odd_section(data: bytes) -> Any:
    """The section of a file that is not read whole here: with age and PGP keys alone, or it is refused.

    It is read by a stricter rule than the binary's, so what cannot be read here for sure is not run there.
    """
    if _NETWORK_KEYS.search(data):
        raise MetadataError("UnsupportedFormat", "an INI file of this form is read with age and PGP keys only")
    _, _, tail = data.partition(b"[sops]")
    flat = _sections(b"[sops]" + tail)["sops"]
    return flat_section({str(key): str(value).replace("\\n", "\n") for key, value in flat})


def _sections(data: bytes) -> dict[str, Entries]:
    sections: dict[str, Entries] = {}
    current, comment = sections.setdefault("DEFAULT", Entries()), ""
    lines = iter(enumerate(text_lines(data), 1))
    for number, raw in lines:
        line = raw.strip()
        if not line:
            continue
        if line[0] in "#;":
            comment += f"\n{line}" if comment else line.lstrip(f"{line[0]} ")
        elif line[0] == "[" and line[-1] == "]":
            name = line[1:-1].strip()
            if name in sections and name != "DEFAULT":
                raise RefusedSyntaxError("DuplicateKey", f"line {number}: the section stands twice in the file")
            current = sections.setdefault(name, Entries())
            if comment and name != "sops":
                current.append((Comment(comment), None))
            comment = ""
        else:
            key, value = _ini_entry(line, number, lines)
            if any(key == other for other, _ in current):
                raise RefusedSyntaxError("DuplicateKey", f"line {number}: the key stands twice in its section")
            current.append((key, value))
            if comment and current is not sections.get("sops"):
                current.append((Comment(comment), None))
            comment = ""
    return sections


def _ini_entry(line: str, number: int, lines: Any) -> tuple[str, str]:
    key, mark, value = re.match(r"([^=:]*)([=:]?)(.*)", line, re.S).groups()  # type: ignore[union-attr]
    key, value = key.strip(), value.strip()
    if not mark or not key or key[0] in "\"`'":
        raise RefusedSyntaxError("SyntaxError", f"line {number}: expected key = value")
    if value.startswith('"""'):
        parts = [value[3:]]
        while not parts[-1].rstrip().endswith('"""'):
            following = next(lines, None)
            if following is None:
                raise RefusedSyntaxError("SyntaxError", f'line {number}: the """ is never closed')
            parts.append(following[1])
        return key, "\n".join(parts).rstrip().removesuffix('"""')
    if value[:1] in "\"`'" or value.endswith("\\") or "#" in value or ";" in value:
        raise NeedsBinaryError(f"line {number}: quotes, continuations and inline comments are read by the sops binary")
    return key, value


def write_ini(tree: Entries) -> bytes:
    """Sections with aligned keys, as sops writes them."""
    blocks = []
    for name, entries in tree:
        above = [entries[0][0]] if entries and isinstance(entries[0][0], Comment) else []
        lines = _comment_lines(above[0]) if above else []
        if name != "DEFAULT":
            lines.append(f"[{name}]")
        width = max((len(key) for key, _ in entries if isinstance(key, str)), default=0)
        at = len(lines)
        for key, value in entries[len(above) :]:
            if isinstance(key, Comment):
                lines[at:at] = _comment_lines(key)
            else:
                at = len(lines)
                lines.append(f"{key:<{width}} = {scalar_text(value)}")
        blocks.append("\n".join(lines) + "\n")
    return "\n".join(blocks).encode()


def _comment_lines(comment: Comment) -> list[str]:
    lines = comment.text.split("\n")
    return [f"{line[0]} {line[1:].strip()}" if line[:1] in ("#", ";") else f"; {line}" for line in lines]
