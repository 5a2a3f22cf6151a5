"""`moor open`: a stage in the browser."""

import webbrowser
from enum import StrEnum
from typing import Annotated
from urllib.parse import quote

import typer

from scripts.api import Api
from scripts.aws import Aws, connect
from scripts.errors import OperatorError
from scripts.terminal.answer import print_line, say
from scripts.terminal.options import DEFAULT_STAGE, StageOption
from service.contract import UI_PATH
from stacks.config.naming import Output


class Page(StrEnum):
    """A page that can be opened."""

    CONSOLE = "console"
    API = "api"
    JOBS = "jobs"
    SCHEMA = "schema"
    LOGS = "logs"
    DASHBOARD = "dashboard"
    CLUSTER = "cluster"


# The AWS console's domain in other partitions than aws, by the start of the region.
CONSOLES = {"cn-": "console.amazonaws.cn", "us-gov-": "console.amazonaws-us-gov.com"}
API_PATHS = {Page.API: "", Page.JOBS: UI_PATH, Page.SCHEMA: "/schema"}


def open_(
    page: Annotated[Page, typer.Argument(help="Which page.")] = Page.CONSOLE,
    stage: StageOption = DEFAULT_STAGE,
    look: Annotated[
        bool, typer.Option("--look", help="Sign in to the console to look, not to act.")
    ] = False,
    only_print: Annotated[bool, typer.Option("--print", help="Only print the address.")] = False,
) -> None:
    """Open a page of the stage, or of the AWS console, in the browser.

    `moor open` opens the stage's own console, signed in: the address that it prints works once,
    within a minute. `moor open --look --print` makes one for somebody who shall only look.
    """
    if look and page is not Page.CONSOLE:
        raise OperatorError(f"--look is of the console, not of {page}", "Leave it out.")
    aws = connect(stage)
    if page is Page.CONSOLE:
        address = Api(aws).console_link(may_act=not look)
    else:
        address = find_address(aws, page)
    print_line(address)
    if not only_print and not webbrowser.open(address):
        say("There is no browser here; the address is above.")


def find_address(aws: Aws, page: Page) -> str:
    """The page's address. Raises `OperatorError` for a page that the local twin does not have."""
    if page in API_PATHS:
        return aws.output(Output.URL).rstrip("/") + API_PATHS[page]
    if aws.target.is_local:
        raise OperatorError(
            f"the local twin has no page for {page}",
            f"`moor {'logs --follow' if page is Page.LOGS else 'status --watch'}` shows it.",
        )
    names = aws.names
    match page:
        case Page.LOGS:
            # The AWS console escapes what follows the hash in its own way.
            prefix = quote(f"/ecs/{names.prefix}", safe="").replace("%", "$25")
            part = f"logsV2:log-groups$3FlogGroupNameFilter$3D{prefix}"
            return console(aws.region, "cloudwatch", part)
        case Page.DASHBOARD:
            return console(aws.region, "cloudwatch", f"dashboards/dashboard/{names.dashboard}")
        case _:
            cluster = aws.output(Output.CLUSTER)
            return f"{_console(aws.region)}/ecs/v2/clusters/{cluster}/services?region={aws.region}"


def console(region: str, service: str, part: str) -> str:
    """The address of a page of the AWS console."""
    return f"{_console(region)}/{service}/home?region={region}#{part}"


def _console(region: str) -> str:
    # https://docs.aws.amazon.com/awsconsolehelpdocs/latest/gsg/getting-started.html
    for beginning, domain in CONSOLES.items():
        if region.startswith(beginning):
            return f"https://{region}.{domain}"
    return f"https://{region}.console.aws.amazon.com"
