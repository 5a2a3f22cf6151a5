"""`moor permissions`: the rights of roles in the local twin, used, refused and never used."""

from scripts.aws import Aws
from scripts.doctor.grants import find_role
from scripts.doctor.model import Role
from scripts.doctor.used_rights import OF_THE_CDK, RoleUse, used_rights
from scripts.errors import NotFoundError
from scripts.target import HOME, find_target
from scripts.terminal.answer import print_json, print_line, print_table, say
from scripts.terminal.options import HomeOption, JsonOption
from scripts.twin.client.permissions import Entry, is_off, read_entries
from service.contract import LOCAL_STAGE

OFF = "IAM is off in this twin: refused calls are let through. `moor up --iam` turns it on."


def permissions(as_json: JsonOption = False, home: HomeOption = HOME) -> None:
    """Which rights of its roles the local stage has used, lacked and never used.

    A right that was not used since the twin started may be needed all the same: by a job that has
    not run, or on AWS only. `not judged` is what nobody can tell without AWS.

    Example: `moor permissions --json`.
    """
    aws = Aws(find_target(LOCAL_STAGE, home=home))
    entries = read_entries(home)
    found = used_rights(entries, _roles(aws, entries))
    if as_json:
        return print_json(
            {"enforced": not is_off(home), "roles": [_as_object(each) for each in found]}
        )
    if is_off(home):
        say(OFF)
    for each in found:
        total = len(each.used) + len(each.unused)
        print_line(f"{each.role}: {len(each.used)} of {total} rights used")
        print_table(("", "action", "resource", "statement"), _rows(each))
        print_line("")
    return None


def _roles(aws: Aws, entries: list[Entry]) -> dict[str, Role]:
    """Those that still exist, by their names with the path."""
    found = {}
    for name in {each.role for each in entries if not each.role.startswith(OF_THE_CDK)}:
        try:
            found[name] = find_role(aws, name.rpartition("/")[2])
        except NotFoundError:
            continue
    return found


def _rows(use: RoleUse) -> list[tuple[str, str, str, str]]:
    return [
        *(("refused", each.action, each.resource, each.advice) for each in use.refused),
        *(("not judged", each.action, each.resource, each.why)
          for each in use.not_judged),
        *(("used", each.action, each.resource, each.why.rpartition("/")[2])
          for each in use.used),
        *(("never used", action, ", ".join(resources), "")
          for action, resources in use.unused),
    ]  # fmt: skip


def _as_object(use: RoleUse) -> dict[str, object]:
    return {
        "role": use.role,
        "used": [_entry(each) for each in use.used],
        "refused": [{**_entry(each), "add": each.statement} for each in use.refused],
        "not_judged": [_entry(each) for each in use.not_judged],
        "never_used": [
            {"action": action, "resources": resources} for action, resources in use.unused
        ],
    }  # fmt: skip


def _entry(entry: Entry) -> dict[str, str]:
    return {"action": entry.action, "resource": entry.resource, "why": entry.why}
