"""Postgres is there and refuses, or is not what it was."""

from tests.faults.row import Row
from tests.faults.scenarios import clock, growth, migration, outages, passwords, refusals, servers

ROWS = (
    Row(
        id="F19",
        promise="a locked table delays jobs and nothing else",
        done="ACCESS EXCLUSIVE lock on the jobs' table for 30 s under load",
        scenario=outages.table_locked,
        at_most={"goes_on_s": 10, "enqueue_answers_s": 20},
    ),
    Row(
        id="F21",
        promise="a full disk is said to who enqueues, and work goes on when there is space again",
        done="fill the tables' disk under load for 15 s",
        scenario=refusals.disk_full,
        at_most={"goes_on_s": 10, "enqueue_answers_s": 20, "crashed": 0},
    ),
    Row(
        id="F23",
        promise="no worker crashes or shouts for lack of connections",
        done="cut every connection; somebody else takes the 20 that the role may have, for 20 s",
        scenario=refusals.no_connections,
        at_most={"goes_on_s": 10, "log_lines_per_s": 10, "crashed": 0},
    ),
    Row(
        id="F24",
        promise="a worker's wrong clock makes no job early, no tick double and no job swept",
        done="workers an hour ahead, an hour behind and twice as fast beside one that is right",
        scenario=clock.wrong_clocks,
        at_most={"early_s": 2, "late_s": 5, "ticks_twice": 0, "ticks_missed": 0},
    ),
    Row(
        id="F31",
        promise="a claim looks at as few pages after a million jobs as in an empty table",
        done="1,000,000 ended jobs in the table, autovacuum off, 5,000 more go through",
        scenario=growth.million_completed,
        at_most={"pages_of_a_claim": 50},
    ),
    Row(
        id="Migration",
        promise="the database of the release before goes over while both releases work, and back",
        done="1,000,000 jobs in every state migrate under load; workers of both releases are "
        "killed, connections cut; then this release's workers go, and the others end the rest",
        scenario=migration.over_and_back,
        at_most={"slowest_enqueue_s": 1, "given_up": 3},
        is_short=True,
    ),
    Row(
        id="Snapshot",
        promise="a claim stays quick while another transaction holds a snapshot",
        done="a transaction holds a snapshot for 5 minutes while two workers have a backlog",
        scenario=growth.long_snapshot,
        at_most={"times_slower": 4},
        is_short=True,
    ),
    Row(
        id="F37",
        promise="a rotating password fails no job",
        done="a new password every 5 s, known 0.1 to 0.5 s late, and every connection ended",
        scenario=passwords.password_rotates,
        at_most={"goes_on_s": 10, "failed_jobs": 0, "crashed": 0},
        stock="asks for it once, when it starts",
    ),
    Row(
        id="F37b",
        promise="the passwords of the database's owner and of API and worker rotate, and no job "
        "loses an attempt",
        done="a new one of both in each of 6 turns, in the secret before Postgres has it; each job "
        "opens a connection, and the queue's own are ended three times a turn",
        scenario=passwords.both_passwords_rotate,
        at_most={"goes_on_s": 10, "failed_jobs": 0, "attempts_lost": 0, "crashed": 0},
        stock="asks for it once, when it starts",
    ),
    Row(
        id="F38",
        promise="no server that cannot prove who it is gets a word, let alone a password",
        done="plain text, wrong authority, wrong host, expired certificate, TLS 1.1",
        scenario=servers.wrong_servers,
        at_most={"accepted": 0, "spoke_before_trust": 0},
        is_short=True,
    ),
)
