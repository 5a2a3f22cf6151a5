"""What is proven by tests elsewhere, and what is not covered here, and why."""

WORKER = "tests/service/queue/worker/test_worker.py"
QUEUE = "tests/service/queue/postgres/test_queue.py"
SCHEDULES = "tests/service/queue/schedules/test_schedules.py"
MIGRATE = "tests/service/test_migrate.py"

ELSEWHERE = {
    "L10": f"{WORKER}::test_plain_function_that_overruns_never_runs_beside_itself",
    "L11": f"{WORKER}::test_cancellation_raised_inside_a_job_is_a_failure_like_any_other",
    "L12": f"{WORKER}::test_result_without_json_form_fails_the_job_once_and_says_why",
    "L13": f"{WORKER}::test_hooks_run_around_a_job_and_an_error_in_them_has_one_outcome",
    "L19": f"{QUEUE}::test_jobs_of_another_queue_are_not_seen",
    "L20": f"{QUEUE}::test_cancelled_delayed_job_can_be_enqueued_again_for_now",
    "L21": f"{SCHEDULES}::test_a_tick_becomes_one_job_however_many_workers_there_are",
    "L22": f"{QUEUE}::test_progress_and_meta_of_a_running_job_are_kept",
    "L25": f"{QUEUE}::test_failed_job_is_kept_two_weeks_however_short_its_ttl",
    "S1": f"{MIGRATE}::test_twenty_migrations_at_once_apply_each_file_once",
    "S13": f"{WORKER}::test_health_check_follows_the_heartbeat",
}

NOT_COVERED = {
    "S2": "is about a second table of jobs; there is one here",
    "S9": "what notifications cost is for the benchmarks to say",
    "S10": "what notifications cost is for the benchmarks to say",
}

WANTED = (
    *(f"F{n}" for n in (*range(1, 8), *range(9, 15), 16, 17, 19, 21, 23, 24, *range(27, 30))),
    *(f"F{n}" for n in (*range(31, 35), 37, 38)),
    *(f"L{n}" for n in range(1, 26)),
    *(f"S{n}" for n in range(1, 14)),
)
