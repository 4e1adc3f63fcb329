"""Which requests of the smart-HTTP and ssh transports the stand-in's Git server serves. Pure: strings in, names out."""

from __future__ import annotations

import shlex

from aiohttp import web

SERVICES = ("git-upload-pack", "git-receive-pack")


def smart_http(request: web.Request) -> tuple[str, str, str] | None:
    """(repository, service, path below the repository) of a smart-HTTP request; None for anything else."""
    path = request.path.removeprefix("/")
    for tail, method in (("info/refs", "GET"), ("git-upload-pack", "POST"), ("git-receive-pack", "POST")):
        name = path.removesuffix(f"/{tail}").removesuffix(".git")
        if not path.endswith(f"/{tail}") or request.method != method:
            continue
        service = request.query.get("service", "") if tail == "info/refs" else tail
        return (name, service, tail) if service in SERVICES else None
    return None


def ssh_command(command: str) -> tuple[str, str]:
    """(service, repository) of an ssh exec request; two empty strings for anything but the two pack commands."""
    try:
        words = shlex.split(command)
    except ValueError:
        return "", ""
    if words[:1] == ["git"] and len(words) == 3:
        words = [f"git-{words[1]}", words[2]]
    if len(words) != 2 or words[0] not in SERVICES:
        return "", ""
    return words[0], words[1].removeprefix("/").removesuffix(".git")


def protocol(value: str) -> str:
    return value if value in ("version=1", "version=2") else ""


def cgi_head(head: bytes) -> tuple[int, dict[str, str]]:
    status, headers = 200, {}
    for line in head.decode("latin-1").split("\r\n"):
        key, separator, value = line.partition(":")
        if key.lower() == "status":
            status = int(value.split()[0])
        elif separator:
            headers[key.strip()] = value.strip()
    return status, headers
