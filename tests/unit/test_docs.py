"""What the documents name exists: links, files, make targets, commands."""

from __future__ import annotations

import contextlib
import io
import re
import subprocess
from functools import cache
from pathlib import Path

import pytest

from controllers.cli import main

ROOT = Path(__file__).parents[2]
ILLUSTRATIONS = frozenset({"changed.yaml", ".sops.yaml"})
"""Files of the reader's own that examples name."""


@cache
def files() -> tuple[str, ...]:
    """Every tracked or new file of the repository, by its path from the root."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return tuple(name for name in listed.stdout.splitlines() if (ROOT / name).exists())


def documents() -> list[str]:
    return [name for name in files() if name.endswith(".md")]


def text_of(document: str) -> str:
    return (ROOT / document).read_text(encoding="utf-8")


def headings(document: str) -> set[str]:
    """The anchors that GitHub gives a document's headings."""
    found = re.findall(r"^#+ (.*)$", text_of(document), re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in found}


def broken_links(document: str) -> list[str]:
    broken = []
    for target in re.findall(r"\]\(([^)\s]+)\)", text_of(document)):
        if target.startswith(("http://", "https://", "mailto:")):
            continue
        path, _, anchor = target.partition("#")
        file = (ROOT / document).parent / path if path else ROOT / document
        if not file.exists() or (anchor and anchor not in headings(str(file.resolve().relative_to(ROOT)))):
            broken.append(target)
    return broken


def unknown_files(document: str) -> list[str]:
    """Names of source files that are the end of no file's path."""
    names = set(re.findall(r"(?<![\w*/.$<-])[\w][\w./-]*\.(?:py|yaml|toml|md|txt)\b", text_of(document)))
    return sorted(
        name
        for name in names
        if name not in ILLUSTRATIONS
        and not any(file == name or file.endswith(f"/{name}") for file in files())
        and not ((ROOT / document).parent / name).exists()
    )


@cache
def commands() -> tuple[tuple[str, ...], ...]:
    """Each `inhaul WORD [WORD]` of code spans and code blocks of all documents, as far as the words are commands."""
    found: set[tuple[str, ...]] = set()
    for document in documents():
        text = text_of(document)
        code = [*re.findall(r"`([^`\n]+)`", text), *re.findall(r"^```[^\n]*\n(.*?)^```", text, re.M | re.S)]
        for span in code:
            for words in re.findall(r"(?:^|[\s/])inhaul ([a-z][\w-]*(?: [a-z]+(?=\s|$))?)", span, re.M):
                found.add(tuple(words.split()))
    return tuple(sorted(found))


def help_of(words: tuple[str, ...]) -> str:
    """The help of a command; fails where there is none."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            code = main([*words, "--help"])
        except SystemExit as end:
            code = int(end.code or 0)
    assert code == 0, f"inhaul {' '.join(words)} --help: {err.getvalue()}"
    return out.getvalue()


@pytest.mark.parametrize("document", documents())
def test_each_relative_link_leads_to_a_file(document: str) -> None:
    assert broken_links(document) == []


@pytest.mark.parametrize("document", documents())
def test_each_source_file_that_is_named_exists(document: str) -> None:
    assert unknown_files(document) == []


@pytest.mark.parametrize("words", commands(), ids=" ".join)
def test_each_command_that_is_named_can_be_asked_for_help(words: tuple[str, ...]) -> None:
    head = words[:1]
    text = help_of(head)
    has_commands = re.search(r"^(?:commands|actions):$", text, re.M)
    if len(words) > 1 and has_commands:
        assert f"inhaul {' '.join(words)}" in help_of(words)


def test_the_documents_name_commands() -> None:
    assert {("why",), ("guard",), ("secrets", "plan"), ("drift", "release")} <= set(commands())


def test_each_make_target_that_is_named_exists() -> None:
    targets = set(re.findall(r"^([a-z][\w-]*):", text_of("Makefile"), re.M))
    named = {
        target
        for document in documents()
        for block in re.findall(r"^```\n(.*?)^```", text_of(document), re.M | re.S)
        for target in re.findall(r"^make ([\w-]+)", block, re.M)
    }
    assert {"demo", "lint"} <= named <= targets
