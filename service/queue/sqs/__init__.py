"""The backend `sqs://`: SQS carries the jobs; what they are and how they stand is in Postgres."""
