"""Where the tests' own tasks write down when they ran; made by the owner, as every table."""

LEDGER = (
    "CREATE TABLE ledger (id BIGSERIAL, job_key TEXT, attempt INT, event TEXT,"
    " at TIMESTAMPTZ DEFAULT clock_timestamp())"
)
