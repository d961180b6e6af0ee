"""Loading everything that the setting AELP2_SERVER_EVENTS delivers: each file once, a broken one beside whole ones."""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING

import structlog

from tasks.core.errors import JobError
from tasks.ingest.deliveries import Delivery, Run, Taken, find, remember, told, unchanged
from tasks.ingest.server_events_load import Counts, ServerEventsLoad
from tasks.ingest.server_events_read import FORMS, Shape, form_of

if TYPE_CHECKING:
    from tasks.core.warehouse.base import Warehouse
    from tasks.ingest.server_events_row import RowRules

log = structlog.get_logger(source=__name__)
VARIABLE = "AELP2_SERVER_EVENTS"


@dataclass
class Outcome:
    """What one run did: files loaded and left alone, the sum of their records, and what went wrong by file."""

    files: int = 0
    unchanged: int = 0
    counts: Counts = field(default_factory=Counts)
    errors: dict[str, JobError] = field(default_factory=dict)


@dataclass(frozen=True)
class SourceLoad:
    """One run over the setting's files.

    Args:
        warehouse: where rows go.
        rules: source, salt, default country and run date.
        shape: separator and names of columns; the form is each file's own.
        max_bad_pct: as for one file.
    """

    warehouse: Warehouse
    rules: RowRules
    shape: Shape
    max_bad_pct: float

    def run(self, place: str) -> Outcome:
        """Load every file that is new or has changed; a JobError of one is kept and stops no other."""
        outcome, run, taken = Outcome(), Run("server_events", self.rules.source, "files"), list[Taken]()
        known = unchanged(self.warehouse, "server_events")
        read_with = repr((self.rules.source, self.rules.country, self.shape))
        for delivery in find(place, VARIABLE, tuple(FORMS), self.rules.run_date):
            digest = delivery.digest(read_with)
            if known(delivery.name, digest):
                outcome.unchanged += 1
                continue
            outcome.files += 1
            try:
                good = self._load(delivery, run, outcome.counts)
            except JobError as error:
                outcome.errors[delivery.name] = error
                log.error("file failed", file=delivery.name, error=str(error))
            else:
                taken.append(Taken(delivery.name, digest, good))
        counts = outcome.counts
        run.read, run.written, run.duplicates = counts.records, counts.inserted, counts.duplicates
        run.quarantined, run.forgotten = counts.quarantined, counts.forgotten
        if taken:
            remember(self.warehouse, "server_events", taken, self.rules.run_date)
        if outcome.files:
            run.record(self.warehouse, self.rules.run_date, told(outcome.errors) if outcome.errors else None)
        return outcome

    def _load(self, delivery: Delivery, run: Run, sums: Counts) -> int:
        """Load one file; the number of its good records. An empty file is a day without events."""
        if delivery.content is None and not Path(delivery.address).stat().st_size:
            return 0
        shape = replace(self.shape, form=form_of(delivery.name) or "ndjson")
        load = ServerEventsLoad(self.warehouse, self.rules, self.max_bad_pct)
        counts = load.run(delivery.address, shape, delivery.content)
        run.span(load.first_day, load.last_day)
        for one in fields(Counts):
            setattr(sums, one.name, getattr(sums, one.name) + getattr(counts, one.name))
        return counts.records - counts.quarantined
