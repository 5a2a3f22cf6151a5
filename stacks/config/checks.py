"""Checks that the settings of a stage fit together. Standard library only."""

from service import contract
from stacks.config.connections import CONNECTION_SHARE, connections_wanted, max_connections
from stacks.config.processes import WORKERS
from stacks.config.secrets import secrets_of
from stacks.config.stage import MAXIMUM_PERCENT, Stage
from stacks.config.subnets import PRIVATE, PUBLIC, TAKEN_BY_AWS, place
from stacks.config.values import ConfigError

# Addresses of each subnet that ECS tasks cannot have: those of the load balancer in a public one,
# and those of the endpoints of AWS services in a private one.
BALANCER_ADDRESSES, ENDPOINT_ADDRESSES = 8, 12
# Operator commands describe all ECS services of a stage in one call, which takes ten.
# https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_DescribeServices.html
SERVICES_MAX = 10
ONE_OFF_TASKS = 4  # ECS tasks of `moor run` and `moor debug`
# An account gets two zones there, although the region has more:
# https://docs.aws.amazon.com/global-infrastructure/latest/regions/aws-availability-zones.html
REGIONS_OF_TWO_ZONES = ("us-west-1",)

# An IAM policy has 6144 characters at most. The ARNs of a process's own secrets may take so many of
# them; an ARN has about 80 more than the secret's name.
# https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html
SECRETS_CHARACTERS, ARN_CHARACTERS = 4000, 80

# https://docs.aws.amazon.com/AmazonECS/latest/developerguide/fargate-tasks-services.html
MEMORY_BY_CPU = {
    256: (512, 1024, 2048),
    512: range(1024, 4097, 1024),
    1024: range(2048, 8193, 1024),
    2048: range(4096, 16385, 1024),
    4096: range(8192, 30721, 1024),
    8192: range(16384, 61441, 4096),
    16384: range(32768, 122881, 8192),
}


def check_stage(stage: Stage) -> None:
    """Raises `ConfigError` with everything that does not fit, and the keys to change."""
    problems = [
        *_counts(stage),
        *_sizes(stage),
        *_queues(stage),
        *_capacity(stage),
        *_connections(stage),
        *_drain(stage),
        *_https(stage),
        *_network(stage),
        *_zones(stage),
        *_addresses(stage),
        *_secrets(stage),
        *_telemetry(stage),
    ]
    if problems:
        raise ConfigError(problems)


def _counts(stage: Stage) -> list[str]:
    found = []
    if (more := len(stage.processes) - SERVICES_MAX) > 0:
        found.append(
            f"{WORKERS}: {len(stage.pools)} pools; {len(stage.pools) - more} are the most, because "
            f"a stage has {SERVICES_MAX} ECS services at most"
        )
    for each in stage.processes:
        least, most, wanted = each.min_count, each.max_count, each.desired_count
        if least > most:
            found.append(
                f"{each.key('min_count')} = {least}: is above {each.key('max_count')} = {most}"
            )
        elif wanted is not None and not least <= wanted <= most:
            found.append(
                f"{each.key('desired_count')} = {wanted}: is not between "
                f"{each.key('min_count')} = {least} and {each.key('max_count')} = {most}"
            )
    return found


def _sizes(stage: Stage) -> list[str]:
    found = []
    for each in stage.processes:
        if each.memory_mib not in MEMORY_BY_CPU[each.cpu]:
            allowed = ", ".join(str(size) for size in MEMORY_BY_CPU[each.cpu])
            found.append(
                f"{each.key('memory_mib')} = {each.memory_mib}: with "
                f"{each.key('cpu')} = {each.cpu} Fargate allows {allowed}"
            )
    return found


def _queues(stage: Stage) -> list[str]:
    """An SQS queue carries one queue of jobs."""
    if not stage.sqs_queue:
        return []
    return [
        f"{pool.key('queues')}: with sqs_queue there is one queue, {contract.QUEUE_NAME}, and not "
        f"{', '.join(others)}; jobs of several queues need Postgres"
        for pool in stage.worker_pools
        if (others := [name for name in pool.queues.names if name != contract.QUEUE_NAME])
    ]


def _capacity(stage: Stage) -> list[str]:
    found = []
    for key in ("database_min_acu", "database_max_acu"):
        if (acu := getattr(stage, key)) * 2 != int(acu * 2):
            found.append(f"{key} = {acu:g}: must be a multiple of 0.5")
    if stage.database_min_acu > stage.database_max_acu:
        found.append(
            f"database_min_acu = {stage.database_min_acu:g}: "
            f"is above database_max_acu = {stage.database_max_acu:g}"
        )
    *keys, last = (
        each.key(f"{end}_count") for each in stage.processes for end in ("min", "desired")
    )
    counts = (n for each in stage.processes for n in (each.min_count, each.desired_count))
    if stage.database_min_acu == 0 and (stage.is_protected or any(n != 0 for n in counts)):
        found.append(
            f"database_min_acu = 0: the database can pause only if {', '.join(keys)} and {last} "
            "are 0 and is_protected is false, because each running process keeps it awake; use 0.5"
        )
    return found


def _connections(stage: Stage) -> list[str]:
    wanted, offered = connections_wanted(stage.processes), max_connections(stage)
    if wanted <= CONNECTION_SHARE * offered:
        return []
    return [
        f"database_max_acu = {stage.database_max_acu:g}: allows {offered} connections, of which "
        f"{int(CONNECTION_SHARE * offered)} may be used; a deploy needs {wanted}. Raise it (and "
        "database_min_acu above 0.5), or lower "
        f"{_one_of(stage, 'max_count', 'pool_size', 'queue_pool_size')}"
    ]


def _drain(stage: Stage) -> list[str]:
    if stage.drain_seconds <= contract.DRAIN_MAX_SECONDS:
        return []
    return [
        f"drain_seconds = {stage.drain_seconds}: must be at most {contract.DRAIN_MAX_SECONDS}, "
        f"because ECS kills a process after {contract.STOP_TIMEOUT_SECONDS} s, and it needs "
        f"{contract.STOP_MARGIN_SECONDS} s after its drain"
    ]


def _https(stage: Stage) -> list[str]:
    found = []
    zone = (stage.domain_name, stage.hosted_zone_id, stage.hosted_zone_name)
    if any(zone) and not all(zone):
        found.append("domain_name: goes together with hosted_zone_id and hosted_zone_name")
    elif stage.domain_name and not f".{stage.domain_name}".endswith(f".{stage.hosted_zone_name}"):
        found.append(
            f"domain_name = {stage.domain_name!r}: is not in hosted_zone_name = "
            f"{stage.hosted_zone_name!r}"
        )
    if stage.certificate_arn:
        region, account = stage.certificate_arn.split(":")[3:5]
        for key, is_, wanted in (
            ("region", region, stage.region),
            ("account", account, stage.account),
        ):
            if wanted and is_ != wanted:
                found.append(
                    f"certificate_arn: is of {key} {is_}, and the load balancer needs one of its "
                    f"own: {key} = {wanted!r}"
                )
    if not stage.is_https and not stage.allow_http:
        found.append(
            "certificate_arn: missing; set it, or domain_name with its hosted zone, "
            "or allow_http = true for a stage that may answer without TLS"
        )
    if not stage.database_tls and stage.stage != contract.LOCAL_STAGE:
        found.append(f"database_tls = false: is allowed only in stage {contract.LOCAL_STAGE}")
    return found


def _network(stage: Stage) -> list[str]:
    kinds = {
        "public_subnet_ids": stage.public_subnet_ids,
        "isolated_subnet_ids": stage.isolated_subnet_ids,
    }
    if stage.egress != "public":
        kinds["private_subnet_ids"] = stage.private_subnet_ids
    if not stage.vpc_id:
        given = [key for key in ("zone_names", *kinds) if getattr(stage, key)]
        return [f"{key}: only with vpc_id" for key in given]
    zones = len(stage.zone_names)
    found = [] if zones >= 2 else ["zone_names: with vpc_id name two availability zones or more"]
    found += [
        f"{key}: with vpc_id and {zones} zone_names it must have {zones} subnets, one for each, "
        f"not {len(subnets)}"
        for key, subnets in kinds.items()
        if len(subnets) != zones
    ]
    every = [subnet for subnets in kinds.values() for subnet in subnets]
    for key, ids in {"zone_names": stage.zone_names, **kinds}.items():
        twice = sorted({each for each in ids if (*stage.zone_names, *every).count(each) > 1})
        found += [f"{key}: {each} is given twice" for each in twice]
    return found


def _zones(stage: Stage) -> list[str]:
    found = []
    if stage.region in REGIONS_OF_TWO_ZONES and not stage.vpc_id and stage.availability_zones > 2:
        found.append(
            f"availability_zones = {stage.availability_zones}: "
            f"an account has two in region {stage.region}"
        )
    regions = sorted({zone[:-1] for zone in stage.zone_names} | {stage.region} - {""})
    if stage.zone_names and len(regions) > 1:
        found.append(f"zone_names: must all be in the stage's region, not in {', '.join(regions)}")
    return found


def _addresses(stage: Stage) -> list[str]:
    """Each ECS task needs an address, and during a deployment old and new ones run."""
    if stage.vpc_id:
        return []
    most = sum(each.max_count for each in stage.processes)
    wanted = most * MAXIMUM_PERCENT // 100 + ONE_OFF_TASKS
    group = PUBLIC if stage.egress == "public" else PRIVATE
    taken = BALANCER_ADDRESSES if group == PUBLIC else ENDPOINT_ADDRESSES
    places = place(stage.vpc_cidr, stage.layout)
    offered = sum(
        places[group, zone].num_addresses - TAKEN_BY_AWS - taken
        for zone in range(1, stage.availability_zones + 1)
    )
    if wanted <= offered:
        return []
    return [
        f"vpc_cidr = {stage.vpc_cidr!r}: with egress = {stage.egress!r} and "
        f"{stage.availability_zones} availability zones it has {offered} addresses for ECS tasks; "
        f"a deploy needs {wanted}. Take a larger network for a new stage, or lower "
        f"{_one_of(stage, 'max_count')}"
    ]


def _secrets(stage: Stage) -> list[str]:
    """The execution role names each of them."""
    found = []
    for each in stage.processes:
        own = secrets_of(stage.secrets, each.process, each.pool).values()
        # One of somebody else's is named a second time, with the key that it needs.
        places = {secret.place(stage.names): 2 - secret.is_own for secret in own}
        needed = sum(times * (len(place.id) + ARN_CHARACTERS) for place, times in places.items())
        if needed > SECRETS_CHARACTERS:
            found.append(
                f"secrets: the {each.name} has {len(places)}, more than the policy of its role can "
                "name; keep several as the JSON of one secret, secretsmanager:NAME#FIELD"
            )
    return found


def _telemetry(stage: Stage) -> list[str]:
    found = []
    if stage.telemetry_collector and stage.telemetry_endpoint:
        found.append(
            "telemetry_endpoint: traces go there or to telemetry_collector = true, not to both"
        )
    if stage.telemetry_collector and stage.stage == contract.LOCAL_STAGE:
        found.append(
            "telemetry_collector = true: the local twin runs no container of another image; write "
            "[local.telemetry] with collector = false, and endpoint for a collector of your own"
        )
    elif stage.telemetry_collector and stage.egress == "endpoints":
        found.append(
            "telemetry_collector = true: with egress = 'endpoints' its image on public.ecr.aws "
            "cannot be reached; set telemetry_endpoint to a collector in the VPC"
        )
    if stage.telemetry_port is not None and not 0 < stage.telemetry_port < 65536:
        found.append(f"telemetry_endpoint: there is no port {stage.telemetry_port}")
    return found


def _one_of(stage: Stage, *keys: str) -> str:
    """These keys of every process: `api_max_count, worker_max_count or …`."""
    *names, last = (each.key(key) for key in keys for each in stage.processes)
    return f"{', '.join(names)} or {last}"
