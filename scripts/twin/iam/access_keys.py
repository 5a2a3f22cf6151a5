"""The access keys that the twin accepts: its own, and those that its IAM and STS have made."""

import random
import secrets
import string
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from moto.core.utils import utcnow
from moto.iam.models import iam_backends
from moto.moto_api._internal.moto_random import MotoRandom
from moto.sts.models import sts_backends
from moto.sts.responses import TokenResponse

ID_CHARACTERS = string.ascii_uppercase + "234567"
SECRET_CHARACTERS = string.ascii_letters + string.digits


@dataclass(frozen=True)
class AccessKey:
    """An access key; `token` and `expires` are set for temporary keys of STS."""

    id: str
    secret: str = field(repr=False)
    token: str | None = field(default=None, repr=False)
    expires: datetime | None = None  # UTC without a time zone, as in moto

    @classmethod
    def new(cls) -> "AccessKey":
        """A random key in AWS's form."""
        return cls(f"AKIA{_letters(ID_CHARACTERS, 16)}", _letters(SECRET_CHARACTERS, 40))


class Keys:
    """Finds access keys by their ids."""

    def __init__(self, own: AccessKey) -> None:
        self._own = own
        self._sessions: dict[str, AccessKey] = {}
        _make_moto_unpredictable()
        _give_session_tokens(self._sessions)

    def find(self, id: str) -> AccessKey | None:
        """The key, or None where there is no active key of this id."""
        if id == self._own.id:
            return self._own
        if id in self._sessions:
            return self._sessions[id]
        for account in list(sts_backends.values()):
            for backend in list(account.values()):
                if (role := backend.get_assumed_role_from_access_key(id)) is not None:
                    secret, token = role.secret_access_key, role.session_token
                    return AccessKey(id, secret, token, role.expiration.replace(tzinfo=None))
        for of_account in list(iam_backends.values()):
            for iam in list(of_account.values()):
                key = iam.access_keys.get(id)
                if key is not None and key.status == "Active" and not id.startswith("ASIA"):
                    return AccessKey(id, key.secret_access_key)
        return None


def _letters(characters: str, count: int) -> str:
    return "".join(secrets.choice(characters) for _ in range(count))


def _make_moto_unpredictable() -> None:
    """moto makes keys, tokens, passwords and ids with a generator that can be predicted."""
    system = random.SystemRandom
    MotoRandom.random = system.random  # type: ignore[method-assign]
    MotoRandom.getrandbits = system.getrandbits  # type: ignore[method-assign,assignment]


def _give_session_tokens(sessions: dict[str, AccessKey]) -> None:
    """Give GetSessionToken and GetFederationToken random keys; moto's answer is always the same."""

    def with_a_key(name: str) -> None:
        given = getattr(TokenResponse, name)
        given = getattr(given, "of_moto", given)

        def give(self: Any) -> Any:
            answer = given(self)
            expires = answer.result["Credentials"]["Expiration"]
            made = AccessKey.new()
            key = AccessKey(
                f"ASIA{made.id[4:]}", made.secret, secrets.token_urlsafe(200),
                expires.replace(tzinfo=None),
            )  # fmt: skip
            for id, old in list(sessions.items()):
                if old.expires is not None and old.expires < utcnow():
                    del sessions[id]
            sessions[key.id] = key
            answer.result["Credentials"] |= {
                "AccessKeyId": key.id, "SecretAccessKey": key.secret, "SessionToken": key.token,
            }  # fmt: skip
            return answer

        give.of_moto = given  # type: ignore[attr-defined]
        setattr(TokenResponse, name, give)

    with_a_key("get_session_token")
    with_a_key("get_federation_token")
