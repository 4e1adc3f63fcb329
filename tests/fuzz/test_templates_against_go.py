"""1,000 random templates, rendered by us and by kubectl's own Go engine: the same text, or an error in both.

Stated differences: numbers of kubectl's documents are int64 where ours are int (seen in `%!s(int64=5)` and `%T` only),
a kubectl built with a Go before 1.24 does not range over integers, and `slice` beyond the end of a list looks at a
capacity that no template can know.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from controllers.templating import Template, TemplateError
from tests.unit.templating.oracle import kubectl_answer

from .go_templates import DATA, template

_UNKNOWABLE = re.compile(r"slice[^}]*\.x\.(el|mix)\b|%T|\.x[^.\w]|slice \(")
_OLD_GO = re.compile(r"range can't iterate over -?[0-9]+")
COUNT = int(os.environ.get("INHAUL_FUZZ_TEMPLATES", "1000"))


def ours(text: str) -> str | None:
    try:
        return Template.parse(text, name="t").render({"x": DATA}, missing_key="default")
    except TemplateError:
        return None


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_thousand_generated_templates_render_as_go_renders_them(tmp_path: Path) -> None:
    different: list[str] = []
    seed = compared = 0
    while compared < COUNT:
        seed += 1
        text = template(seed)
        if not text or _UNKNOWABLE.search(text) or re.search(r"[.$][ )}]", re.sub(r"\.x\.\w+|\$v\d+", "", text)):
            continue  # the whole document differs: kubectl's has apiVersion, kind and metadata
        theirs, complaint = kubectl_answer(tmp_path, text, DATA)
        if theirs is None and _OLD_GO.search(complaint):
            continue
        compared += 1
        mine = ours(text)
        if mine != (theirs.replace("int64=", "int=") if theirs is not None else None):
            different.append(f"seed {seed}: {text!r}\n  go:   {theirs!r}\n  ours: {mine!r}")
    assert not different, "\n".join(different[:10])


def test_the_generator_makes_the_same_template_of_the_same_seed() -> None:
    assert [template(seed) for seed in range(50)] == [template(seed) for seed in range(50)]
