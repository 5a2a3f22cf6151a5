"""A value of a manifest as values of keys of `stages.toml`."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from stacks.config.secrets import read_secrets
from stacks.config.stage import CONFIGURABLE, RETENTION_DAYS
from stacks.config.stages_file import Line
from stacks.config.values import check
from stacks.config.variables import read_variables

Keys = dict[str, Any]
API, WORKER = "api", "worker"
DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)?")
SECONDS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400, None: 1}
MACROS = {
    "@yearly": "0 0 1 1 *", "@annually": "0 0 1 1 *", "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0", "@daily": "0 0 * * *", "@midnight": "0 0 * * *", "@hourly": "0 * * * *",
}  # fmt: skip
SHELL = re.compile(r"\$\{(\w+)\}")
# Variables that Copilot sets itself, and the only two that are known before a deployment.
APP_VARIABLE, STAGE_VARIABLE = "COPILOT_APPLICATION_NAME", "COPILOT_ENVIRONMENT_NAME"


class Untranslatable(ValueError):
    """The value has no counterpart; the message says why."""


@dataclass(frozen=True)
class Place:
    """Where a field stands: what its service becomes, in which stage."""

    process: str  # api, worker, or empty
    path: tuple[str, ...]
    app: str
    stage: str

    @property
    def field(self) -> str:
        return self.path[-1] if self.path else ""

    @property
    def name(self) -> str:
        """The name of the variable or secret."""
        return self.path[1]


Translate = Callable[[Any, Place], Keys]


def filled(value: Any, place: Place) -> Any:
    """Text with what Copilot puts in. Raises `Untranslatable` for a variable of the shell."""
    if not isinstance(value, str):
        return value
    text = value.replace("${" + APP_VARIABLE + "}", place.app)
    text = text.replace("${" + STAGE_VARIABLE + "}", place.stage)
    if left := SHELL.search(text):
        raise Untranslatable(
            f"holds ${{{left[1]}}} of the shell that deploys: write its value into stages.toml"
        )
    return text


def plain_number(key: str) -> Translate:
    """A whole number, of the service that has the field."""

    def translate(value: Any, place: Place) -> Keys:
        if isinstance(value, bool) or not isinstance(value, int) or value < 0:
            raise Untranslatable(f"{value!r} is not a whole number")
        return _of_process(place, key, value)

    return translate


def plain_memory(value: Any, place: Place) -> Keys:
    """MiB; of App Runner also "2048" and "2 GB"."""
    if isinstance(value, str) and (found := re.fullmatch(r"(\d+)( ?GB)?", value)):
        value = int(found[1]) * (1024 if found[2] else 1)
    return plain_number("memory_mib")(value, place)


def app_runner_cpu(value: Any, place: Place) -> Keys:
    """Units; of App Runner also "1024" and "1 vCPU"."""
    if isinstance(value, str) and (found := re.fullmatch(r"(\d+(?:\.\d+)?)( ?vCPU)?", value)):
        value = int(float(found[1]) * (1024 if found[2] else 1))
    return plain_number("cpu")(value, place)


def platform(value: Any, place: Place) -> Keys:
    system, _, processor = str(value).rpartition("/")
    if system not in ("", "linux"):
        raise Untranslatable("Linux only")
    found = {"arm64": "arm64", "arm": "arm64", "x86_64": "x86_64", "amd64": "x86_64"}
    if processor not in found:
        raise Untranslatable(f"{value!r} is none of arm64 and x86_64")
    return {"cpu_architecture": found[processor]}


def desired(value: Any, place: Place) -> Keys:
    """A count that Copilot keeps, whatever the load."""
    least = plain_number("min_count")(value, place)
    return least | plain_number("max_count")(max(value, 1), place)


def range_(value: Any, place: Place) -> Keys:
    found = re.fullmatch(r"(\d+) *- *(\d+)", str(value))
    if not found:
        raise Untranslatable(f"{value!r} is not a range such as 1-10")
    least, most = int(found[1]), int(found[2])
    return plain_number("min_count")(least, place) | plain_number("max_count")(most, place)


def market(value: Any, place: Place) -> Keys:
    """Spot above the minimum. `count.spot` is a count that runs on Spot as a whole."""
    if place.process == API:
        raise Untranslatable("the API runs on demand, workers may run on Spot")
    keys = _of_process(place, "spot_percent", 100)
    if place.field == "spot":
        keys |= plain_number("max_count")(value, place) | _of_process(place, "min_count", 1)
    return keys


def cpu_target(value: Any, place: Place) -> Keys:
    if place.process != API:
        raise Untranslatable("workers scale by their backlog and the age of its oldest job")
    return _checked("api_cpu_target_percent", "api.cpu_target_percent", value)


def requests(value: Any, place: Place) -> Keys:
    if place.process != API:
        raise Untranslatable("workers have no requests")
    return _checked("api_requests_target", "api.requests_target", value)


def latency(value: Any, place: Place) -> Keys:
    found = DURATION.fullmatch(str(value))
    if place.process in ("", API) or not found:
        raise Untranslatable(f"{value!r} is no duration of a worker such as 10m")
    seconds = round(float(found[1]) * SECONDS[found[2]])
    return _checked("worker_age_target_seconds", f"{place.process}.age_target_seconds", seconds)


def enable_exec(value: Any, _place: Place) -> Keys:
    if not isinstance(value, bool):
        raise Untranslatable(f"{value!r} is neither true nor false")
    return {"enable_exec": value}


def placement(value: Any, _place: Place) -> Keys:
    found = {"public": "public", "private": "nat"}
    if value not in found:
        raise Untranslatable(f"{value!r} is neither public nor private")
    return {"network.egress": found[value]}


def log_days(value: Any, _place: Place) -> Keys:
    if value not in RETENTION_DAYS:
        raise Untranslatable(f"{value!r} is no number of days that CloudWatch knows")
    return {"log_retention_days": value}


def certificate(value: Any, _place: Place) -> Keys:
    """A load balancer here has one."""
    first = value[0] if isinstance(value, list) and value else value
    return _checked("certificate_arn", "certificate_arn", str(first))


def variable(value: Any, place: Place) -> Keys:
    value = "" if value is None else value
    key = f"{place.process}.env.{place.name}"
    if isinstance(value, list):
        raise Untranslatable("a variable is a text, a number, true or false")
    try:
        read_variables([Line(f"env.{place.name}", value, "")])
    except ValueError as error:
        raise Untranslatable(str(error).partition(": ")[2]) from None
    return {key: value}


def secret(value: Any, place: Place) -> Keys:
    """Where the value is: an SSM parameter by name, a secret by name or ARN, with its field."""
    text = str(value).strip("'")
    if found := re.fullmatch(r"arn:[\w-]+:ssm:[^:]*:\d*:parameter(/.*)", text):
        source = f"ssm:{found[1]}"
    elif place.field == "secretsmanager" or text.startswith("arn:"):
        # As ECS writes a field of its JSON: name:field:version-stage:version-id.
        start = ":".join(text.split(":")[:7]) if text.startswith("arn:") else text.split(":")[0]
        field = text.removeprefix(start).strip(":")
        start = start if start.startswith("arn:") else f"secretsmanager:{start}"
        source = f"{start}#{field}" if field else start
    else:
        source = f"ssm:{text}"
    try:
        read_secrets([Line(f"secrets.{place.name}", source, "")], ())
    except ValueError as error:
        raise Untranslatable(str(error).partition(": ")[2]) from None
    return {f"{place.process}.secrets.{place.name}": source}


def schedule(value: Any) -> str:
    """How the same schedule is written in the code."""
    text = str(value).strip()
    if text.lower() in ("none", ""):
        return "no schedule: a task without `cron` is enqueued by name"
    if (cron := MACROS.get(text)) or (cron := _cron(text)):
        return f'`@scheduled_task(cron="{cron}")` in `service/domain/<name>/jobs/scheduled.py`'
    if every := _every(text):
        return f'`@scheduled_task(every="{every}")` in `service/domain/<name>/jobs/scheduled.py`'
    return f"`@scheduled_task` with a cron line for {text!r}, by hand"


def _cron(text: str) -> str:
    """The five fields of crontab, also of AWS's six where the two can say the same."""
    if len(text.split()) == 5 and not text.startswith(("cron", "rate", "@")):
        return text
    found = re.fullmatch(r"cron\((.*)\)", text)
    fields = found[1].split() if found else []
    if len(fields) != 6 or fields[5] != "*":
        return ""
    # AWS counts the days of the week from 1, and knows L, W and #.
    if re.search(r"[LW]", fields[2]) or re.search(r"[L#\d]", fields[4]):
        return ""
    return " ".join(fields[:5]).replace("?", "*")


def _every(text: str) -> str:
    found = re.fullmatch(r"rate\((\d+) (minute|hour|day)s?\)", text)
    if found:
        return f"{found[1]} {found[2]}{'s' if found[1] != '1' else ''}"
    found = re.fullmatch(r"@every (\d+)(s|m|h)", text)
    if found:
        unit = {"s": "second", "m": "minute", "h": "hour"}[found[2]]
        return f"{found[1]} {unit}{'s' if found[1] != '1' else ''}"
    return ""


def _of_process(place: Place, key: str, value: Any) -> Keys:
    if not place.process:
        raise Untranslatable("it runs in the workers, which have their own size and count")
    return {f"{place.process}.{key}": value}


def _checked(flat: str, key: str, value: Any) -> Keys:
    try:
        return {key: check(CONFIGURABLE[flat], value, called=key)}
    except ValueError as error:
        raise Untranslatable(str(error)) from None
