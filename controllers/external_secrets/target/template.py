"""`target.template`: the provider's values through Go templates into data, labels and annotations. Pure.

Order: the provider's keys (without a template, or with mergePolicy Merge), then templateFrom in order, then
template.data, then the metadata's templates; the later wins. Templates see the
values as text (map[string]string) and nothing else.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from controllers.api import external_secrets as api
from controllers.external_secrets.values.decode import decode
from controllers.external_secrets.values.errors import EntryError, TargetTemplateError
from controllers.templating import EXTERNAL_SECRETS, Budget, FunctionSet, StringMap, Template, TemplateError
from controllers.templating.errors import FunctionError, ParseError
from controllers.templating.goyaml import load_texts
from controllers.templating.values import to_bytes, to_text

Delimiters = tuple[str, str]
_BUDGET = Budget()
_KEYS_BUDGET = Budget(steps=50_000, heavy=0)
"""For names of keys, which are made on the event loop: nothing slow belongs there."""
MAX_SECRET = 1 << 20
"""A Secret's data may be 1 MiB altogether."""


@dataclass(frozen=True, slots=True)
class TemplateSource:
    """Templates that were read from templateFrom: name → text, and where their output goes.

    A template may contain a secret (it can be kept in a Secret), so repr leaves it out.
    """

    templates: Mapping[str, str] = field(repr=False)
    scope: str = "Values"
    target: str = "Data"
    decoding: str = "None"


@dataclass(slots=True)
class Rendered:
    """What the templates produced. Every part may hold a secret value, so repr leaves all of them out."""

    data: dict[str, bytes] = field(default_factory=dict, repr=False)
    labels: dict[str, str] = field(default_factory=dict, repr=False)
    annotations: dict[str, str] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True)
class Engine:
    """How templates are run: the functions and delimiters of this installation."""

    functions: FunctionSet = field(default_factory=lambda: EXTERNAL_SECRETS)
    delimiters: Delimiters = ("{{", "}}")

    def execute(self, key: str, text: str, data: Mapping[str, bytes], budget: Budget = _BUDGET) -> bytes:
        """One template. Raises TargetTemplateError, which names key, line and cause."""
        try:
            parsed = Template.parse(text, name=key, functions=self.functions, delimiters=self.delimiters)
            values = StringMap({name: to_text(value) for name, value in data.items()})
            return parsed.render_bytes(values, budget=budget)
        except ParseError as error:
            raise TargetTemplateError(f"unable to parse template at key {key}: {error}") from None
        except TemplateError as error:
            raise TargetTemplateError(f"unable to execute template at key {key}: {error}") from None

    def text(self, text: str, data: Mapping[str, str]) -> str:
        """A template outside of a target (rewrite.transform). Raises EntryError."""
        try:
            values = {name: to_bytes(value) for name, value in data.items()}
            return to_text(self.execute("transform", text, values, _KEYS_BUDGET))
        except TargetTemplateError as error:
            raise EntryError("Rewrite", str(error)) from None

    def apply(self, source: TemplateSource, data: Mapping[str, bytes], out: Rendered) -> None:
        """One source's templates into `out`. Raises TargetTemplateError."""
        for key in sorted(source.templates):
            made = self.execute(key, source.templates[key], data)
            values = _as_map(key, made) if source.scope == "KeysAndValues" else {key: made}
            for name, value in values.items():
                _put(out, source.target, name, _decoded(source.decoding, name, value))


_NAME = re.compile(r"[-._a-zA-Z0-9]{1,253}")


def _decoded(strategy: str, key: str, value: bytes) -> bytes:
    try:
        return decode(strategy, value, key=key)
    except EntryError as error:
        raise TargetTemplateError(f"failed to decode rendered template value for key {key}: {error}") from None


def _as_map(key: str, text: bytes) -> dict[str, bytes]:
    """KeysAndValues: what was rendered is a YAML map of texts."""
    try:
        loaded = load_texts(to_text(text))
    except FunctionError as error:
        raise TargetTemplateError(f"template at key {key}: {error}") from None
    if loaded is None:
        raise TargetTemplateError(f"template at key {key} did not render to a YAML map")
    return {name: to_bytes(value) for name, value in loaded.items()}


def _put(out: Rendered, target: str, key: str, value: bytes) -> None:
    match target.lower():
        case "data" | "":
            out.data[key] = value
        case "labels":
            out.labels[key] = _meta_text("label", key, value)
        case "annotations":
            out.annotations[key] = _meta_text("annotation", key, value)
        case _:
            raise TargetTemplateError(
                f"templateFrom.target {target} needs target.manifest; expected Data, Labels, Annotations"
            )


def _meta_text(what: str, key: str, value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        raise TargetTemplateError(f"{what} {key} did not render to text") from None


def check_names(rendered: Rendered, spelt: Collection[str]) -> None:
    """Raises TargetTemplateError for names that no Secret can have, before the API server refuses and repeats them:
    only those that are `spelt` somewhere are named, for others may have been rendered from values."""
    bad = [name for name in rendered.data if not _NAME.fullmatch(name)]
    if not bad:
        return
    named = next((name for name in bad if name in spelt), "")
    which = f"key {named}" if named else f"{len(bad)} of {len(rendered.data)} keys"
    raise TargetTemplateError(
        f"{which}: not valid in a Secret; expected letters, digits, '-', '_' and '.', at most 253 characters"
    )


def render(
    template: api.Template | None,
    provider: Mapping[str, bytes],
    sources: Sequence[TemplateSource] = (),
    *,
    engine: Engine,
) -> Rendered:
    """Data, labels and annotations of the target. `sources` are what templateFrom named, read and in order."""
    out = Rendered()
    if template is None:
        out.data.update(provider)
        return out
    if template.merge_policy == "Merge" or not (template.data or template.template_from):
        out.data.update(provider)
    for source in sources:
        engine.apply(source, provider, out)
    engine.apply(TemplateSource(template.data), provider, out)
    engine.apply(TemplateSource(template.metadata.labels, target="Labels"), provider, out)
    engine.apply(TemplateSource(template.metadata.annotations, target="Annotations"), provider, out)
    if sum(map(len, out.data.values())) > MAX_SECRET:
        raise TargetTemplateError(f"the Secret's data would exceed {MAX_SECRET} bytes")
    return out
