"""KMS: decrypt a data key, sign, verify. Raises AwsError; KmsDenied where the key may not be used."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from controllers.runtime.sensitive import Sensitive

from .edge import Edge
from .errors import AwsError


@dataclass(frozen=True, slots=True)
class PublicKey:
    key_id: str  # ARN
    der: bytes  # SubjectPublicKeyInfo
    spec: str  # "ECC_NIST_P256", "RSA_2048" …
    algorithms: tuple[str, ...]  # of signing


class Kms(Edge):
    service: ClassVar[str] = "kms"

    async def decrypt(
        self, ciphertext: bytes, *, key_id: str = "", context: Mapping[str, str] | None = None
    ) -> Sensitive:
        """The plaintext. `context` must be the one of encryption. Wrong context or key: InvalidRequest."""
        answer = await self.call(
            "decrypt", CiphertextBlob=ciphertext, KeyId=key_id, EncryptionContext=dict(context or {})
        )
        return Sensitive(answer["Plaintext"])

    async def encrypt(self, plaintext: Sensitive, *, key_id: str, context: Mapping[str, str] | None = None) -> bytes:
        answer = await self.call(
            "encrypt", Plaintext=plaintext.reveal(), KeyId=key_id, EncryptionContext=dict(context or {})
        )
        return bytes(answer["CiphertextBlob"])

    async def sign(self, digest: bytes, *, key_id: str, algorithm: str) -> bytes:
        """The signature of a digest (`algorithm`: "ECDSA_SHA_256" …; ECDSA in DER)."""
        answer = await self.call("sign", KeyId=key_id, Message=digest, MessageType="DIGEST", SigningAlgorithm=algorithm)
        return bytes(answer["Signature"])

    async def verify(self, digest: bytes, signature: bytes, *, key_id: str, algorithm: str) -> bool:
        """Whether the signature holds. Raises AwsError for anything but a signature that does not."""
        try:
            answer = await self.call(
                "verify",
                KeyId=key_id,
                Message=digest,
                MessageType="DIGEST",
                Signature=signature,
                SigningAlgorithm=algorithm,
            )
        except AwsError as error:
            if error.code == "KMSInvalidSignatureException":
                return False
            raise
        return bool(answer.get("SignatureValid"))

    async def public_key(self, key_id: str) -> PublicKey:
        answer = await self.call("get_public_key", KeyId=key_id)
        algorithms = tuple(answer.get("SigningAlgorithms", ()))
        return PublicKey(str(answer["KeyId"]), bytes(answer["PublicKey"]), str(answer.get("KeySpec", "")), algorithms)
