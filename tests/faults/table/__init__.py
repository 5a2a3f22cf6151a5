"""The fault list: each row says what is done, what must hold and how stock SAQ does.

A figure is never to be over its bound. `INVARIANTS` hold in every row besides.
"""

from tests.faults.row import Row
from tests.faults.table import database, jobs, network, workers

ROWS: tuple[Row, ...] = (*workers.ROWS, *network.ROWS, *database.ROWS, *jobs.ROWS)
