"""The backend `sqs://`: the jobs are in Postgres, and SQS messages bring them to the workers."""
