"""One call of AWS's API, and what IAM wants for it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from scripts.twin.iam.evaluation import Right


@dataclass(frozen=True)
class Call:
    """One request; `headers` are those of HTTP, with names in lower case."""

    service: str  # botocore's name
    prefix: str  # before the colon of IAM's actions
    operation: str
    params: Mapping[str, Any]
    headers: Mapping[str, str]
    account: str
    region: str

    def arn(self, rest: str, *, region: bool = True) -> str:
        """The ARN of a resource of this service, account and region."""
        return f"arn:aws:{self.prefix}:{self.region if region else ''}:{self.account}:{rest}"

    def first(self, *names: str) -> Any:
        """The first of these parameters that is given, or None."""
        return next((self.params[name] for name in names if self.params.get(name)), None)


@dataclass(frozen=True)
class Needs:
    """The rights that a call needs. AWS's service asks for the `implied` ones (a key of KMS) in the
    caller's name. `not_judged` says why nothing is known about the call."""

    direct: list[Right] = field(default_factory=list)
    implied: list[Right] = field(default_factory=list)
    not_judged: str = ""
