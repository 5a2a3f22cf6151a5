"""The next ticks of a schedule."""

from datetime import UTC, datetime

from service.queue.cron import Timing, TimingError
from service.queue.schedule_record import ScheduleRecord

TICKS = 10


def next_ticks(schedule: ScheduleRecord) -> list[datetime]:
    """The next ten ticks, in the schedule's own zone; none of one that is disabled."""
    if schedule.next_run_at is None:
        return []
    try:
        timing = Timing.parse(cron=schedule.cron, every=schedule.every, tz=schedule.tz)
    except TimingError:  # another release has written it
        return []
    found = [schedule.next_run_at]
    while len(found) < TICKS:
        found.append(datetime.fromtimestamp(timing.next_after(found[-1].timestamp()), UTC))
    return found
