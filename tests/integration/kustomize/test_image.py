"""The image and the Deployments agree. That its steps work is shown by .ci/dockerfile-steps."""

from __future__ import annotations

import json
import re

import pytest

from .test_build import CONTROLLERS, INSTALLATIONS, ROOT, of_kind

DOCKERFILE = re.sub(r"\\\n\s*", " ", (ROOT / "Dockerfile").read_text())


def instruction(name: str) -> str:
    """The last one of its name."""
    return str(re.findall(rf"^{name} (.*)$", DOCKERFILE, re.MULTILINE)[-1])


@pytest.mark.parametrize("tree", INSTALLATIONS)
def test_pods_run_as_the_images_user_with_the_images_command(tree: str) -> None:
    user, _, group = instruction("USER").partition(":")
    for deployment in of_kind(tree, "Deployment").values():
        pod = deployment["spec"]["template"]["spec"]
        assert (str(pod["securityContext"]["runAsUser"]), str(pod["securityContext"]["runAsGroup"])) == (user, group)
        assert pod["containers"][0]["command"] == json.loads(instruction("ENTRYPOINT"))


def test_the_user_has_an_entry_because_ssh_asks_for_one() -> None:
    assert f"useradd --uid {instruction('USER').partition(':')[0]} " in instruction("RUN")


def test_the_image_has_the_tools_that_child_processes_are() -> None:
    assert {"git", "gnupg", "openssh-client", "ca-certificates"} <= set(instruction("RUN").split())


def test_the_command_knows_the_controllers_that_the_deployments_name() -> None:
    from controllers.cli import CONTROLLERS as KNOWN

    assert set(KNOWN) == CONTROLLERS
