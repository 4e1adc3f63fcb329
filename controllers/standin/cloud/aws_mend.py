"""Answers of moto that AWS would word otherwise, and a client would notice."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .aws_http import Answer, Call, answer_json
from .aws_identities import Identity

Ask = Callable[[dict[str, Any]], Answer]
_KEY_ARNS = {"kms:GetPublicKey", "kms:Sign", "kms:Verify"}


def parameters(call: Call, ask: Ask) -> Answer:
    """GetParameters: moto leaves out `Selector`, without which name:version and name cannot be told apart."""
    names = [str(name) for name in call.params.get("Names") or []]
    selected = [name for name in names if ":" in name.rpartition(":parameter")[2]]
    plain = [name for name in names if name not in selected]
    if not selected or len(names) > 10:
        return ask(call.params)
    found: list[Any] = []
    invalid: list[Any] = []
    for some in ([plain] if plain else []) + [[name] for name in selected]:
        answer = ask({**call.params, "Names": some})
        if answer.status != 200:
            return answer
        body = answer.json()
        selector = "" if some is plain else ":" + some[0].rpartition(":")[2]
        found += [{**item, **({"Selector": selector} if selector else {})} for item in body.get("Parameters", [])]
        invalid += body.get("InvalidParameters", [])
    return answer_json({"Parameters": found, "InvalidParameters": invalid})


def key_arn(call: Call, identity: Identity, answer: Answer) -> Answer:
    """KMS names keys by ARN in its answers; moto by id."""
    if call.name not in _KEY_ARNS or answer.status != 200:
        return answer
    body = answer.json()
    key = str(body.get("KeyId", ""))
    if key and not key.startswith("arn:"):
        body["KeyId"] = f"arn:aws:kms:{call.region}:{identity.account}:key/{key}"
    return answer_json(body)
