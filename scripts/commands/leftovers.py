"""`moor leftovers`: what a deleted stage has left behind, and how to delete it.

A protected stage keeps its data. A kept resource with a fixed name stops the next deploy.
"""

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated

import typer

from scripts.aws import Aws, connect
from scripts.errors import OperatorError, RefusedError, UsageError
from scripts.preflight.live_account import AccountReader
from scripts.secrets.kept import State, own_names
from scripts.terminal.answer import print_json, print_table, say
from scripts.terminal.options import JsonOption, StageOption, YesOption
from service.contract import LOCAL_STAGE

# CloudFormation puts this tag on everything it creates, and leaves it on what it keeps.
STACK_TAG = "aws:cloudformation:stack-name"
LOG_GROUP = "log group"
# Start of "service:rest" of an ARN (arn:partition:service:region:account:rest): what it is, and
# the command that deletes it.
KEPT = {
    "s3:": ("bucket", "aws s3 rb --force s3://{name}"),
    "kms:key/": ("key", "aws kms schedule-key-deletion --key-id {name}"),
    "secretsmanager:secret:": ("secret", "aws secretsmanager delete-secret --secret-id {arn}"),
    "ecs:task-definition/": (
        "task definition", "aws ecs deregister-task-definition --task-definition {name}",
    ),
    "rds:cluster:": ("database", "aws rds delete-db-cluster --db-cluster-identifier {name}"),
}  # fmt: skip
DeleteOption = Annotated[
    bool,
    typer.Option("--delete", help="Delete the log groups, which would stop the next deploy."),
]


@dataclass(frozen=True)
class Leftover:
    """One resource that no stack has any more."""

    kind: str
    name: str
    remove: str  # the command that deletes it


def leftovers(
    stage: StageOption,
    delete: DeleteOption = False,
    yes: YesOption = False,
    as_json: JsonOption = False,
) -> None:
    """What a deleted stage has left behind (logs, bucket, key, secrets, snapshots), and how to
    delete each. --delete deletes the log groups, after a question, and never anything else.

    Example: `moor leftovers --stage prod --delete`.
    """
    if stage == LOCAL_STAGE:
        raise UsageError("stage local leaves nothing on AWS", "`make clean` deletes its data.")
    aws = connect(stage)
    if there := AccountReader(aws).stacks():
        raise RefusedError(
            f"{aws.target} is deployed: {', '.join(there)}",
            f"Delete it first: `npx cdk destroy --all -c stage={stage}`.",
        )
    found = [*_tagged(aws), *_named(aws)]
    if as_json:
        print_json(found)
    elif found:
        print_table(("what", "name", "deleted by"), [(e.kind, e.name, e.remove) for e in found])
    else:
        say(f"Nothing of {aws.target} is left in {aws.region}.")
    groups = [each.name for each in found if each.kind == LOG_GROUP]
    if delete and groups:
        _delete(aws, groups, yes)


def _tagged(aws: Aws) -> Iterator[Leftover]:
    for each in aws.pages(
        "resourcegroupstaggingapi", "get_resources", "ResourceTagMappingList",
        TagFilters=[{"Key": STACK_TAG, "Values": list(_stacks(aws))}],
    ):  # fmt: skip
        arn = each["ResourceARN"]
        _, _, service, _, _, rest = arn.split(":", 5)
        for start, (kind, remove) in KEPT.items():
            if f"{service}:{rest}".startswith(start):
                name = f"{service}:{rest}".removeprefix(start)
                yield Leftover(kind, name, remove.format(name=name, arn=arn))


def _named(aws: Aws) -> Iterator[Leftover]:
    names = aws.names
    # Compared as whole names: those of another stage may begin with the same letters.
    ours = {
        *(names.log_group(of.name) for of in aws.target.stage.processes),
        names.exec_log_group,
        names.database_log_group,
        f"aws-waf-logs-{names.prefix}",
        f"/aws/ecs/containerinsights/{names.cluster}/performance",
    }
    for prefix in (*sorted(ours), *(f"/aws/lambda/{stack}-" for stack in _stacks(aws))):
        for group in aws.pages(
            "logs", "describe_log_groups", "logGroups", logGroupNamePrefix=prefix
        ):
            name = group["logGroupName"]
            if name == prefix or prefix not in ours:
                command = f"{aws.target.command('leftovers')} --delete"
                yield Leftover(LOG_GROUP, name, command)
    for secret, kept in own_names(aws).items():
        if kept.state is not State.DELETED:
            command = aws.target.command(f"secrets unset {secret}")
            yield Leftover("secret of the project", names.secret(secret), command)
    for snapshot in aws.pages(
        "rds", "describe_db_cluster_snapshots", "DBClusterSnapshots", SnapshotType="manual"
    ):
        if snapshot["DBClusterIdentifier"] == names.database:
            id = snapshot["DBClusterSnapshotIdentifier"]
            command = f"aws rds delete-db-cluster-snapshot --db-cluster-snapshot-identifier {id}"
            yield Leftover("snapshot of the database", id, command)


def _stacks(aws: Aws) -> tuple[str, ...]:
    names = aws.names
    return names.network_stack, names.data_stack, names.service_stack


def _delete(aws: Aws, groups: list[str], yes: bool) -> None:
    say(f"This deletes {len(groups)} log groups of {aws.target} and all that is in them.")
    if not yes:
        if not (sys.stdin.isatty() and sys.stderr.isatty()):
            raise RefusedError(
                "nothing was deleted: there is no terminal to ask on", "--yes deletes them."
            )
        if not typer.confirm("Go on?", err=True):
            raise RefusedError("nothing was deleted")
    failed = 0
    for name in groups:
        try:
            aws.call("logs", "delete_log_group", logGroupName=name)
        except OperatorError as error:
            failed += 1
            say(f"{name} stays: {error}")
        else:
            say(f"{name} is deleted")
    if failed:
        raise OperatorError(f"{failed} of {len(groups)} log groups are still there")
