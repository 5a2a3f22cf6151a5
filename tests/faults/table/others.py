"""What is proven by tests elsewhere."""

WORKER = "tests/service/queue/worker/test_worker.py"
QUEUE = "tests/service/queue/postgres/test_queue.py"
SCHEDULES = "tests/service/queue/schedules/test_schedules.py"
MIGRATE = "tests/service/test_migrate.py"

ELSEWHERE = (
    f"{WORKER}::test_plain_function_that_overruns_never_runs_beside_itself",
    f"{WORKER}::test_cancellation_raised_inside_a_job_is_a_failure_like_any_other",
    f"{WORKER}::test_result_without_json_form_fails_the_job_once_and_says_why",
    f"{WORKER}::test_hooks_run_around_a_job_and_an_error_in_them_has_one_outcome",
    f"{QUEUE}::test_jobs_of_another_queue_are_not_seen",
    f"{QUEUE}::test_cancelled_delayed_job_can_be_enqueued_again_for_now",
    f"{SCHEDULES}::test_a_tick_becomes_one_job_however_many_workers_there_are",
    f"{QUEUE}::test_progress_and_meta_of_a_running_job_are_kept",
    f"{QUEUE}::test_failed_job_is_kept_two_weeks_however_short_its_ttl",
    f"{MIGRATE}::test_twenty_migrations_at_once_apply_each_file_once",
    f"{WORKER}::test_health_check_follows_the_heartbeat",
)
