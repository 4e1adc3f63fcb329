"""Controls: flags before environment before defaults, and clear words for what is wrong."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import pytest

from controllers.runtime.settings import Settings, SettingsError, setting


@dataclass(frozen=True, slots=True)
class RoomSettings:
    prefix: ClassVar[str] = "room"
    size: int = setting(3, "pieces")
    names: tuple[str, ...] = setting((), "names")


def test_flags_win_over_environment_over_defaults() -> None:
    environ = {"INHAUL_KUBE_REQUEST": "12.5", "INHAUL_KUBE_CONNECT": "2", "INHAUL_CONTROLLERS": "a, b"}
    settings = Settings.from_args(["--kube-request", "7", "--claim=labelled", "--web-port=-1"], environ)
    assert (settings.kube.request, settings.kube.connect, settings.kube.connections) == (7.0, 2.0, 32)
    assert settings.controllers == ("a", "b")
    assert (settings.claim.mode, settings.web.port) == ("labelled", -1)


def test_a_room_has_its_settings_read_the_same_way() -> None:
    settings = Settings.from_args([], {"INHAUL_ROOM_SIZE": "5", "INHAUL_ROOM_NAMES": "x, y"})
    assert settings.group(RoomSettings) == RoomSettings(5, ("x", "y"))


@pytest.mark.parametrize(
    ("environ", "message"),
    [
        ({"INHAUL_QUEUE_CONCURRENT": "many"}, "--queue-concurrent: found 'many', expected a whole number"),
        ({"INHAUL_LOG_FORMAT": "xml"}, "--log-format: found 'xml', expected one of json, text"),
        ({"INHAUL_LEASE_ENABLED": "perhaps"}, "--lease-enabled: found 'perhaps', expected true or false"),
        ({"INHAUL_LEASE_RETRY": "soon"}, "--lease-retry: found 'soon', expected a number"),
    ],
)
def test_what_is_wrong_is_said(environ: dict[str, str], message: str) -> None:
    with pytest.raises(SettingsError) as caught:
        Settings.from_args([], environ)
    assert str(caught.value) == message


def test_values_given_to_rooms_do_not_show_in_the_repr() -> None:
    assert "hunter2" not in repr(Settings.from_args([], {"INHAUL_ROOM_PASSWORD": "hunter2"}))
