"""Texts that cost more than they weigh: refused within their limit, and at work where that one limit is lifted."""

from __future__ import annotations

import subprocess
import sys

import pytest

from controllers.kustomization.build.limits import BuildLimitError, BuildLimits
from controllers.kustomization.build.render import render_files
from controllers.kustomization.health import cel_evaluator as expressions
from controllers.kustomization.health.cel_evaluator import Evaluator
from controllers.kustomization.health.expressions import ExpressionError, HealthExpressions
from controllers.lang import envsubst as substitution
from controllers.lang import gitignore as sourceignore
from controllers.lang.envsubst import SubstitutionError, substitute
from controllers.lang.yaml_load import InvalidYamlError, YamlLimits, load_all
from controllers.runtime.settings import WorkerSettings
from controllers.runtime.worker import HeavyWorker
from tests.attacks import attack

AREA = "kustomization"
ALIASES = "a: &a [x,x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{chr(98 + at)}: &{chr(98 + at)} [{','.join([f'*{chr(97 + at)}'] * 10)}]\n" for at in range(4)
)
CONFIG = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c%d}\n"


def yaml(title: str, text: str, tight: YamlLimits) -> object:
    return pytest.param(
        text, tight, marks=attack(AREA, title, guard="lang/yaml_load.py: Limits", without="higher limits: it is read")
    )


@pytest.mark.parametrize(
    ("text", "tight"),
    [
        yaml("YAML aliases that unfold", ALIASES, YamlLimits(aliased=50_000)),
        yaml("YAML nested without end", "[" * 90 + "]" * 90, YamlLimits(depth=50)),
        yaml("YAML of more bytes than a file may have", "a: " + "x" * 5000, YamlLimits(bytes=4000)),
        yaml("YAML of documents without end", "---\na: 1\n" * 30, YamlLimits(documents=20)),
    ],
)
def test_yaml_beyond_a_limit_is_refused(text: str, tight: YamlLimits) -> None:
    with pytest.raises(InvalidYamlError):
        load_all(text, limits=tight)
    assert load_all(text, limits=YamlLimits(aliased=10_000_000))


NESTED = "${A:=" * 20 + "x" + "}" * 20
GLOBBED = "${V##" + "*a" * 60 + "b}"


@pytest.mark.parametrize(
    ("text", "limit", "lifted"),
    [
        pytest.param(NESTED, "MAX_DEPTH", 100, marks=attack(AREA, "Substitution: expressions within one another",
            guard="lang/envsubst.py: MAX_DEPTH", without="a higher limit: it is evaluated")),
        pytest.param("${V}" * 10, "MAX_OUTPUT", 1 << 30, marks=attack(AREA, "Substitution: output that grows",
            guard="lang/envsubst.py: MAX_OUTPUT", without="a higher limit: megabytes of text")),
        pytest.param(GLOBBED, "MAX_WORK", 1 << 50, marks=attack(AREA, "Substitution: globs that are long to match",
            guard="lang/envsubst.py: MAX_WORK", without="a higher limit: it is matched to the end")),
    ],
)  # fmt: skip
def test_substitution_beyond_a_limit_is_refused(
    text: str, limit: str, lifted: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = {"V": "a" * (1 << 20 if limit == "MAX_OUTPUT" else 300)}
    if limit == "MAX_WORK":
        monkeypatch.setattr(substitution, limit, 10_000)
    with pytest.raises(SubstitutionError):
        substitute(text, values)
    monkeypatch.setattr(substitution, limit, lifted)
    assert substitute(text, values)


@attack(AREA, "CEL that grows with each `cel.bind`", guard="expressions.py: a worker with a limit of memory, killed",
        without="with more memory it is evaluated")  # fmt: skip
@attack(AREA, "CEL in readyExpr that grows", guard="expressions.py: a worker with a limit of memory, killed",
        without="with more memory it is evaluated")  # fmt: skip
async def test_cel_that_grows_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(expressions, "TIMEOUT", 60.0)  # memory is what is judged here
    binds = "BODY"
    for at in range(8):
        grown = "+".join([f"a{at - 1}"] * 10) if at else "'xxxxxxxxxx'"
        binds = binds.replace("BODY", f"cel.bind(a{at}, {grown}, BODY)")
    bomb = binds.replace("BODY", "a7.size() > 1")
    small, large = HeavyWorker(WorkerSettings(memory=128)), HeavyWorker(WorkerSettings(memory=2048))
    try:
        with pytest.raises(ExpressionError, match="too much time or memory"):
            await Evaluator(small).status(HealthExpressions(bomb), {"status": {}})
        with pytest.raises(ExpressionError, match="too much time or memory"):
            (await Evaluator(small).decided(bomb, {"dep": {}}))(bomb, {"dep": {}})
        assert (await Evaluator(large).status(HealthExpressions(bomb), {})).state == "Current"
        assert (await Evaluator(large).decided(bomb, {"dep": {}}))(bomb, {"dep": {}})
    finally:
        small.close()
        large.close()


@attack(AREA, "Regular expression that backtracks without end, in CEL", guard="RE2, in linear time",
        without="a backtracking engine does not end")  # fmt: skip
def test_a_regular_expression_is_linear() -> None:
    text = "a" * 60 + "b"
    assert HealthExpressions("!data.x.matches('^(a+)+$')").evaluate({"data": {"x": text}}).state == "Current"
    code = f"import re; re.match('^(a+)+$', {text!r})"
    with pytest.raises(subprocess.TimeoutExpired):
        subprocess.run([sys.executable, "-I", "-S", "-c", code], timeout=1.5, check=False)


@attack(AREA, "Patterns of .sourceignore without end", guard="lang/gitignore.py: MAX_PATTERNS",
        without="a higher limit: all are matched against every file")  # fmt: skip
def test_patterns_without_end_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    text = "".join(f"*{at}\n" for at in range(3000))
    with pytest.raises(sourceignore.TooManyPatternsError):
        sourceignore.selected({}, text)
    monkeypatch.setattr(sourceignore, "MAX_PATTERNS", 10_000)
    assert sourceignore.selected({}, text).ignores("a/x2999")


@attack(
    AREA, "Objects without end", guard="build/limits.py: BuildLimits", without="a higher limit: all of them are applied"
)
def test_objects_without_end_are_refused() -> None:
    files = {"a.yaml": "---\n".join(CONFIG % at for at in range(30)).encode()}
    with pytest.raises(BuildLimitError, match=r"30 objects, expected at most 20; .*--kustomization-build-objects"):
        render_files(files, "", {}, limits=BuildLimits(objects=20))
    assert len(render_files(files, "", {})) == 30
