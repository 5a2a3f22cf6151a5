"""How many database connections a stage may need, and how many Aurora allows.

Standard library only.
"""

from collections.abc import Iterable
from itertools import pairwise

from service import contract
from stacks.config.processes import EcsProcess
from stacks.config.stage import MAXIMUM_PERCENT, Stage

OPERATOR_CONNECTIONS = 10  # for people and their tools
RESERVED_CONNECTIONS = 10  # for PostgreSQL's superusers and for RDS
CONNECTION_SHARE = 0.8  # the part of the allowed connections that a stage may plan to use

# https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/aurora-serverless-v2.setting-capacity.html
# The maximum of connections by the maximum of ACUs, not by the current capacity.
CONNECTIONS_BY_ACU = {1: 189, 4: 823, 8: 1669, 16: 3360, 32: 5000, 256: 5000}
CONNECTIONS_AT_SMALL_MINIMUM = 2000  # where the minimum is 0 or 0.5 ACU


def max_connections(stage: Stage) -> int:
    """The connections that Aurora allows; interpolated between two rows of AWS's table."""
    rows = list(CONNECTIONS_BY_ACU.items())
    for (low, least), (high, most) in pairwise(rows):
        if stage.database_max_acu <= high:
            share = (stage.database_max_acu - low) / (high - low)
            found = int(least + share * (most - least))
            break
    return min(found, CONNECTIONS_AT_SMALL_MINIMUM) if stage.database_min_acu <= 0.5 else found


def connections_wanted(processes: Iterable[EcsProcess]) -> int:
    """The most connections that can be open: during a deploy, at the maximum counts."""
    running = sum(
        each.max_count * (each.pool_size + each.queue_pool_size + contract.OWN_CONNECTIONS)
        for each in processes
    )
    return (
        running * MAXIMUM_PERCENT // 100
        + contract.MIGRATE_CONNECTIONS
        + OPERATOR_CONNECTIONS
        + RESERVED_CONNECTIONS
    )
