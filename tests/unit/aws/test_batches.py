"""Answers of a batch find the key that was asked for, in whatever form either side writes names."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controllers.aws.errors import NotFound
from controllers.aws.parameterstore import ParameterStore
from controllers.aws.secretsmanager import SecretsManager

ARN = "arn:aws:secretsmanager:eu-west-1:111122223333:secret:"
SSM_ARN = "arn:aws:ssm:eu-west-1:111122223333:parameter/"
NAMES = ("db", "db-AbCdEf", "/db", "team/db", "db-AbCdEf-QqQqQq")
SUFFIXES = ("-AbCdEf", "-QqQqQq")


class Secrets(SecretsManager):
    """Secrets Manager over a table of names and suffixes; `forms` says how the errors of a batch name secrets."""

    # a frozen dataclass: what it answers is given per class below
    table: dict[str, str]
    forms: list[int]

    async def call(self, operation: str, **parameters: Any) -> dict[str, Any]:
        if operation == "get_secret_value":
            name = self.resolve(parameters["SecretId"])
            if name is None:
                raise NotFound("none", operation=operation)
            return self.item(name)
        values, errors = {}, []
        for at, asked in enumerate(parameters["SecretIdList"]):
            if (name := self.resolve(asked)) is not None:
                values[name] = self.item(name)
            else:
                form = self.forms[at % len(self.forms)]
                named = asked.removeprefix(ARN)
                shown = (asked, named, f"{ARN}{named}")[form]
                errors.append({"SecretId": shown, "ErrorCode": "ResourceNotFoundException", "Message": "none"})
        return {"SecretValues": list(values.values()), "Errors": errors}

    def item(self, name: str) -> dict[str, Any]:
        return {"Name": name, "ARN": self.arn(name), "SecretString": name, "VersionStages": ["AWSCURRENT"]}

    def arn(self, name: str) -> str:
        return f"{ARN}{name}{self.table[name]}"

    def resolve(self, asked: str) -> str | None:
        """A full ARN before one without its suffix, as AWS does."""
        exact = [name for name in self.table if asked in (name, self.arn(name))]
        partial = [name for name in self.table if asked == f"{ARN}{name}"]
        return next(iter([*exact, *partial]), None)


@settings(deadline=None, max_examples=400)
@given(
    st.dictionaries(st.sampled_from(NAMES), st.sampled_from(SUFFIXES), max_size=5),
    st.lists(st.tuples(st.sampled_from(NAMES), st.sampled_from(("", *SUFFIXES)), st.booleans()), min_size=1),
    st.lists(st.integers(0, 2), min_size=1, max_size=4),
)
def test_a_secret_is_found_under_every_form_that_it_was_asked_in(
    table: dict[str, str], drawn: list[tuple[str, str, bool]], forms: list[int]
) -> None:
    edge_class = type("Drawn", (Secrets,), {"table": table, "forms": forms})
    edge = edge_class(None, None, "eu-west-1")
    asked = list(dict.fromkeys(f"{ARN}{name}{suffix}" if arn else name for name, suffix, arn in drawn))[:20]
    found = asyncio.run(edge.batch(asked))
    for each in asked:
        name = edge.resolve(each)
        if name is None:
            assert isinstance(found.errors[each], NotFound)
        else:
            assert found.values[each].value.reveal() == name.encode()
    assert found.values.keys() | found.errors.keys() == set(asked)


class Parameters(ParameterStore):
    """Parameter Store over a list of paths; `forms` says in which form a batch answers. "/db" and "db" are one."""

    paths: tuple[str, ...]
    forms: list[int]

    async def call(self, operation: str, **parameters: Any) -> dict[str, Any]:
        found, invalid = [], []
        for at, asked in enumerate(parameters["Names"]):
            base, selector = self.split(asked)
            if base not in self.paths:
                invalid.append(asked)
                continue
            shown = (base, f"/{base}", f"{SSM_ARN}{base}")[self.forms[at % len(self.forms)]]
            value = f"{base}{selector}"
            found.append({"Name": shown, "ARN": f"{SSM_ARN}{base}", "Selector": selector, "Value": value, "Version": 1})
        return {"Parameters": found, "InvalidParameters": invalid}

    def split(self, asked: str) -> tuple[str, str]:
        base, colon, selector = asked.removeprefix(SSM_ARN).removeprefix("/").partition(":")
        return base, f"{colon}{selector}"


@settings(deadline=None, max_examples=400)
@given(
    st.sets(st.sampled_from(("db", "web", "team/db", "team/web"))),
    st.lists(
        st.tuples(
            st.sampled_from(("", "/", SSM_ARN)),
            st.sampled_from(("db", "web", "team/db", "team/web")),
            st.sampled_from(("", ":3", ":stable")),
        ),
        min_size=1,
        max_size=8,
    ),
    st.lists(st.integers(0, 2), min_size=1, max_size=4),
)
def test_a_parameter_is_found_under_every_form_that_it_was_asked_in(
    paths: set[str], drawn: list[tuple[str, str, str]], forms: list[int]
) -> None:
    edge_class = type("Drawn", (Parameters,), {"paths": tuple(paths), "forms": forms})
    edge = edge_class(None, None, "eu-west-1")
    asked = list(dict.fromkeys("".join(each) for each in drawn))
    found = asyncio.run(edge.get(asked))
    for each in asked:
        base, selector = edge.split(each)
        if base in paths:
            assert found.values[each].value.reveal() == f"{base}{selector}".encode()
        else:
            assert each in found.missing


@pytest.mark.parametrize("shown", ["arn", "name"])
def test_an_error_of_another_account_s_secret_is_not_taken_for_ours(shown: str) -> None:
    """Both are asked for; the other account's is refused by a name that ours has too."""
    other = "arn:aws:secretsmanager:eu-west-1:999999999999:secret:db"

    class Two(Secrets):
        async def call(self, operation: str, **parameters: Any) -> dict[str, Any]:
            if operation == "get_secret_value":
                assert parameters["SecretId"] == other
                return {"Name": "db", "ARN": f"{other}-ZzZzZz", "SecretString": "theirs"}
            named = {"arn": f"{ARN}db-AbCdEf", "name": "db"}[shown]
            errors = [{"SecretId": named, "ErrorCode": "AccessDeniedException", "Message": "no"}]
            return {"SecretValues": [], "Errors": errors}

    asked = "db" if shown == "name" else f"{ARN}db"
    edge: Any = Two(None, None, "eu-west-1")  # type: ignore[arg-type]
    found = asyncio.run(edge.batch([asked, other]))
    assert found.values[other].value.reveal() == b"theirs"
    assert asked in found.errors
