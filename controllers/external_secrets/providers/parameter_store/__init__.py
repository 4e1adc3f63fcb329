"""AWS Systems Manager Parameter Store."""

from .provider import PARAMETER_STORE as PARAMETER_STORE
