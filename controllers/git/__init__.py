"""Git, as far as our controllers need it: look up references, fetch commits, read and write objects, push.

Everything here blocks; call it on the git pool. The way in:

    mirrors = Mirrors(directory)
    with mirrors.use(Remote(url, auth)) as mirror:      # one user of a mirror at a time
        found = mirror.resolve(target(spec.ref))        # refs.Found: commit, ref, revision
        mirror.fetch(found)
        entries = mirror.objects.list_tree(found.commit, "clusters/prod")
"""

from .auth import ANONYMOUS, GitAuth
from .commit import NewCommit, Person, commit_tree, trailers, with_trailers
from .errors import (
    AuthFailed,
    BrokenRepository,
    GitError,
    HostKeyMismatch,
    LeaseLost,
    NonFastForward,
    NotFound,
    PushRefused,
    Refused,
    Timeout,
    TooLarge,
    Unreachable,
)
from .mirrors import Mirror, Mirrors
from .objects import CommitInfo, Objects, TreeEntry, clean_path
from .process import Git, Limits, Remote, check_url
from .push import ABSENT, PushRef, parse_refspec, push
from .refs import Found, Target, branch_ref, check_ref, select, tag_ref, target

__all__ = [
    "ABSENT",
    "ANONYMOUS",
    "AuthFailed",
    "BrokenRepository",
    "CommitInfo",
    "Found",
    "Git",
    "GitAuth",
    "GitError",
    "HostKeyMismatch",
    "LeaseLost",
    "Limits",
    "Mirror",
    "Mirrors",
    "NewCommit",
    "NonFastForward",
    "NotFound",
    "Objects",
    "Person",
    "PushRef",
    "PushRefused",
    "Refused",
    "Remote",
    "Target",
    "Timeout",
    "TooLarge",
    "TreeEntry",
    "Unreachable",
    "branch_ref",
    "check_ref",
    "check_url",
    "clean_path",
    "commit_tree",
    "parse_refspec",
    "push",
    "select",
    "tag_ref",
    "target",
    "trailers",
    "with_trailers",
]
