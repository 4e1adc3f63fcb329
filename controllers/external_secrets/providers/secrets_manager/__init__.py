"""AWS Secrets Manager."""

from .provider import SECRETS_MANAGER as SECRETS_MANAGER
