"""A SealedSecret's `template.data`: Go templates over the items, as sealed-secrets renders them.

A missing item prints `<no value>`. Functions that give another text at each run (random, time) would rewrite the
Secret at every unseal, so they are not offered.
"""

from __future__ import annotations

from collections.abc import Mapping

from controllers.templating import SPRIG, Budget, FunctionSet, StringMap, Template, TemplateError

_FUNCTIONS: FunctionSet = SPRIG.without("env", "expandenv", "getHostByName").deterministic()
_BUDGET = Budget()


def render(name: str, text: str, data: Mapping[str, str], functions: FunctionSet = _FUNCTIONS) -> str:
    """The rendered text of one entry. Raises ValueError with line and cause, no value."""
    try:
        template = Template.parse(text, name=name, functions=functions)
        return template.render(StringMap(data), missing_key="default", budget=_BUDGET)
    except TemplateError as error:
        raise ValueError(str(error)) from None
