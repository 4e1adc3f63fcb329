"""Templates run where they hurt nobody: slow functions off the event loop, and so often only."""

from __future__ import annotations

import os
from datetime import UTC, datetime

import pytest

from controllers.external_secrets.target.template import Engine
from controllers.external_secrets.values.errors import EntryError, TargetTemplateError
from controllers.templating import EXTERNAL_SECRETS, Budget, Chance, with_chance

ENGINE = Engine(with_chance(EXTERNAL_SECRETS, Chance(random=os.urandom, now=lambda: datetime(2026, 1, 1, tzinfo=UTC))))


def test_the_name_of_a_key_is_made_without_slow_functions() -> None:
    assert ENGINE.text('{{ .value | upper | replace "/" "_" }}', {"value": "a/b"}) == "A_B"
    for slow in ('bcrypt "x"', 'genPrivateKey "rsa"', 'derivePassword 1 "pin" "a" "b" "c"'):
        with pytest.raises(EntryError, match="slow"):
            ENGINE.text("{{ " + slow + " }}", {"value": "a"})


def test_a_value_may_be_made_with_them_until_it_takes_too_long() -> None:
    assert ENGINE.execute("k", '{{ htpasswd "u" .p }}', {"p": b"pw"}).startswith(b"u:$2a$10$")
    with pytest.raises(TargetTemplateError, match="slow"):
        ENGINE.execute("k", '{{ range until 999 }}{{ bcrypt "x" }}{{ end }}', {}, Budget(heavy=20))
