"""What a commit says of other repositories, and what it says of itself: submodules, includes, signatures, Apps."""

from __future__ import annotations

import base64
import contextlib
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from controllers.api.base import parse
from controllers.api.source import GitRepositorySpec
from controllers.api.tenancy import Decision, Request
from controllers.git import ANONYMOUS, Found, GitAuth, RefusedError, Remote
from controllers.git.auth import is_app
from controllers.git.github_app import GithubApps
from controllers.git.verify import Signed, Verifier
from controllers.runtime.egress import Egress, EgressDeniedError
from controllers.runtime.policies import Policies
from controllers.runtime.result import NotReady, Stalled
from controllers.runtime.sensitive import Sensitive
from controllers.runtime.settings import EgressSettings
from controllers.sources import listing, submodules, verification
from controllers.sources.access import GitAccess
from controllers.sources.contents import Contents
from controllers.sources.listing import Listing
from controllers.sources.remotes import GitRemotes
from controllers.sources.tree import Node
from controllers.sources.verification import InvalidTagError, verified
from tests.attacks import attack

AREA = "kustomization"
PARENT = "https://git.example/team-a/fleet.git"
GUARD = "submodules.py: https and ssh, the same host or an allowed one"


def module(title: str, url: str, without: str) -> Any:
    return pytest.param(url, marks=attack(AREA, f"Submodule: {title}", guard=GUARD, without=without))


GIT_TAKES = "the very URL is what is fetched"


@pytest.mark.parametrize(
    "url",
    [
        module("URL `file://`", "file:///srv/other-tenant", GIT_TAKES),
        module("URL `ext::`, a command line", "ext::sh -c id", GIT_TAKES),
        module("URL that is a local path", "/srv/other-tenant/.git", GIT_TAKES),
        module("URL that is an option (`--upload-pack=`)", "--upload-pack=id", GIT_TAKES),
        module("URL with a password", "https://u:p@git.example/x", GIT_TAKES),
        module("relative URL that leads out of the host", "../../../../evil.example/x", GIT_TAKES),
        module("URL without encryption", "http://git.example/x", GIT_TAKES),
        module("metadata address", "https://169.254.169.254/latest", GIT_TAKES),
        module("another host that looks like ours", "https://git.example.evil.example/x", GIT_TAKES),
    ],
)
def test_a_submodule_is_asked_for_only_where_its_repository_is(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    text = f'[submodule "a"]\n\tpath = lib\n\turl = {url}\n'.encode()
    found = submodules.urls_of(text)["lib"]
    assert found == url, "what git itself would read in this file"
    with pytest.raises(RefusedError, match=r"submodule 'lib'|leads out"):
        submodules.check("lib", found, PARENT, ())
    assert submodules.check("lib", "../lib.git", PARENT, ()) == "https://git.example/team-a/lib.git"
    if not url.startswith("../"):  # those git resolves by itself, host and all
        monkeypatch.setattr(submodules, "check_url", lambda url: url)
        assert submodules.check("lib", found, PARENT, {(urlsplit(url).hostname or "").lower()}) == url


@attack(
    AREA,
    "Submodule on a host that the operator did not allow",
    guard="--kustomization-submodule-hosts",
    without="with the host in the setting it is fetched",
)
def test_another_host_is_the_operators_word() -> None:
    with pytest.raises(RefusedError, match="not allowed"):
        submodules.check("lib", "https://other.example/x", PARENT, ())
    assert submodules.check("lib", "https://other.example/x", PARENT, {"other.example"})


@pytest.mark.parametrize(
    "path",
    [
        pytest.param(path, marks=attack(AREA, title, guard="git/objects.py: clean_path",
                     without="the path is taken (as git did: CVE-2018-11235)"))
        for path, title in (("../outside", "Submodule whose path leads out of the tree"),
                            (".git/hooks", "Submodule whose path is in .git"))
    ],
)  # fmt: skip
def test_a_submodules_path_stays_in_the_tree(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(RefusedError):
        submodules.urls_of(f'[submodule "a"]\npath = {path}\nurl = ../x\n'.encode())
    monkeypatch.setattr(submodules, "clean_path", lambda path: path)
    assert submodules.urls_of(f'[submodule "a"]\npath = {path}\nurl = ../x\n'.encode()) == {path: "../x"}


@attack(
    AREA,
    "`.gitmodules` with a command in `update`, and a name that is a path",
    guard="submodules.py reads path and url alone",
    without="git submodule update ran the one and wrote to the other in its time",
)
def test_commands_and_names_in_gitmodules_mean_nothing() -> None:
    text = b'[submodule "../../x"]\npath = lib\nurl = ../y\nupdate = !touch /tmp/never\n[core]\nsshCommand = id\n'
    assert submodules.urls_of(text) == {"lib": "../y"}


class Pools:
    async def run(self, pool: str, function: Callable[..., Any], *arguments: Any) -> Any:
        return function(*arguments)


class Secrets:
    """An API server with one Secret, whatever it is asked for."""

    def __init__(self, data: Mapping[str, str]) -> None:
        self._data = {name: base64.b64encode(value.encode()).decode() for name, value in data.items()}

    async def get(self, *_: object) -> Any:
        return {"data": self._data}


class Allowed:
    def allowed(self, namespace: str, request: Request) -> Decision:
        return Decision(True, "all is allowed")


def access(egress: Egress | None = None, policies: Policies | None = None, kube: Any = None) -> GitAccess:
    return GitAccess(GitRemotes(kube, egress=egress), policies or Allowed())


@attack(
    AREA,
    "Submodule on another host, to be shown the login of the repository",
    guard="submodules.py: same scheme, host and port",
    without="the login goes along",
)
async def test_a_login_does_not_go_to_a_submodules_host(monkeypatch: pytest.MonkeyPatch) -> None:
    login = GitAuth(username="u", password=Sensitive(b"hidden-value"))
    parent = Remote(PARENT, login)
    for url, shown in (("https://git.example/x", login), ("https://git.example:8443/x", ANONYMOUS),
                       ("https://other.example/x", ANONYMOUS), ("ssh://git.example/x", ANONYMOUS)):  # fmt: skip
        assert (await access().submodule("team-a", parent, url)).auth == shown
    monkeypatch.setattr(submodules, "same_place", lambda one, other: True)
    assert (await access().submodule("team-a", parent, "https://other.example/x")).auth == login


@attack(
    AREA,
    "Submodule whose allowed host resolves to a metadata or loopback address",
    guard="runtime/egress.py, asked for each repository",
    without="--egress-allow-loopback: it is fetched",
)
async def test_each_submodule_is_asked_of_egress() -> None:
    parent = Remote(PARENT)
    with pytest.raises(NotReady, match="loopback"):
        await access(Egress()).submodule("team-a", parent, "https://127.0.0.1/x")
    free = access(Egress(EgressSettings(allow_loopback=True)))
    assert (await free.submodule("team-a", parent, "https://127.0.0.1/x")).addresses == ("127.0.0.1",)


@attack(
    AREA,
    "spec.url edited after the artifact is there, so that a build goes to a host that was never checked",
    guard="sources/access.py: every way to a host goes through remote()",
    without="without egress the host is asked",
)
@attack(
    AREA,
    "spec.url edited after the artifact is there, to a repository that the policy refuses",
    guard="sources/access.py: every way to a host goes through remote()",
    without="without a policy the host is asked",
)
async def test_a_build_asks_policy_and_egress_anew() -> None:
    spec = {"url": "https://127.0.0.1/x", "interval": "1m"}
    manifest = {"kind": "GitRepository", "metadata": {"name": "f", "namespace": "n"}, "spec": spec}

    async def asked(egress: Egress | None, policies: Any) -> bool:
        sources = Endless()
        contents = Contents(sources, access(egress, policies), pools=Pools(), find=lambda key: None)  # type: ignore[arg-type]
        with contextlib.suppress(NotReady):
            await contents.tree(manifest, parse(GitRepositorySpec, manifest), f"main@sha1:{'0' * 40}")
        return sources.asked > 0

    assert not await asked(Egress(), Allowed())
    assert not await asked(None, Refusing())
    assert await asked(None, Allowed())


class Refusing:
    def allowed(self, namespace: str, request: Any) -> Decision:
        return Decision(False, "not granted")


@attack(
    AREA,
    "spec.proxySecretRef: a proxy at a metadata or loopback address",
    guard="runtime/egress.py, asked for the proxy",
    without="--egress-allow-loopback: it is used",
)
@attack(
    AREA,
    "Metadata address by way of an allowed proxy",
    guard="sources/remotes.py: an address in spec.url is judged, proxy or not",
    without="by a name it is the proxy's to judge",
)
async def test_a_proxy_is_judged_and_hides_no_address() -> None:
    async def remote(url: str, proxy: str, *, loopback: bool) -> Remote:
        data = {"address": proxy, "username": "u", "password": "p@ss"}
        git = access(Egress(EgressSettings(allow_loopback=loopback)), kube=Secrets(data))
        manifest = {"kind": "GitRepository", "metadata": {"name": "f", "namespace": "n"},
                    "spec": {"url": url, "interval": "1m", "proxySecretRef": {"name": "p"}}}  # fmt: skip

        return await git.remote(manifest, parse(GitRepositorySpec, manifest))

    named = "https://git.example/x"
    with pytest.raises(NotReady, match=r"spec\.proxySecretRef"):
        await remote(named, "http://127.0.0.1:3128", loopback=False)
    through = await remote(named, "http://127.0.0.1:3128", loopback=True)
    assert through.proxy and through.proxy.reveal_text() == "http://u:p%40ss@127.0.0.1:3128"
    for url in ("https://169.254.169.254/x", "https://2852039166/x", "https://0xa9fea9fe/x"):
        with pytest.raises(NotReady, match=r"spec\.url"):
            await remote(url, "http://127.0.0.1:3128", loopback=True)
    for bad in ("ftp://h", "http://u:p@h", "http://h/x", "h:1"):
        with pytest.raises(RefusedError, match="address"):
            await remote(named, bad, loopback=True)


class Endless:
    """Sources in which every commit has a submodule: itself."""

    def __init__(self) -> None:
        self.asked = 0

    def listing(self, remote: Remote, text: str, ref: str) -> Listing:
        self.asked += 1
        return Listing({"a": Node("1")}, lambda paths: {}, links={"lib": "0" * 40},
                       modules=b'[submodule "x"]\npath = lib\nurl = ./\n')  # fmt: skip


@attack(
    AREA,
    "Submodules within one another without end",
    guard="submodules.py: MAX_DEPTH",
    without="a higher limit: more are fetched",
)
async def test_submodules_without_end_end(monkeypatch: pytest.MonkeyPatch) -> None:
    async def asked() -> int:
        sources = Endless()
        contents = Contents(sources, access(), pools=Pools(), find=lambda key: None)  # type: ignore[arg-type]
        spec = {"url": PARENT, "interval": "1m", "recurseSubmodules": True}
        manifest = {"kind": "GitRepository", "metadata": {"name": "f", "namespace": "n"}, "spec": spec}
        with pytest.raises(Stalled, match="within one another"):
            await contents.tree(manifest, parse(GitRepositorySpec, manifest), f"main@sha1:{'0' * 40}")
        return sources.asked

    assert await asked() == submodules.MAX_DEPTH + 1
    monkeypatch.setattr(submodules, "MAX_DEPTH", 9)
    assert await asked() == 10


@attack(
    AREA,
    "Include or submodule over files of the repository",
    guard="listing.py: mounted",
    without="its files take their place",
)
def test_what_is_mounted_hides_nothing() -> None:
    base = Listing({"app/cm.yaml": Node("1")}, lambda paths: {})
    other = Listing({"cm.yaml": Node("2")}, lambda paths: {})
    for at in ("app", "app/cm.yaml", "app/cm.yaml/x"):
        with pytest.raises(RefusedError):
            listing.mounted(base, at, other, what="x")
    assert {**base.nodes, **listing.mounted(Listing({}, lambda paths: {}), "app", other, what="x").nodes} == {
        "app/cm.yaml": Node("2")
    }


class AnyKey(Verifier):
    """Takes every signature for good."""

    def __init__(self) -> None:
        pass

    def verify(self, signed: Signed) -> str:
        return "key"


COMMIT = "1" * 40
SIGNED = b"object " + COMMIT.encode() + b"\ntype commit\ntag v1\n\nrelease\n-----BEGIN PGP SIGNATURE-----\n"


@pytest.mark.parametrize(
    "found",
    [
        pytest.param(found, marks=attack(AREA, title, guard="verification.py: the tag's own name and object",
                     without="the signature itself is good"))
        for found, title in (
            (Found(COMMIT, "refs/tags/v2", "2" * 40), "Signed tag, shown under the name of a newer one"),
            (Found("3" * 40, "refs/tags/v1", "2" * 40), "Signed tag, shown for another commit"),
        )
    ],
)  # fmt: skip
def test_a_signed_tag_is_good_for_its_own_name_and_commit(found: Found, monkeypatch: pytest.MonkeyPatch) -> None:
    objects = [b"tree x\n\n", SIGNED]
    assert verified(objects, Found(COMMIT, "refs/tags/v1", "2" * 40), AnyKey(), "Tag")
    with pytest.raises(InvalidTagError):
        verified(objects, found, AnyKey(), "Tag")
    monkeypatch.setattr(verification, "_check_tag", lambda content, found, name: None)
    assert verified(objects, found, AnyKey(), "Tag")


def app_secret(**more: str) -> Mapping[str, bytes]:
    key = rsa.generate_private_key(65537, 2048)
    form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    base = {"githubAppID": "1", "githubAppInstallationID": "2", **more}
    return {name: text.encode() for name, text in base.items()} | {"githubAppPrivateKey": key.private_bytes(*form)}


@attack(
    AREA,
    "GitHub App whose base URL is a metadata or loopback address",
    guard="runtime/egress.py, at the socket",
    without="--egress-allow-loopback: it is asked",
)
@attack(
    AREA,
    "GitHub App whose base URL redirects the signed request elsewhere",
    guard="git/github_app.py follows no redirect",
    without="a client that follows sends it on",
)
async def test_an_apps_host_is_judged_and_not_followed(monkeypatch: pytest.MonkeyPatch) -> None:
    for base in ("https://169.254.169.254/api", "https://127.0.0.1:1/api"):
        with pytest.raises((RefusedError, EgressDeniedError)) as caught:
            await GithubApps().auth(app_secret(githubAppBaseURL=base), PARENT)
        assert "not allowed" in str(caught.value)
    asked: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request.url.host)
        return httpx.Response(302, headers={"Location": "https://thief.example/x"})

    egress = Egress()
    monkeypatch.setattr(egress, "transport", lambda verify=True, proxy=None: httpx.MockTransport(answer))
    with pytest.raises(Exception, match="GitHub returned HTTP 302"):
        await GithubApps(egress).auth(app_secret(), PARENT)
    assert asked == ["api.github.com"]
    async with httpx.AsyncClient(transport=httpx.MockTransport(answer), follow_redirects=True, max_redirects=1) as free:
        with pytest.raises(httpx.TooManyRedirects):
            await free.post("https://api.github.com/x")
    assert asked[-1] == "thief.example"


def test_tokens_of_an_app_share_one_mirror_and_are_told_from_other_credentials() -> None:
    assert is_app(app_secret())
    first = GitAuth(username="x-access-token", password=Sensitive(b"a"), lasting="app")
    assert first.fingerprint == replace(first, password=Sensitive(b"b")).fingerprint
    assert first.fingerprint != replace(first, lasting="").fingerprint
    assert first.fingerprint != replace(first, lasting="other").fingerprint
