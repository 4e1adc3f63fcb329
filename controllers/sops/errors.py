"""What can go wrong when a file is decrypted. One tree, and no message of it holds a value or a byte of a key.

SopsError(reason)                 reasons (CamelCase, for conditions):
  RefusedSyntaxError                     SyntaxError, AliasRefused, DuplicateKey, TooLarge
  MetadataError                     MetadataInvalid, ConflictingRules, UnsupportedFormat
  DataKeyError                      NoDataKey, KeyRefused, ShamirFailed
  TreeError                         ValueInvalid, NotEncrypted, KeyNotString
  MacError                          MacMissing, MacMismatch
  ToolError                         ToolMissing, ToolTimeout, ToolFailed
SealedError(reason)               NoKey, Corrupt, KeyInvalid, …
"""

from __future__ import annotations


class DecryptionError(Exception):
    """`reason` is CamelCase for a condition; `message` says where (path of the value, line) and why."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message


class SopsError(DecryptionError):
    """A SOPS file that cannot be decrypted or must not be."""

    def about(self, subject: str) -> SopsError:
        """The same error, of the same class, with the file or object named before its message."""
        found = self.__class__.__new__(self.__class__)
        SopsError.__init__(found, self.reason, f"{subject}: {self.message}")
        return found


class RefusedSyntaxError(SopsError):
    """The bytes are no file of the format, or of a form that an encrypted file never has."""


class MetadataError(SopsError):
    """The `sops` section is missing, incomplete or contradicts itself."""


class NeedsBinaryError(MetadataError):
    """A sound file that our reader leaves to the sops binary."""

    def __init__(self, message: str) -> None:
        super().__init__("UnsupportedFormat", message)


class DataKeyError(SopsError):
    """No key at hand opens the data key, or policy refuses those that would."""


class TreeError(SopsError):
    """A value does not decrypt."""


class MacError(SopsError):
    """The message authentication code is missing or is not that of the values."""


class ToolError(SopsError):
    """The sops binary could not be run, or refused."""


class SealedError(DecryptionError):
    """A SealedSecret that cannot be unsealed, or a sealing key that is none."""
