"""The child's side of `sandbox.py`: a script that takes rights away from itself and then becomes the program.

Run as `python -I -S sandbox_child.py OPTIONS -- PROGRAM ARGUMENTS…`; it imports little, because it starts before every
build. It fails closed: a power that the kernel has and that cannot be used ends it with code 125 before the program
starts. Not a `preexec_fn`: that would run Python between fork and exec of a process with threads.
"""

import ctypes
import os
import resource
import sys

FAILED = 125
_CREATE, _ADD, _RESTRICT = 444, 445, 446
_PATH_BENEATH, _VERSION = 1, 1
_EXECUTE, _WRITE, _READ, _LIST, _TRUNCATE, _IOCTL = 1, 1 << 1, 1 << 2, 1 << 3, 1 << 14, 1 << 15
_ON_FILES = _EXECUTE | _WRITE | _READ | _TRUNCATE | _IOCTL
_NO_NEW_PRIVS = 38
_NEW_NETWORK, _NEW_USER = 0x40000000, 0x10000000
_libc = ctypes.CDLL(None, use_errno=True)


class _Ruleset(ctypes.Structure):
    _fields_ = (("files", ctypes.c_uint64), ("network", ctypes.c_uint64), ("scoped", ctypes.c_uint64))


class _Beneath(ctypes.Structure):
    _pack_ = 1
    _fields_ = (("allowed", ctypes.c_uint64), ("parent", ctypes.c_int32))


def landlock_version() -> int:
    """The version of Landlock that the kernel speaks; 0 where it has none."""
    return max(int(_libc.syscall(_CREATE, None, ctypes.c_size_t(0), _VERSION)), 0)


def own_network() -> bool:
    """Leaves the network of the host: alone as root, else by way of a user namespace."""
    return any(int(_libc.unshare(flags)) == 0 for flags in (_NEW_USER | _NEW_NETWORK, _NEW_NETWORK))


def _checked(result: int, what: str) -> int:
    if result < 0:
        raise OSError(ctypes.get_errno(), what)
    return result


def _restrict(version: int, paths: list[tuple[str, str]], *, network: bool) -> None:
    """No file but those beneath the paths: `-x` to read and run, `-r` to read, `-w` to read and write."""
    handled = (1 << 13) - 1
    for since, right in ((2, 1 << 13), (3, _TRUNCATE), (5, _IOCTL)):
        handled |= right if version >= since else 0
    attributes = _Ruleset(handled, 0 if network or version < 4 else 3, 1 if version >= 6 else 0)
    size = 8 if version < 4 else 16 if version < 6 else 24
    rules = _checked(_libc.syscall(_CREATE, ctypes.byref(attributes), ctypes.c_size_t(size), 0), "create_ruleset")
    grants = {"-x": _EXECUTE | _READ | _LIST, "-r": _READ | _LIST, "-w": handled & ~_EXECUTE}
    for option, path in paths:
        try:
            parent = os.open(path, os.O_PATH | os.O_CLOEXEC)
        except FileNotFoundError:
            continue
        allowed = grants[option] & handled
        rule = _Beneath(allowed if os.path.isdir(path) else allowed & _ON_FILES, parent)  # noqa: PTH112 - no import of pathlib
        _checked(_libc.syscall(_ADD, rules, _PATH_BENEATH, ctypes.byref(rule), 0), path)
        os.close(parent)
    _checked(_libc.syscall(_RESTRICT, rules, 0), "restrict_self")
    os.close(rules)


def restrict(version: int, paths: list[tuple[str, str]], *, network: bool) -> None:
    """Takes the calling thread's rights away, and those of all that it starts. Raises OSError."""
    _checked(_libc.prctl(_NO_NEW_PRIVS, 1, 0, 0, 0), "no_new_privs")
    _restrict(version, paths, network=network)


def main(arguments: list[str]) -> None:
    """`-p` prints what the kernel has; `-n` no network (`-N`: or not at all); `-l NAME=VALUE` limits."""
    if arguments == ["-p"]:
        print(landlock_version(), int(own_network()))
        return
    paths: list[tuple[str, str]] = []
    network = True
    while (option := arguments.pop(0)) != "--":
        if option in ("-n", "-N"):
            network = False
            if not own_network() and option == "-N":
                raise OSError(ctypes.get_errno(), "no network namespace")
            continue
        value = arguments.pop(0)
        if option == "-l":
            name, _, number = value.partition("=")
            resource.setrlimit(getattr(resource, f"RLIMIT_{name}"), (int(number), int(number)))
        else:
            paths.append((option, value))
    _checked(_libc.prctl(_NO_NEW_PRIVS, 1, 0, 0, 0), "no_new_privs")
    if version := landlock_version():
        _restrict(version, paths, network=network)
    os.execve(arguments[0], arguments, dict(os.environ))  # noqa: S606 - that is what it is for


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except OSError as failure:
        print(f"the sandbox could not be set up: {failure.filename or ''} {failure.strerror}", file=sys.stderr)
        sys.exit(FAILED)
