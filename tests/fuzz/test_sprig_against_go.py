"""10,000 drawn calls of each kind of template function, by us and by the original's Go modules: the same text, or an
error in both.

Stated differences, each for a reason: a scalar that upstream's library would round or read as octal although it is a
long number is refused; a complaint about a key that JSON has no form for shows the value with its keys as texts; behind
a byte order mark within a text go-yaml's writer escapes a letter.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from controllers.templating import EXTERNAL_SECRETS, StringMap, Template, TemplateError
from controllers.templating.errors import FunctionError
from controllers.templating.goyaml import load_texts

from .go_sprig import Answer, Case, Drawer, ask, build

COUNT = int(os.environ.get("INHAUL_FUZZ_SPRIG", "10000"))
KINDS = ("name", "number", "regex", "url", "yaml")


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("engine"))


def ours(case: Case) -> tuple[Answer, str]:
    """(the answer, the complaint)."""
    try:
        if case.texts:
            return load_texts(case.data["v"]), ""
        template = Template.parse(case.template, name="t", functions=EXTERNAL_SECRETS)
        return template.render(StringMap(case.data)), ""
    except (TemplateError, FunctionError) as error:
        return None, str(error)


def known(case: Case, theirs: Answer, mine: Answer, complaint: str) -> bool:
    """Is a difference one of the stated ones?"""
    if case.texts:
        return "would be rounded" in complaint or "long number" in complaint
    both = f"{theirs} {mine}"
    return both.count("unsupported map key") == 2 or ("toYaml" in case.template and "\ufeff" in case.data["v"])


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("kind", KINDS)
def test_functions_answer_as_the_originals_libraries_do(kind: str, engine: Path) -> None:
    cases: list[Case] = [getattr(Drawer(seed), kind)() for seed in range(COUNT)]
    different = []
    for seed, (case, theirs) in enumerate(zip(cases, ask(engine, cases), strict=True)):
        mine, complaint = ours(case)
        if mine != theirs and not known(case, theirs, mine, complaint):
            different.append(f"seed {seed}: {case}\n  go:   {theirs!r}\n  ours: {mine!r} {complaint}")
    assert not different, f"{len(different)} differ\n" + "\n".join(different[:10])


@pytest.mark.parametrize("kind", KINDS)
def test_a_seed_draws_the_same_case_again(kind: str) -> None:
    assert [getattr(Drawer(seed), kind)() for seed in range(50)] == [
        getattr(Drawer(seed), kind)() for seed in range(50)
    ]
