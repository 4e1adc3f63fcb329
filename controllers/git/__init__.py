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
    BrokenRepositoryError,
    GitError,
    HostKeyMismatchError,
    LeaseLostError,
    NonFastForwardError,
    NotFound,
    PushRefusedError,
    RefusedError,
    Timeout,
    TooLarge,
    Unreachable,
)
from .mirrors import Mirror, Mirrors
from .objects import CommitInfo, Objects, TreeEntry, clean_path
from .process import Git, ProcessLimits, Remote, check_url
from .push import ABSENT, PushRef, parse_refspec, push
from .refs import Found, RefTarget, branch_ref, check_ref, select, tag_ref, target

__all__ = [
    "ABSENT",
    "ANONYMOUS",
    "AuthFailed",
    "BrokenRepositoryError",
    "CommitInfo",
    "Found",
    "Git",
    "GitAuth",
    "GitError",
    "HostKeyMismatchError",
    "LeaseLostError",
    "Mirror",
    "Mirrors",
    "NewCommit",
    "NonFastForwardError",
    "NotFound",
    "Objects",
    "Person",
    "ProcessLimits",
    "PushRef",
    "PushRefusedError",
    "RefTarget",
    "RefusedError",
    "Remote",
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
