"""What is read in process, because kustomize would change nothing, beside what kustomize makes of it."""

from __future__ import annotations

import os
import random

import pytest

from controllers.kustomization.build import kustomize, plain
from controllers.lang.yaml_dump import dump
from controllers.lang.yaml_load import load_all

COUNT = int(os.environ.get("INHAUL_FUZZ_MANIFESTS", "40000"))
_SCALARS = """
    yes no on y 'yes' "no" true false null ~ 1 -5 0 007 0o7 1.5 1e3 5e48573 0x10 2026-01-01 '2026-01-01' 1:30 text a-b
    "quo\\"ted" 'it''s' "tab\\there" "" '' "a: b" "#no" a#b http://x:80/y ${VAR} "{{x}}" 'null' "true" "1" .5 <<  = *.x
    "\\u00e9\\U0001F600" é 😀 "\\x07" "\\0" "\\_" v1 9007199254740993 -0 +1 1_000 "nul\\e" "x \\
    y" . .. --- "trailing " " leading" [] {} [a,1,null] {k:v} {"k":1} [[1],{a:b}] 18446744073709551615 '<<' "y"
    "n" "=" ~x
""".split()  # noqa: SIM905
_HARMLESS = [
    "text",
    "1",
    "8080",
    "'8080'",
    '"yes"',
    '"2026-01-01"',
    "a b",
    "http://x:80/y",
    "${VAR}",
    "true",
    '"é\\n"',
    "x#y",
]
_BLOCKS = [
    "|\n{i}  one\n{i}  two\n", "|-\n{i}  one\n\n{i}   deeper\n", "|+\n{i}  one\n\n\n", ">-\n{i}  a\n{i}   b\n",
    ">\n{i}  folded\n{i}  text\n\n{i}  more\n", "|2\n{i}   indented\n{i}  x\n",
    "|\n{i}  trailing \n{i}  # no comment\n",
    "|\n{i}  --- x\n", "plain on\n{i}  two lines\n", "'quoted on\n{i}  two lines'\n", "|-\n{i}  \"x\": ${{VAR}}\n",
    "# comment\n", "\n", "|\n\n{i}  after an empty one\n", "|\n{i}  é😀 \u00a0\n", "|\n{i}  a\u200bb\n",
]  # fmt: skip
_KEYS = """name image data.yaml key y n on yes 1 1.5 true null 'y' "on" a-b a/b a.b/c ~ '1' "" - ? x y""".split()  # noqa: SIM905
_ANNOTATIONS = ["example.dev/a", "prometheus.io/port", "config.kubernetes.io/local-config", "a", "b"]
_KINDS = ["ConfigMap", "Secret", "Deployment", "Thing", "ConfigMapList", "Role", "ClusterRole", "Namespace"]


def _scalar(make: random.Random) -> str:
    return make.choice(_SCALARS if make.random() < 0.15 else _HARMLESS)


def _field(make: random.Random, indent: str) -> str:
    key = make.choice(_KEYS if make.random() < 0.2 else ["name", "image", "data.yaml", "a-b", "'y'"])
    roll = make.random()
    if roll < 0.25:
        return f"{indent}{key}: {make.choice(_BLOCKS).format(i=indent)}"
    if roll < 0.4 and len(indent) < 10:
        return f"{indent}{key}:\n" + "".join(_field(make, indent + "  ") for _ in range(make.randint(1, 3)))
    if roll < 0.55:
        return f"{indent}{key}:\n" + "".join(f"{indent}- {_scalar(make)}\n" for _ in range(make.randint(1, 3)))
    comment = make.choice(("", "", " # why"))
    return f"{indent}{key}: {_scalar(make)}{comment}\n"


def _manifest(make: random.Random, number: int) -> str:
    version, kind = make.choice(("v1", "apps/v1", "example.dev/v1")), make.choice(_KINDS)
    lines = [f"apiVersion: {version}\n", f"kind: {kind}\n", "metadata:\n", f"  name: o{number}\n"]
    if make.random() < 0.5:
        namespace = make.choice(("n", "default", "null", "1", '""'))
        lines.append(f"  namespace: {namespace}\n")
    for field in ("labels", "annotations"):
        if make.random() < 0.4:
            names = make.sample(_ANNOTATIONS, make.randint(0, 2))
            lines += [f"  {field}:\n", *(f"    {name}: {_scalar(make)}\n" for name in names)]
    if make.random() < 0.2:
        lines.append("  creationTimestamp: null\n")
    if make.random() < 0.2:
        field = make.choice(("ownerReferences", "finalizers", "generateName"))
        lines.append(f"  {field}: {_scalar(make)}\n")
    section = make.choice(("spec", "data", "stringData", "rules", "status"))
    return "".join([*lines, f"{section}:\n", *(_field(make, "  ") for _ in range(make.randint(0, 4)))])


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_what_is_read_in_process_is_what_kustomize_gives() -> None:
    make = random.Random(14)
    kept: dict[str, bytes] = {}
    for number in range(COUNT):
        content = _manifest(make, number).encode()
        if plain.objects({"x": content}) is not None:
            kept[f"app/{number:05}.yaml"] = content
    assert len(kept) > COUNT / 20
    names = sorted(kept)
    for start in range(0, len(names), 250):
        batch = {name: kept[name] for name in names[start : start + 250]}
        listed = {"resources": [f"./{name[4:]}" for name in batch]}
        output = kustomize.build({**batch, "app/kustomization.yaml": dump(listed).encode()}, "app")
        theirs = {each["metadata"]["name"]: each for each in load_all(output)}
        for name, content in batch.items():
            for manifest in plain.objects({name: content}) or []:
                assert manifest == theirs.get(manifest["metadata"]["name"]), content.decode()
