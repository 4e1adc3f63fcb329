"""Which files of a repository belong to a source: the patterns of `.sourceignore` files and of `spec.ignore`.

The pattern language is that of `.gitignore`, read as go-git reads it: a pattern without a slash matches a name at any
depth; one with a slash is anchored at its domain (the directory of its file); `**` stands for any number of
directories; the last pattern that matches decides. What is inside an excluded directory can be included again, as
go-git has it.

Patterns come from tenants. Matching is by hand and of polynomial cost in the pattern's length; the number and the
length of patterns are bounded.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

from .glob import Glob, InvalidPatternError

FILE = ".sourceignore"
MAX_PATTERNS, MAX_PATTERN_LENGTH = 2_000, 1_024

VCS = (".git/", ".gitignore", ".gitmodules", ".gitattributes")
DEFAULTS = (
    "*.jpg", "*.jpeg", "*.gif", "*.png", "*.wmv", "*.flv", "*.tar.gz", "*.zip",
    ".github/", ".circleci/", ".travis.yml", ".gitlab-ci.yml", "appveyor.yml", ".drone.yml", "cloudbuild.yaml",
    "codeship-services.yml", "codeship-steps.yml",
    "**/.goreleaser.yml", "**/.sops.yaml", "**/.flux.yaml",
)  # fmt: skip
"""What is left out where a source says nothing itself: media and archives, CI files, tools' own settings."""


class Match(Enum):
    NONE = "NoMatch"
    EXCLUDE = "Exclude"
    INCLUDE = "Include"


class TooManyPatternsError(ValueError):
    """More or longer patterns than we are willing to match."""


@dataclass(frozen=True, slots=True)
class Pattern:
    """One line of an ignore file. `parts` are its globs per path segment, None for `**`; none for what never
    matches."""

    text: str
    domain: tuple[str, ...]
    include: bool
    directories_only: bool
    anchored: bool
    parts: tuple[Glob | None, ...]

    def match(self, path: Sequence[str], *, is_dir: bool) -> Match:
        """Does it say anything of `path` (segments from the root)? A match of a parent directory counts too."""
        if len(path) <= len(self.domain) or tuple(path[: len(self.domain)]) != self.domain or not self.parts:
            return Match.NONE
        rest = path[len(self.domain) :]
        hit = self._anchored(rest, is_dir) if self.anchored else self._anywhere(rest, is_dir)
        if not hit:
            return Match.NONE
        return Match.INCLUDE if self.include else Match.EXCLUDE

    def _anywhere(self, path: Sequence[str], is_dir: bool) -> bool:
        glob = self.parts[0]
        last = len(path) - 1
        return any(
            (glob is None or glob.matches(name)) and not (self.directories_only and index == last and not is_dir)
            for index, name in enumerate(path)
        )

    def _anchored(self, path: Sequence[str], is_dir: bool) -> bool:
        reached = {0}
        last = len(path) - 1
        for index, name in enumerate(path):
            reached = self._step(reached, name)
            if len(self.parts) in reached and not (self.directories_only and index == last and not is_dir):
                return True
        # `dir/**` speaks of the directory's content, and go-git of the directory itself too.
        return self.parts[-1] is None and len(self.parts) - 1 in reached

    def _step(self, reached: set[int], name: str) -> set[int]:
        """Positions in `parts` that are reached after one more path segment."""
        after: set[int] = set()
        for position in self._through_stars(reached):
            if position == len(self.parts):
                continue
            part = self.parts[position]
            if part is None:
                after |= {position, position + 1} if position + 1 == len(self.parts) else {position}
            elif part.matches(name):
                after.add(position + 1)
        return after

    def _through_stars(self, reached: set[int]) -> set[int]:
        closed = set(reached)
        for position in sorted(reached):
            while position < len(self.parts) - 1 and self.parts[position] is None:
                position += 1
                closed.add(position)
        return closed


def parse_pattern(line: str, domain: Sequence[str] = ()) -> Pattern:
    """One pattern; `domain` is the directory of its file. A glob that is malformed never matches."""
    text, include = (line[1:], True) if line.startswith("!") else (line, False)
    directories_only = text.endswith("/")
    text = text.removesuffix("/")
    anchored = "/" in text
    names = text.removeprefix("/").split("/")
    try:
        parts = tuple(None if name == "**" and anchored else _glob(name) for name in names)
    except InvalidPatternError:
        parts = ()
    return Pattern(line, tuple(domain), include, directories_only, anchored, parts)


def _glob(name: str) -> Glob:
    if "**" in name and name.strip("*"):
        raise InvalidPatternError("`**` stands alone between slashes")
    return Glob.parse(name)


def parse_file(text: str, domain: Sequence[str] = ()) -> list[Pattern]:
    """The patterns of one ignore file; comments and empty lines are left out. Raises TooManyPatternsError."""
    lines = [line.rstrip("\r") for line in text.split("\n")]
    wanted = [line for line in lines if line.strip() and not line.startswith("#")]
    if len(wanted) > MAX_PATTERNS or any(len(line) > MAX_PATTERN_LENGTH for line in wanted):
        raise TooManyPatternsError(
            f"{'/'.join((*domain, FILE))}: found {len(wanted)} patterns, "
            f"expected at most {MAX_PATTERNS} of at most {MAX_PATTERN_LENGTH} characters"
        )
    return [parse_pattern(line, domain) for line in wanted]


def vcs_patterns(domain: Sequence[str] = ()) -> list[Pattern]:
    return [parse_pattern(line, domain) for line in VCS]


def default_patterns(domain: Sequence[str] = ()) -> list[Pattern]:
    return [parse_pattern(line, domain) for line in DEFAULTS]


def load(files: Mapping[str, str]) -> list[Pattern]:
    """Patterns of every `.sourceignore` in a tree (path → text), parents before children. `.gitignore` is not read."""
    found: list[Pattern] = []
    for path in sorted(files, key=lambda path: path.split("/")[:-1]):
        *domain, name = path.split("/")
        if name == FILE:
            found += parse_file(files[path], domain)
    return found


def selected(files: Mapping[str, str], ignore: str | None, domain: Sequence[str] = ()) -> Matcher:
    """What decides for one source: with no pattern of its own the defaults, else the VCS files and its own patterns."""
    own = load(files) + (parse_file(ignore, domain) if ignore is not None else [])
    said = bool(own) or ignore is not None
    return Matcher([*vcs_patterns(domain), *(own if said else default_patterns(domain))])


def _name_anywhere(pattern: Pattern) -> Glob | None:
    """The glob of a pattern that speaks of a name at any depth of the whole tree: `name`, `name/`, `**/name`."""
    if pattern.domain or not pattern.parts:
        return None
    if not pattern.anchored:
        return pattern.parts[0]
    return pattern.parts[1] if len(pattern.parts) == 2 and pattern.parts[0] is None else None


class Matcher:
    """Patterns in order; the last one that says anything of a path decides.

    Most patterns are names at any depth. What such ones say of a name is worked out once: a tree of ten thousand files
    has few directories, and each file is one more name.
    """

    def __init__(self, patterns: Iterable[Pattern]) -> None:
        self.patterns = tuple(patterns)
        numbered = list(enumerate(self.patterns))
        self._names = [(number, glob) for number, each in numbered if (glob := _name_anywhere(each)) is not None]
        simple = {number for number, _ in self._names}
        self._others = [(number, each) for number, each in reversed(numbered) if number not in simple]
        self._said: dict[str, tuple[int, ...]] = {}

    def ignores(self, path: str, *, is_dir: bool = False) -> bool:
        """Is a path (with `/` between segments, from the root) left out?"""
        parts = path.split("/")
        last = self._last_name(parts, is_dir)
        for number, pattern in self._others:
            if number < last:
                break
            if (match := pattern.match(parts, is_dir=is_dir)) is not Match.NONE:
                return match is Match.EXCLUDE
        return last >= 0 and not self.patterns[last].include

    def _last_name(self, parts: Sequence[str], is_dir: bool) -> int:
        """The number of the last pattern for names that matches a segment; -1 where none does."""
        last = -1
        for index, name in enumerate(parts):
            file = index == len(parts) - 1 and not is_dir
            for number in self._of_name(name):
                if number > last and not (file and self.patterns[number].directories_only):
                    last = number
        return last

    def _of_name(self, name: str) -> tuple[int, ...]:
        if (said := self._said.get(name)) is None:
            said = self._said[name] = tuple(number for number, glob in self._names if glob.matches(name))
        return said

    def keep(self, paths: Iterable[str]) -> Iterator[str]:
        """The files that are not left out."""
        return (path for path in paths if not self.ignores(path))
