"""Texts that a tenant writes and that cost, mean or name more than they seem to. Pure guards."""

from __future__ import annotations

import time
from typing import Any

import pytest

from controllers.api.resource import Key
from controllers.external_secrets.target.template import Engine
from controllers.external_secrets.values.errors import EntryError, TargetTemplateError
from controllers.external_secrets.values.find import Matcher
from controllers.external_secrets.values.rewrite import rewrite
from controllers.git import RefusedError, branch_ref, check_ref, parse_refspec
from controllers.git.commit import with_trailers
from controllers.git.objects import clean_path
from controllers.git.process import check_url
from controllers.image_automation.commit.setters import edit_file
from controllers.image_automation.tags.reference import Ref
from controllers.kustomization.health.cel_evaluator import Evaluator, is_small
from controllers.kustomization.health.expressions import ExpressionError, HealthExpressions
from controllers.kustomization.objects.inventory import InvalidInventoryIdError, read
from controllers.kustomization.objects.labels import is_owned, with_metadata
from controllers.kustomization.tenant import account
from controllers.lang import envsubst as substitution
from controllers.lang.envsubst import SubstitutionError, substitute
from controllers.lang.gjson.path import PathTooDeepError, lookup
from controllers.lang.yaml_load import InvalidYamlError, load, load_all
from controllers.runtime.egress import EgressDeniedError
from controllers.runtime.egress import check_url as check_egress
from controllers.runtime.kube import ApiError
from controllers.runtime.kube.client import _segment
from controllers.runtime.result import Stalled
from controllers.runtime.settings import EgressSettings, WorkerSettings
from controllers.runtime.worker import HeavyWorker

BOMB = "a: &a [x,x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{chr(98 + at)}: &{chr(98 + at)} [{','.join([f'*{chr(97 + at)}'] * 10)}]\n" for at in range(8)
)


@pytest.mark.parametrize(
    "text",
    [BOMB, "[" * 5000, "{a: " * 500, "a: 1\n" * 2, "x" * (65 << 20), "a: .inf", "a: *b", "\x00"],
)  # fmt: skip
def test_yaml_bombs_end_in_an_error_within_a_second(text: str) -> None:
    started = time.process_time()
    with pytest.raises(InvalidYamlError):
        load_all(text)
    assert time.process_time() - started < 6


def test_a_tag_that_names_code_of_python_says_nothing() -> None:
    assert load("a: !!python/name:os.x 1") == {"a": "1"}


def test_numbers_of_any_length_are_no_crash() -> None:
    for digits in ("0x" + "f" * 400, "9" * 390, "0o" + "7" * 600, "-" + "9" * 390):
        assert load(f"a: {digits}")["a"] == digits


@pytest.mark.parametrize(
    "text",
    ["${a:=${a:=${a:=" * 30, "${V//a/" + "b" * 2000 + "}", "${V}" * 100, "${V##" + "*a" * 200 + "b}", "${#V}" * 500],
)
def test_substitution_bombs_are_cut_and_cost_little(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    values = {"V": "a" * 250_000}
    started = time.process_time()
    with pytest.raises(SubstitutionError):
        substitute(text, values)
    assert time.process_time() - started < 6


def test_without_the_limits_the_substitution_grows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(substitution, "MAX_OUTPUT", 1 << 40)
    assert len(substitute("${V}" * 100, {"V": "a" * 250_000})) == 25_000_000


GROWTH = '"aaaaaaaaaa"' + '.replace("a","aaaaaaaaaa")' * 9 + ".size() > 1"


async def test_cel_that_grows_ends_with_its_worker_and_not_with_the_process() -> None:
    binds = "BODY"
    for at in range(10):
        grown = "+".join([f"a{at - 1}"] * 10) if at else "'xxxxxxxxxx'"
        binds = binds.replace("BODY", f"cel.bind(a{at}, {grown}, BODY)")
    heavy = HeavyWorker(WorkerSettings())
    try:
        for bomb in (GROWTH, binds.replace("BODY", "a9.size() > 1")):
            assert not is_small(bomb)
            with pytest.raises(ExpressionError, match="too much time or memory"):
                await Evaluator(heavy).status(HealthExpressions(bomb), {"status": {}})
        assert (await Evaluator(heavy).status(HealthExpressions("1 + 1 == 2"), {})).state == "Current"
    finally:
        heavy.close()


def test_a_regular_expression_bomb_in_cel_is_linear() -> None:
    started = time.process_time()
    HealthExpressions("self_.matches('(a+)+$')").evaluate({"self_": "a" * 5000 + "b"})
    assert time.process_time() - started < 6


@pytest.mark.parametrize(
    "name", ["../admin", "x/../../y", "a:b", "system:masters", "default\r\nImpersonate-Group: system:masters", "%2e"]
)
def test_a_service_accounts_name_stays_a_name(name: str) -> None:
    with pytest.raises(Stalled, match="serviceAccountName"):
        account("inhaul-system", "team-a", name)
    assert account("inhaul-system", "team-a", "ok") == "system:serviceaccount:team-a:ok"
    assert account("inhaul-system", "team-a", "") == "system:serviceaccount:team-a:default"


@pytest.mark.parametrize("name", ["../secrets/x", "..", ".", "a/b", "a%2fb", "a?x=1", "a#b", "a\\b", "", "a\nb"])
def test_a_name_from_a_manifest_is_one_segment_of_a_path(name: str) -> None:
    with pytest.raises(ApiError):
        _segment(name)


@pytest.mark.parametrize("entry", ["", "a_b", "../x__Secret", "team-b_x_rbac_", "_x_" + "y" * 9000 + "/"])
def test_a_forged_inventory_id_is_an_error_and_no_deletion(entry: str) -> None:
    with pytest.raises(InvalidInventoryIdError):
        read({"inventory": {"entries": [{"id": entry, "v": "v1"}]}})


def test_owner_labels_in_a_commit_do_not_make_an_object_anothers() -> None:
    forged = {"metadata": {"name": "x", "labels": {"kustomize.toolkit.fluxcd.io/name": "b"}}}
    ours = {"kustomize.toolkit.fluxcd.io/name": "a", "kustomize.toolkit.fluxcd.io/namespace": "team-a"}
    assert is_owned(with_metadata(forged, ours), Key("team-a", "a"))
    assert not is_owned(forged, Key("team-a", "a"))


REFS = ["--upload-pack=id", "-x", "refs/../x", "refs/heads/../../config", "refs/heads/a b", "refs/heads/a:b",
        "refs/heads/x.lock", "refs/heads/@{-1}", "refs/heads/*",
        "refs/heads/a\nb", "HEAD~1", "refs/heads/.x"]  # fmt: skip


@pytest.mark.parametrize("ref", REFS)
def test_malicious_names_of_references_are_refused(ref: str) -> None:
    with pytest.raises(RefusedError):
        check_ref(ref)
    with pytest.raises(RefusedError):
        branch_ref(ref)


@pytest.mark.parametrize("spec", ["+HEAD:main", ":main", "HEAD:", "", "a:b:c", "refs/*:refs/*", "HEAD:../x", "^main"])
def test_refspec_tricks_are_refused(spec: str) -> None:
    with pytest.raises(RefusedError):
        parse_refspec(spec)


@pytest.mark.parametrize("path", ["../x", "a/../../b", ".git/hooks", "a/.GIT/config", "a\0b", "a\nb"])
def test_paths_of_updates_stay_in_the_repository(path: str) -> None:
    with pytest.raises(RefusedError):
        clean_path(path)


@pytest.mark.parametrize(
    "url",
    ["file:///etc", "ext::sh -c id", "git://h/x", "http://h/x", "https://u:p@h/x", "ssh://-oProxyCommand=id/x", "ssh://-l@h/x",
     "https://h/x?y", "https:///x", "https://h\n/x", "-u", "/srv/repo", "h:x", "https://h/" + "x" * 3000],
)  # fmt: skip
def test_git_urls_that_are_more_than_a_place_are_refused(url: str) -> None:
    with pytest.raises(RefusedError):
        check_url(url)


HOSTS = ["169.254.169.254", "2852039166", "0xa9fea9fe", "0251.0376.0251.0376", "[::ffff:169.254.169.254]",
         "127.0.0.1",
         "127.1", "[::1]", "0.0.0.0", "[64:ff9b::a9fe:a9fe]", "[2002:a9fe:a9fe::]", "[fd00:ec2::254]",
         "localhost",
         "metadata.google.internal", "METADATA.google.internal.", "169.254.170.2",
         "224.0.0.1", "[fe80::1]"]  # fmt: skip


@pytest.mark.parametrize("host", HOSTS)
async def test_no_spelling_of_a_metadata_or_loopback_address_passes(host: str) -> None:
    with pytest.raises(EgressDeniedError):
        await check_egress(f"https://{host}/x")


async def test_the_same_check_lets_loopback_pass_where_it_is_allowed() -> None:
    await check_egress("https://127.0.0.1/x", EgressSettings(allow_loopback=True))


# External secrets


@pytest.mark.parametrize(
    "text",
    ['{{ repeat 2000000000 "x" }}', "{{ range until 2000000000 }}x{{ end }}", '{{ printf "%02000000000d" 1 }}',
     '{{ define "a" }}{{ template "a" . }}{{ end }}{{ template "a" . }}', "{{ seq 1 2000000000 }}", '{{ env "HOME" }}',
     '{{ $s := "xxxxxxxxxx" }}{{ range until 200 }}{{ $s = print $s $s }}{{ end }}', '{{ getHostByName "x" }}',
     '{{ indent 2000000000 "a" }}', "{{ (" * 5000],
)  # fmt: skip
def test_template_bombs_and_functions_that_look_out_are_refused(text: str) -> None:
    started = time.process_time()
    with pytest.raises(TargetTemplateError):
        Engine().execute("k", text, {})
    assert time.process_time() - started < 6


@pytest.mark.parametrize(
    "path",
    ["|".join(['{"a":@this,"b":@this}'] * 28), "|".join(["[@this,@this,@this,@this]"] * 20), "@tostr|" * 55 + "@tostr",
     "a." * 3000, "a." * 70 + "a", '@pretty:{"indent":"' + " " * 5000 + '"}'],
)  # fmt: skip
def test_gjson_bombs_are_cut(path: str) -> None:
    document = '{"x":1,"a":' * 3 + "1" + "}" * 3
    started = time.process_time()
    try:
        found: Any = lookup(document, path)
    except PathTooDeepError:
        found = None
    assert found is None or len(found.raw) < 9 << 20
    assert time.process_time() - started < 6


def test_regular_expressions_of_find_and_rewrite_are_linear() -> None:
    started = time.process_time()
    assert not Matcher({"name": {"regexp": "(a+)+$"}}).without_tags("a" * 400 + "b")
    rewrite([{"regexp": {"source": "(a+)+$", "target": "x"}}], {"a" * 250 + "b": b""}, lambda text, data: text)
    assert time.process_time() - started < 6
    for bad in ("(?=x)", "(a{1000}){1000}", "("):
        with pytest.raises(EntryError):
            Matcher({"name": {"regexp": bad}})


# Image automation


@pytest.mark.parametrize("new", ['x"\nevil: 1', "x # {y}", "*a", "&a", "!!x", "a: b", "\u2028x", "---", "- a"])
def test_a_hostile_tag_cannot_become_structure(new: str) -> None:
    text = b'a: "x" # {"$imagepolicy": "n:p:tag"}\nb: old # {"$imagepolicy": "n:p:tag"}\nc: keep\n'
    done = edit_file("f.yaml", text, {"n:p": Ref("i", new)})
    assert done.problem or load(done.content or text) == {"a": new, "b": new, "c": "keep"}


@pytest.mark.parametrize("bomb", [BOMB, "[" * 20_000, "a: " * 5000])
def test_a_file_that_explodes_is_reported_and_left_alone(bomb: str) -> None:
    started = time.process_time()
    done = edit_file("f.yaml", f'{bomb}\nz: x # {{"$imagepolicy": "n:p:tag"}}\n'.encode(), {"n:p": Ref("i", "v2")})
    assert done.content is None or done.content.count(b"v2") == 1
    assert time.process_time() - started < 10


def test_a_trailer_holds_no_second_trailer() -> None:
    text = with_trailers("m", [("Image-Policy", "a\nSigned-off-by: root\r\nX: y")])
    assert text.splitlines()[2:] == ["Image-Policy: a Signed-off-by: root X: y"]
    with pytest.raises(ValueError):
        with_trailers("m", [("A b", "x")])
