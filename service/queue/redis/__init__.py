"""The backend `redis://`: SAQ's lists on Redis, with history and schedules in Postgres."""
