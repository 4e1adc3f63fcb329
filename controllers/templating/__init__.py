"""Go's text/template in Python, with the function sets that users' manifests call.

Why our own: nothing maintained exists, and what users write in ExternalSecrets, SealedSecrets and commit messages must
render here to the byte as it does upstream. Pure: no I/O, no clock and no randomness but what a function set was given.
"""

from .builtins import BUILTINS
from .chance import Chance
from .errors import BudgetExceededError, ExecutionError, FunctionError, ParseError, TemplateError
from .evaluator import Budget
from .registry import Function, FunctionSet
from .sets import EXTERNAL_SECRETS, SPRIG, with_chance
from .template import MissingKey, Template
from .values import NOTHING, Ordered, StringMap, Struct

__all__ = [
    "BUILTINS",
    "EXTERNAL_SECRETS",
    "NOTHING",
    "SPRIG",
    "Budget",
    "BudgetExceededError",
    "Chance",
    "ExecutionError",
    "Function",
    "FunctionError",
    "FunctionSet",
    "MissingKey",
    "Ordered",
    "ParseError",
    "StringMap",
    "Struct",
    "Template",
    "TemplateError",
    "with_chance",
]
