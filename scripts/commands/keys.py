"""`moor keys`: change the API key without a refused request. Two keys are valid meanwhile.

The stage's secret holds one key, or two with a space between: the old one, then the new one. An ECS
task gets the secret when it starts, so each step ends with a restart of the API.
"""

import secrets
import string
from contextlib import closing

import typer

from scripts.api import Api
from scripts.aws import Aws, connect
from scripts.clock import Clock
from scripts.ecs.rollouts import restart
from scripts.ecs.services import find_service
from scripts.errors import DeniedError, OperatorError, RefusedError
from scripts.processes import API
from scripts.secrets.kept import check_start
from scripts.terminal.answer import print_json, print_table, say
from scripts.terminal.options import DEFAULT_STAGE, JsonOption, StageOption, YesOption, confirm
from service.contract import API_KEYS_MAX
from stacks.config.naming import Output

CHARACTERS = string.ascii_letters + string.digits
LENGTH = 40
REQUESTS = 5  # behind the load balancer a different ECS task may answer each request

app = typer.Typer(
    help="Change the API key without a refused request.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


@app.command("status")
def keys_status(as_json: JsonOption = False, stage: StageOption = DEFAULT_STAGE) -> None:
    """How many keys are valid, and whether the API accepts each; never the keys themselves."""
    aws = connect(stage)
    keys = read_keys(aws)
    names = ["old", "new"] if len(keys) > 1 else ["only"]
    found = [
        {"key": name, "is_accepted": is_accepted(aws, key)}
        for name, key in zip(names, keys, strict=True)
    ]
    if as_json:
        print_json(found)
    else:
        print_table(
            ("key", "the API accepts it"),
            [(each["key"], "yes" if each["is_accepted"] else "not everywhere") for each in found],
        )


@app.command("rotate")
def keys_rotate(yes: YesOption = False, stage: StageOption = DEFAULT_STAGE) -> None:
    """Make a second key and restart the API: from then on callers may use either."""
    rotate(connect(stage), Clock(), yes=yes)


@app.command("finish")
def keys_finish(yes: YesOption = False, stage: StageOption = DEFAULT_STAGE) -> None:
    """Drop the old key and restart the API: from then on it is refused."""
    finish(connect(stage), Clock(), yes=yes)


def rotate(aws: Aws, clock: Clock, *, yes: bool = False) -> None:
    """Add a second key, unless an interrupted run has left one, and restart the API."""
    _check_restart(aws)
    confirm(aws.target, "add an API key and restart the api", yes)
    keys = read_keys(aws)
    if len(keys) < API_KEYS_MAX:
        keys.append("".join(secrets.choice(CHARACTERS) for _ in range(LENGTH)))
        write_keys(aws, keys)
        say(f"{aws.target}: the secret has a second key")
    else:
        say(f"{aws.target}: the secret has a second key already")
    restart(aws, [API], clock)
    say("Both keys are valid. Give the new one, the last word of the secret, to every caller:")
    say(f"  {aws.output(Output.API_KEY_SECRET)}")
    say("Then `moor keys finish` drops the old one.")


def finish(aws: Aws, clock: Clock, *, yes: bool = False) -> None:
    """Remove the old key. Raises `RefusedError` while some ECS task does not know the new one."""
    _check_restart(aws)
    confirm(aws.target, "drop the old API key and restart the api", yes)
    keys = read_keys(aws)
    if len(keys) == 1:
        say(f"{aws.target}: there is one key. If the last `moor keys finish` was interrupted,")
        say("`moor restart api` makes the API forget the old one.")
        return
    if not is_accepted(aws, keys[-1]):
        raise RefusedError(
            "not every ECS task of the API accepts the new key",
            "`moor keys rotate` restarts the API.",
        )
    write_keys(aws, keys[-1:])
    say(f"{aws.target}: the secret has the new key alone")
    restart(aws, [API], clock)
    say("The old key is no longer valid.")


def _check_restart(aws: Aws) -> None:
    """Raises `OperatorError` where the API could not start again with the key that is written."""
    check_start(aws, {API: find_service(aws, API).task_definition})


def read_keys(aws: Aws) -> list[str]:
    """The keys, the old one first. Raises `OperatorError` unless there are one or two."""
    answer = aws.call(
        "secretsmanager", "get_secret_value", SecretId=aws.output(Output.API_KEY_SECRET)
    )
    keys: list[str] = answer["SecretString"].split()
    if not 1 <= len(keys) <= API_KEYS_MAX:
        raise OperatorError(
            f"the secret of the API key has {len(keys)} words",
            "It must hold one key, or two with a space between: put the callers' key into it.",
        )
    return keys


def write_keys(aws: Aws, keys: list[str]) -> None:
    aws.call(
        "secretsmanager",
        "put_secret_value",
        SecretId=aws.output(Output.API_KEY_SECRET),
        SecretString=" ".join(keys),
    )


def is_accepted(aws: Aws, key: str) -> bool:
    """Does the API accept the key in each of several requests?"""
    with closing(Api(aws, key=key)) as api:
        try:
            for _ in range(REQUESTS):
                api.get("queues")
        except DeniedError:
            return False
    return True
