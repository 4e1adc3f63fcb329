"""Which files of a repository belong to a source: the patterns of `.sourceignore` files and of `spec.ignore`.

The pattern language is that of `.gitignore` as Flux reads it, with go-git: a pattern without a slash matches a name at
any depth; one with a slash is anchored at its domain (the directory of its file); `**/` stands for any number of
directories up to the first name that matches; the last pattern that matches decides. Where go-git departs from git, so
does this: `[!a]` is `!` or `a` (negation is `[^a]`), `dir/**` speaks of `dir` too, `**/a/b` does not try a later `a`,
and what is inside an excluded directory can be included again.

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
class Step:
    """One name of an anchored pattern; `anywhere` after `**/`: the first segment that matches, however deep."""

    glob: Glob
    anywhere: bool = False


@dataclass(frozen=True, slots=True)
class Pattern:
    """One line of an ignore file; one without `steps` never matches."""

    text: str
    domain: tuple[str, ...]
    include: bool
    directories_only: bool
    anchored: bool
    steps: tuple[Step, ...]

    def match(self, path: Sequence[str], *, is_dir: bool) -> Match:
        """Does it say anything of `path` (segments from the root)? A match of a parent directory counts too."""
        if len(path) <= len(self.domain) or tuple(path[: len(self.domain)]) != self.domain or not self.steps:
            return Match.NONE
        rest = path[len(self.domain) :]
        end = self._anchored(rest) if self.anchored else self._first(rest, 0, self.steps[0].glob)
        if end == 0 or (self.directories_only and not is_dir and end == len(rest)):
            return Match.NONE
        return Match.INCLUDE if self.include else Match.EXCLUDE

    def _anchored(self, path: Sequence[str]) -> int:
        """How many segments the pattern takes; 0 where it does not match."""
        end = 0
        for step in self.steps:
            if step.anywhere:
                end = self._first(path, end, step.glob)
                if not end:
                    return 0
            elif end < len(path) and step.glob.matches(path[end]):
                end += 1
            else:
                return 0
        return end

    @staticmethod
    def _first(path: Sequence[str], start: int, glob: Glob) -> int:
        """The position behind the first segment from `start` on that matches; 0 for none."""
        return next((index + 1 for index in range(start, len(path)) if glob.matches(path[index])), 0)


def parse_pattern(line: str, domain: Sequence[str] = ()) -> Pattern:
    """One pattern; `domain` is the directory of its file. A glob that is malformed never matches."""
    text, include = (line[1:], True) if line.startswith("!") else (line, False)
    if not text.endswith("\\ "):
        text = text.rstrip(" ")
    directories_only = text.endswith("/")
    text = text.removesuffix("/")
    anchored = "/" in text
    try:
        steps = _steps(text.split("/")) if anchored else (Step(_glob(text)),)
    except InvalidPatternError:
        steps = ()
    return Pattern(line, tuple(domain), include, directories_only, anchored, steps)


def _steps(names: Sequence[str]) -> tuple[Step, ...]:
    """An empty name takes back a `**` before it; a `**` at the end adds nothing."""
    steps: list[Step] = []
    anywhere = False
    for name in names:
        if name in ("", "**"):
            anywhere = bool(name)
            continue
        if "**" in name:
            raise InvalidPatternError("`**` stands alone between slashes")
        steps.append(Step(_glob(name), anywhere))
        anywhere = False
    return tuple(steps)


def _glob(name: str) -> Glob:
    return Glob.parse(name, negations="^")


def parse_file(text: str, domain: Sequence[str] = ()) -> list[Pattern]:
    """The patterns of one ignore file; comments and empty lines are left out. Raises TooManyPatternsError."""
    lines = [line.rstrip("\r") for line in text.split("\n")]
    patterns = [line for line in lines if line.strip() and not line.startswith("#")]
    if len(patterns) > MAX_PATTERNS or any(len(line) > MAX_PATTERN_LENGTH for line in patterns):
        raise TooManyPatternsError(
            f"{'/'.join((*domain, FILE))}: found {len(patterns)} patterns, "
            f"expected at most {MAX_PATTERNS} of at most {MAX_PATTERN_LENGTH} characters"
        )
    return [parse_pattern(line, domain) for line in patterns]


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
    """What decides for one source: the VCS files, and its own patterns or, where it has none, the defaults."""
    own = load(files) + parse_file(ignore or "", domain)
    return Matcher([*vcs_patterns(domain), *(own or default_patterns(domain))])


def _name_anywhere(pattern: Pattern) -> Glob | None:
    """The glob of a pattern that speaks of a name at any depth of the whole tree: `name`, `name/`, `**/name`."""
    if pattern.domain or len(pattern.steps) != 1:
        return None
    step = pattern.steps[0]
    return step.glob if step.anywhere or not pattern.anchored else None


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
