"""The network between workers and Postgres, and Postgres itself, goes away and comes back."""

from tests.faults.row import Row
from tests.faults.scenarios import failover, network, outages

ROWS = (
    Row(
        id="F12",
        promise="an idle worker whose connections go half-open hears of a new job within 20 s",
        done="freeze every connection of a worker with one slot; new ones pass",
        scenario=network.half_open_idle_one,
        at_most={"picked_up_s": 20},
        stock_breaks=True,
        is_short=True,
    ),
    Row(
        id="F12 x10",
        promise="so does one with ten slots",
        done="the same, ten slots",
        scenario=network.half_open_idle_ten,
        at_most={"picked_up_s": 20},
    ),
    Row(
        id="F12 busy",
        promise="so do two workers under load, and no job runs to its end twice",
        done="freeze every connection of two busy workers, twice",
        scenario=network.half_open_busy,
        at_most={"picked_up_s": 20},
    ),
    Row(
        id="F9",
        promise="a restart of Postgres is felt for its downtime and 5 s",
        done="stop Postgres eight times under load, by turns immediate and fast",
        scenario=outages.restarts,
        at_most={"outage_felt_s": 5},
        stock="recovers; 15 s after the restart",
    ),
    Row(
        id="F10",
        promise="work done while Postgres is away is written when it returns, not run again",
        done="stop Postgres for 75 s; 15 jobs end meanwhile",
        scenario=outages.long_outage,
        at_most={
            "written_after_s": 20,
            "run_again": 0,
            "log_lines_per_s": 10,
            "live_failed": 0,
            "ready_lied": 0,
            "ready_after_s": 10,
        },
        stock="done jobs recorded as aborted, or run twice; silent",
    ),
    Row(
        id="F11",
        promise="no connection that dies takes a job along",
        done="twice a second terminate a random backend or cut connections after a random byte",
        scenario=outages.backends_killed,
        stock="757 of 757 jobs done once with backends killed 3 times a second",
    ),
    Row(
        id="F14",
        promise="workers follow a failover within 15 s, and no acknowledged job is lost",
        done="writer demoted to read-only, its connections kept; a standby promoted in its place",
        scenario=failover.writer_demoted,
        at_most={"goes_on_s": 15},
    ),
    Row(
        id="F13",
        promise="when dropped packets pass again, work goes on and nothing has run twice",
        done="drop every packet of old and new connections for 30 s, then heal",
        scenario=network.black_hole,
        at_most={"goes_on_s": 20, "run_again": 0},
    ),
)
