"""What becomes of each field of a manifest, in the order in which they are looked for.

A pattern is a field's dotted name; `*` stands for one part, `**` at the end for all that follow.
docs/from-copilot.md shows these tables.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from scripts.adopt.values import (
    Keys,
    Place,
    Untranslatable,
    app_runner_cpu,
    certificate,
    cpu_target,
    desired,
    enable_exec,
    latency,
    log_days,
    market,
    placement,
    plain_memory,
    plain_number,
    platform,
    range_,
    requests,
    schedule,
    secret,
    variable,
)


class Kind(StrEnum):
    TRANSLATED = "translated"
    OTHERWISE = "otherwise"  # not needed, or done in another place, as the sentence says
    NONE = "no counterpart"


Translate = Callable[[Any, Place], Keys]


@dataclass(frozen=True)
class Rule:
    pattern: str
    kind: Kind
    here: str
    translate: Translate | None = None

    def fits(self, path: str) -> bool:
        parts = re.escape(self.pattern).replace(r"\*\*", ".*").replace(r"\*", r"[^.]+")
        return re.fullmatch(parts, path) is not None


@dataclass(frozen=True)
class Verdict:
    """What becomes of one field in one stage."""

    kind: Kind
    here: str
    keys: dict[str, Any]


def _is(pattern: str, here: str, translate: Translate) -> Rule:
    return Rule(pattern, Kind.TRANSLATED, here, translate)


def _otherwise(pattern: str, here: str) -> Rule:
    return Rule(pattern, Kind.OTHERWISE, here)


def _none(pattern: str, here: str) -> Rule:
    return Rule(pattern, Kind.NONE, here)


OF_EVERYTHING = (
    _otherwise("name", "names are {app}-{stage}-api-service and {app}-{stage}-worker-service"),
    _otherwise("type", "decides whether it becomes API, workers or a schedule"),
    _otherwise("version", "the version of a format that is not read here"),
)
OF_SERVICES = (
    *OF_EVERYTHING,
    _is("cpu", "`cpu`, rounded up to a size of Fargate", plain_number("cpu")),
    _is("memory", "`memory_mib`, rounded up to what `cpu` allows", plain_memory),
    _is("platform", "`cpu_architecture`", platform),
    _none("platform.**", "Linux; `cpu_architecture` says the processor"),
    _is("count", "`min_count` and `max_count`", desired),
    _is("count.range", "`min_count` and `max_count`", range_),
    _is("count.range.min", "`min_count`", plain_number("min_count")),
    _is("count.range.max", "`max_count`", plain_number("max_count")),
    _is("count.range.spot_from", "`spot_percent = 100` of the workers above `min_count`", market),
    _is("count.spot", "`spot_percent = 100` of the workers above the first", market),
    _is("count.cpu_percentage", "`api.cpu_target_percent`", cpu_target),
    _is("count.cpu_percentage.value", "`api.cpu_target_percent`", cpu_target),
    _is("count.requests", "`api.requests_target`", requests),
    _is("count.requests.value", "`api.requests_target`", requests),
    _is("count.queue_delay.acceptable_latency", "`worker.age_target_seconds`", latency),
    _otherwise("count.queue_delay.msg_processing_time", "not needed: the age of the oldest job "
               "and the jobs for each worker decide (`age_target_seconds`, `jobs_target`)"),
    _otherwise("count.**cooldown**", "fixed cool-downs: a minute up, five minutes down"),
    _none("count.memory_percentage**", "no scaling by memory"),
    _none("count.response_time**", "no scaling by the time of an answer; an alarm watches it"),
    _none("count.**", "no such scaling"),
    _is("exec", "`enable_exec` of the stage", enable_exec),
    _otherwise("variables.AWS_REGION", "not needed: each process has it"),
    _is("variables.*", "`[STAGE.api.env]` or `[STAGE.worker.env]`; `[STAGE.env]` where both agree",
        variable),
    _none("variables.*.from_cfn", "no value of another stack's export: a variable with the value, "
          "or an output that `stacks/domain/<name>.py` sets"),
    _otherwise("env_file", "write its lines into a table `env`"),
    _none("secrets.*.from_cfn", "no value of another stack's export"),
    _is("secrets.*", "`[STAGE.api.secrets]` or `[STAGE.worker.secrets]`, `[STAGE.secrets]` where "
        "both agree: where the value is", secret),
    _is("secrets.*.secretsmanager", "the same, with `#FIELD` of its JSON", secret),
    _none("secrets.**", "no such place of a secret"),
    _is("network.vpc.placement", '`egress`: "public", or "nat" where a service is private',
        placement),
    _none("network.vpc.placement.**", "no choice of single subnets for a service"),
    _none("network.vpc.security_groups**", "no further security groups"),
    _none("network.connect**", "no Service Connect: API and workers meet in the queue"),
    _is("logging.retention", "`log_retention_days`", log_days),
    _none("logging.**", "no FireLens: logs go to CloudWatch as JSON lines"),
    _otherwise("image.build**", "one image for all processes, from service/Dockerfile"),
    _otherwise("image", "one image for all processes, from service/Dockerfile"),
    _none("image.location", "an image of something else is no process here; `image` in stages.toml "
          "names one that was built from service/Dockerfile"),
    _none("image.credentials", "no image of a foreign registry with a password"),
    _otherwise("image.port", "not needed: the API's port is the balancer's own matter"),
    _otherwise("image.healthcheck**", "not needed: ECS and the balancer ask the processes"),
    _none("image.depends_on**", "no sidecars to wait for; `migrate` runs before each process"),
    _none("image.labels**", "no labels of Docker"),
    _otherwise("entrypoint", "the processes are `python -m service api` and `worker`"),
    _otherwise("command", "the processes are `python -m service api` and `worker`; what it ran "
               "becomes a task, or `moor run -- COMMAND`"),
    _otherwise("http.path", "not needed: the API has all paths, and a route says its own"),
    _otherwise("http.healthcheck**", "not needed: the balancer asks `/health/ready`"),
    _otherwise("http.redirect_to_https", "not needed: with HTTPS, HTTP only redirects"),
    _otherwise("http.target_port", "not needed: one container"),
    _otherwise("http.alias**", "`domain_name`, `hosted_zone_id` and `hosted_zone_name`, to be "
               "written by hand: a manifest does not name the zone"),
    _otherwise("http.hosted_zone", "`hosted_zone_id`, together with `domain_name` and "
               "`hosted_zone_name`, by hand"),
    _otherwise("http.deregistration_delay", "fixed: as long as an answer may take"),
    _none("http.stickiness", "no sticky sessions: no ECS task keeps state"),
    _none("http.allowed_source_ips", "no list of addresses; `web_firewall` counts requests"),
    _none("http.version", "HTTP/1.1 to the ECS tasks, HTTP/2 to callers; no gRPC"),
    _none("http.target_container", "no sidecars"),
    _none("http.additional_rules**", "one API with all paths and one domain"),
    _none("http.private", "the API is public; with `network.vpc_id` in your own VPC"),
    _none("http.alb", "a load balancer of its own"),
    _none("http.**", "no such setting of the balancer"),
    _otherwise("http", "`false` means a service without a door, as the workers are"),
    _none("nlb**", "an Application Load Balancer only"),
    _otherwise("alb", "each stage has a load balancer of its own"),
    _none("sidecars.**", "one container a process; `stacks/domain/<name>.py` may add resources"),
    _otherwise("storage.readonly_fs", "not needed: the root is read-only unless `enable_exec`"),
    _none("storage.**", "no file systems: S3 (`BUCKET`) and Postgres keep data"),
    _otherwise("publish.**", "who wants to hear of it is a task: `queue.enqueue(\"name\", …)`"),
    _otherwise("subscribe.topics.*.name", "a task of that name, which the publisher enqueues"),
    _otherwise("subscribe.topics.*.service", "not needed: one project has both sides"),
    _otherwise("subscribe.**queue.timeout", "`@task(timeout=…)`"),
    _otherwise("subscribe.**queue.dead_letter.tries", "`@task(retries=…)`; failed jobs are kept"),
    _otherwise("subscribe.**queue.delay", "`delay=` when a job is enqueued"),
    _otherwise("subscribe.**queue.retention", "not needed: a job waits until it has run"),
    _none("subscribe.**filter_policy**", "the publisher enqueues only what is wanted"),
    _none("subscribe.**fifo**", "priorities and groups, and no strict order"),
    _none("subscribe.**", "no queue of SQS for messages of SNS"),
    _none("observability.**", "no X-Ray; OpenTelemetry is not part of the image"),
    _none("taskdef_overrides**", "no patches: a construct in `stacks/service/` is the place"),
    _otherwise("deployment.rolling", "not needed: new ECS tasks first, and back by itself if they "
               "fail"),
    _none("deployment.**", "the circuit breaker of ECS goes back, alarms do not"),
    _none("private", "the API is public"),
    _none("tags**", "no tags of your own"),
)  # fmt: skip
OF_JOBS = (
    _otherwise("on.schedule", "`@scheduled_task` in the code, as shown"),
    _otherwise("timeout", "`@scheduled_task(timeout=…)`"),
    _otherwise("retries", "`@scheduled_task(retries=…)`"),
    _otherwise("cpu", "runs in the workers: `[STAGE.worker]` has their size"),
    _otherwise("memory", "runs in the workers: `[STAGE.worker]` has their size"),
    *OF_SERVICES,
)
OF_APP_RUNNER = (
    _is("cpu", "`api.cpu`", app_runner_cpu),
    _none("count", "an autoscaling configuration of App Runner: set `api.min_count`, "
          "`api.max_count` and `api.requests_target`"),
    *OF_SERVICES,
)  # fmt: skip
OF_ENVIRONMENTS = (
    _otherwise("name", "the stage's name"),
    _otherwise("type", "not needed: each table is a stage"),
    _is("network.vpc.cidr", "`network.vpc_cidr`",
        lambda value, _: {"network.vpc_cidr": str(value)}),
    _otherwise("network.vpc.id", "`network.vpc_id`, with `zone_names` and the subnets of three "
               "kinds, by hand: a manifest does not name the zones"),
    _otherwise("network.vpc.subnets.*.*.id", "`network.public_subnet_ids`, `private_subnet_ids` "
               "and `isolated_subnet_ids`, by hand"),
    _otherwise("network.vpc.subnets.*.*.*", "not needed: subnets are laid out by `subnet_layout`"),
    _otherwise("network.vpc.flow_logs**", "not needed: always on"),
    _none("network.vpc.security_group**", "no rules of your own"),
    _is("http.public.certificates", "`certificate_arn`, the first one",
        certificate),
    _otherwise("http.public.access_logs**", "not needed: always on, in a bucket of the stage"),
    _none("http.public.ssl_policy", "fixed: TLS 1.2 and newer"),
    _none("http.public.ingress**", "the door is open to the internet; `web_firewall` counts "
          "requests"),
    _none("http.public**", "no such setting of the balancer"),
    _none("http.private**", "no private load balancer"),
    _none("cdn**", "no CloudFront; one of your own may stand in front"),
    _otherwise("observability.container_insights", "not needed: always on"),
    _none("tags**", "no tags of your own"),
)  # fmt: skip
OF_STATIC_SITES = (
    *OF_EVERYTHING,
    _none("**", "no static sites: an S3 bucket with CloudFront of its own"),
)
OF_PIPELINES = (_otherwise("**", "`moor ci github` or `moor ci gitlab` writes a pipeline"),)
UNKNOWN = _none("**", "not known of Copilot's manifests")


def judge(rules: tuple[Rule, ...], path: str, value: Any, place: Place) -> Verdict:
    """What becomes of a field, by the first rule that fits."""
    if value is None and not path.startswith("variables."):
        return Verdict(Kind.OTHERWISE, "says nothing", {})
    rule = next((each for each in (*rules, UNKNOWN) if each.fits(path)), UNKNOWN)
    if rule.translate is None:
        here = schedule(value) if path == "on.schedule" else rule.here
        return Verdict(rule.kind, here, {})
    try:
        keys = rule.translate(value, place)
    except Untranslatable as error:
        return Verdict(Kind.NONE, str(error), {})
    return Verdict(Kind.TRANSLATED, rule.here, keys)
