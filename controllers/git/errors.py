"""What can go wrong between us and a Git host, as one tree.

    GitError(reason, message)
    ├── AuthFailed        the host refuses these credentials (also: knows them, but not for this repository)
    ├── NotFound          no such repository, reference, commit or path
    ├── HostKeyMismatchError   the ssh host key is not the one in known_hosts
    ├── Unreachable       name resolution, connection, TLS, a host that answers 5xx: time may mend it
    ├── Timeout           the time limit ended the child
    ├── NonFastForwardError    the branch has moved: fetch and compute again
    ├── LeaseLostError         a forced push whose expectation no longer holds
    ├── PushRefusedError       the host refused the push by a rule of its own (hook, protected branch)
    ├── TooLarge          a limit on bytes or entries was hit
    ├── Refused           we refuse: URL, reference name, path or Secret that is not allowed or not well formed
    └── BrokenRepositoryError  objects that are missing or do not parse

Messages are made here, from our own words and from names the user wrote. What a server or git printed is looked at to
choose a class and never repeated: it may hold credentials, addresses, or text made to mislead.
"""

from __future__ import annotations

import re


class GitError(Exception):
    """`reason` is CamelCase and fit for a condition; `message` is for a human."""

    reason = "GitOperationFailed"
    retryable = True
    """Whether time alone can mend it."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class AuthFailed(GitError):
    reason = "AuthenticationFailed"


class NotFound(GitError):
    reason = "GitOperationFailed"


class HostKeyMismatchError(GitError):
    reason = "HostKeyMismatch"


class Unreachable(GitError):
    reason = "GitOperationFailed"


class Timeout(GitError):
    reason = "GitOperationFailed"


class NonFastForwardError(GitError):
    reason = "NonFastForward"


class LeaseLostError(GitError):
    reason = "NonFastForward"


class PushRefusedError(GitError):
    reason = "PushRefused"


class TooLarge(GitError):
    reason = "TooLarge"
    retryable = False


class RefusedError(GitError):
    reason = "InvalidSourceConfiguration"
    retryable = False


class BrokenRepositoryError(GitError):
    reason = "GitOperationFailed"


_PATTERNS: tuple[tuple[type[GitError], str, str], ...] = (
    (
        HostKeyMismatchError,
        r"Host key verification failed|REMOTE HOST IDENTIFICATION HAS CHANGED|host key is known",
        "the ssh host key is not in known_hosts",
    ),
    (
        Unreachable,
        r"Proxy CONNECT aborted|CONNECT tunnel failed|from proxy",
        "the proxy refused the connection or closed it",
    ),
    (
        AuthFailed,
        r"Authentication failed|could not read (Username|Password)|Permission denied|returned error: 40[13]"
        r"|HTTP 40[13]|terminal prompts disabled|Too many authentication failures",
        "the host refused the credentials",
    ),
    (
        RefusedError,
        r"returned error: 30\d|unable to update url base from redirection",
        "the host redirects to another URL",
    ),
    (RefusedError, r"transport '.*' not allowed", "the protocol is not allowed"),
    (
        TooLarge,
        r"signal 25|File too large|[Oo]ut of memory|Cannot allocate memory|exceeds maximum allowed size|No space left",
        "the transfer is too large",
    ),
    (
        NotFound,
        r"couldn't find remote ref|returned error: 404|[Rr]epository.*not found|does not appear to be a git repository"
        r"|not our ref|no such remote ref|access rights",
        "no such repository or reference, or no access to it",
    ),
    (
        Unreachable,
        r"certificate|SSL|TLS|GnuTLS",
        "the TLS connection could not be established (is the certificate signed by the given CA?)",
    ),
    (
        Unreachable,
        r"Could not resolve|Connection refused|Failed to connect|unreachable|timed out|Connection reset"
        r"|Connection closed|returned error: 5\d\d|HTTP 5\d\d|early EOF|hung up|unexpected disconnect|RPC failed"
        r"|No route|Empty reply",
        "the host is unreachable or closed the connection",
    ),
    (
        BrokenRepositoryError,
        r"bad object|unable to read|missing|corrupt|not a valid object|fsck|invalid (index-pack|object)",
        "objects are missing or corrupt",
    ),
)
_COMPILED = tuple((kind, re.compile(pattern), text) for kind, pattern, text in _PATTERNS)


def classify(stderr: str, what: str) -> GitError:
    """The error for a git child that failed; `what` says what we were doing, in our words (`fetching https://…`)."""
    for kind, pattern, text in _COMPILED:
        if pattern.search(stderr):
            return kind(f"{what}: {text}")
    return GitError(f"{what}: unrecognized git error")
