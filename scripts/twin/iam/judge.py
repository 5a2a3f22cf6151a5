"""Judges the rights of roles by the policies as they are now, and notes what was asked."""

import json
import logging
import threading
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

from scripts.twin.client.permissions import ALLOWED, NOT_JUDGED, REFUSED, Entry, is_off, ledger_file
from scripts.twin.iam.evaluation import SESSION, Policy, Principal, Right, Verdict, evaluate
from scripts.twin.iam.policies import (
    boundary_of,
    document,
    find_role,
    policies_of,
    policy_on,
    trust_of,
)
from scripts.twin.iam.role_sessions import LIFE, RoleSessions, Session

log = logging.getLogger("twin.iam")

AGAIN_SECONDS = 60.0  # a refusal is noted again after this time
NOTES_MAX = 2000  # a loop over thousands of objects must not fill memory
NO_ROLE = "because no identity-based policy allows the {} action"


class Judge:
    """Says whether a role has a right. It notes each in the file of permissions below `home`."""

    def __init__(self, home: Path, life: timedelta = LIFE) -> None:
        self.sessions = RoleSessions(life)
        self._home = home
        self._lock = threading.Lock()
        self._noted: dict[tuple[str, ...], float] = {}
        self._listeners: list[Callable[[Entry], None]] = []
        ledger_file(home).unlink(missing_ok=True)

    @property
    def is_off(self) -> bool:
        """Are refused calls let through?"""
        return is_off(self._home)

    def find(self, key: str) -> Session | None:
        """The session with this access key, if it is to be judged: moto also gives out sessions of
        roles that do not exist."""
        session = self.sessions.find(key)
        if session is None or self.sessions.is_of_task(session):
            return session
        return session if find_role(session.role_arn, session.account) else None

    def listen(self, on_refusal: Callable[[Entry], None]) -> None:
        """Call `on_refusal` at a refusal, at most once a minute for the same one."""
        self._listeners.append(on_refusal)

    def refusal(self, session: Session, right: Right) -> Verdict | None:
        """The verdict if the session has not this right, else None."""
        verdict = self._judge(session, right)
        self._note(session, right, verdict)
        return None if verdict.is_allowed or self.is_off else verdict

    def may_be_assumed(self, role_arn: str, service: str, source_arn: str) -> bool:
        """Does the role trust this service of AWS, in the name of `source_arn`?"""
        role = find_role(role_arn, role_arn.split(":")[4])
        if role is None:
            return False
        account = source_arn.split(":")[4]
        context = {"aws:sourceaccount": [account], "aws:sourcearn": [source_arn]}
        verdict = evaluate(
            Right("sts:AssumeRole", role_arn, context), Principal(service=service), [],
            resource=trust_of(role), needs_resource=True,
        )  # fmt: skip
        return verdict.is_allowed or self.is_off

    def leave_open(self, session: Session, action: str, why: str) -> None:
        """Note a call that is let through because nothing is known about it."""
        self._note(session, Right(action, None), Verdict(True, unknown=(why,)))

    def _judge(self, session: Session, right: Right) -> Verdict:
        role = find_role(session.role_arn, session.account)
        if role is None:
            return Verdict(False, NO_ROLE.format(right.action))
        limits = boundary_of(role)
        if session.policy:
            limits.append(Policy(SESSION, "session", document(session.policy)))
        resource = right.resource or ""
        return evaluate(
            right,
            Principal(session.arn, session.role_arn, session.account),
            policies_of(role),
            limits=limits,
            resource=policy_on(right.resource, session.account),
            needs_resource=right.action == "sts:AssumeRole"
            or (right.action.startswith("kms:") and ":key/" in resource),
        )

    def _note(self, session: Session, right: Right, verdict: Verdict) -> None:
        is_refused = not verdict.is_allowed
        result = REFUSED if is_refused else NOT_JUDGED if verdict.unknown else ALLOWED
        why = verdict.statement or verdict.reason or ", ".join(verdict.unknown)
        role = session.role_arn.partition(":role/")[2]
        resource = right.resource or "?"
        key = (role, right.action, result, why, *([resource] if is_refused else []))
        now = time.monotonic()
        with self._lock:
            last = self._noted.get(key)
            is_known = last is not None and (not is_refused or now - last < AGAIN_SECONDS)
            if is_known or (last is None and len(self._noted) >= NOTES_MAX):
                return
            self._noted[key] = now
            entry = Entry(
                at=time.time(), role=role, action=right.action, resource=resource, result=result,
                why=why, via=(right.context.get("kms:viaservice") or [""])[0], session=session.name,
            )  # fmt: skip
            with ledger_file(self._home).open("a", encoding="utf-8") as file:
                file.write(json.dumps(vars(entry)) + "\n")
        if is_refused:
            log.warning("%s", entry)
            for listener in self._listeners:
                listener(entry)
