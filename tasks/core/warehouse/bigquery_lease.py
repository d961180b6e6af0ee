"""Leases on BigQuery: a row in control.leases with a holder and an expiry by the server's clock.

Taking a lease is one UPDATE that changes the row only if it has expired. Two UPDATEs of one row never both succeed on
BigQuery: the later one runs again on the new state and finds the row taken. A holder renews its lease while it lives; when it
dies the lease ends after ``TTL_SECONDS``.
"""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from tasks.core.errors import JobError, Refused
from tasks.core.log import get_logger
from tasks.core.warehouse.bigquery_client import run
from tasks.core.warehouse.parameters import parameter_type

TTL_SECONDS = 900
_RENEW_SECONDS = 60.0
_POLL_SECONDS = 0.5

_ADD = """
MERGE `control.leases` AS t
USING (SELECT @name AS lease_name) AS s
ON t.`lease_name` = s.`lease_name`
WHEN NOT MATCHED BY TARGET THEN
  INSERT (`lease_name`, `holder`, `expires_at`) VALUES (s.`lease_name`, 'nobody', TIMESTAMP '1970-01-01 00:00:00+00')
"""
_TAKE = """
UPDATE `control.leases`
SET holder = @holder, expires_at = TIMESTAMP_ADD(CURRENT_TIMESTAMP(), INTERVAL @ttl SECOND)
WHERE lease_name = @name AND expires_at <= CURRENT_TIMESTAMP()
"""
_RENEW = """
UPDATE `control.leases`
SET expires_at = TIMESTAMP_ADD(CURRENT_TIMESTAMP(), INTERVAL @ttl SECOND)
WHERE lease_name = @name AND holder = @holder AND expires_at > CURRENT_TIMESTAMP()
"""
_RELEASE = """
UPDATE `control.leases`
SET expires_at = CURRENT_TIMESTAMP()
WHERE lease_name = @name AND holder = @holder AND expires_at > CURRENT_TIMESTAMP()
"""
_HOLDER = "SELECT holder, expires_at FROM `control.leases` WHERE lease_name = @name"


@dataclass
class Lease:
    """One process's claim on ``name``; ``new_client`` makes a second client for the renewing thread."""

    new_client: Callable[[], Any]
    client: Any
    name: str
    ttl_seconds: int = TTL_SECONDS
    renew_seconds: float = _RENEW_SECONDS
    holder: str = field(default_factory=lambda: uuid.uuid4().hex)

    def _run(self, client: Any, sql: str, **params: object) -> Any:
        return run(client, sql, {name: (parameter_type(name, value), value) for name, value in params.items()})

    def take(self) -> bool:
        """Try once; the row is made first if nobody ever held this lease."""
        if self._update(_TAKE, ttl=self.ttl_seconds):
            return True
        if next(iter(self._run(self.client, _HOLDER, name=self.name).result()), None) is not None:
            return False
        # Two processes may both add the row; every later UPDATE then changes both copies, so the lease stays exclusive.
        self._run(self.client, _ADD, name=self.name)
        return self._update(_TAKE, ttl=self.ttl_seconds)

    def _update(self, sql: str, **params: object) -> bool:
        job = self._run(self.client, sql, name=self.name, holder=self.holder, **params)
        return bool(job.num_dml_affected_rows)

    def renew(self, client: Any) -> bool:
        """Extend the lease; False if it is no longer ours."""
        job = self._run(client, _RENEW, name=self.name, holder=self.holder, ttl=self.ttl_seconds)
        return bool(job.num_dml_affected_rows)

    def release(self) -> bool:
        """Give the lease back; False if it was no longer ours."""
        return self._update(_RELEASE)

    def who(self) -> str:
        """Holder and expiry, for a message."""
        row = next(iter(self._run(self.client, _HOLDER, name=self.name).result()), None)
        return "nobody" if row is None else f"holder {row['holder']} until {row['expires_at']:%Y-%m-%d %H:%M:%S} UTC"


@contextmanager
def hold(lease: Lease, *, wait_seconds: float) -> Iterator[None]:
    """Hold ``lease`` while the block runs; Refused if another holds it and goes on holding it for ``wait_seconds``.

    JobError at the end if the lease was lost meanwhile: what the block did may have overlapped with another run.
    """
    deadline = time.monotonic() + wait_seconds
    while not lease.take():
        if time.monotonic() >= deadline:
            raise Refused(
                f"another run holds the lease {lease.name!r} ({lease.who()}); "
                "wait until it ends, then look at the ledger before you run again"
            )
        time.sleep(_POLL_SECONDS)
    stop = threading.Event()
    renewing = threading.Thread(target=_keep, args=(lease, stop), name=f"lease-{lease.name}", daemon=True)
    renewing.start()
    try:
        yield
    finally:
        stop.set()
        renewing.join()
        ours = lease.release()
    if not ours:
        raise JobError(f"the lease {lease.name!r} was lost while it was held; look at the ledger for a run that overlapped")


def _keep(lease: Lease, stop: threading.Event) -> None:
    client = None
    while not stop.wait(lease.renew_seconds):
        client = client or lease.new_client()
        try:
            if not lease.renew(client):
                return
        except JobError as error:  # a passing fault: the lease lives for many more periods, so the next one tries again
            get_logger(__name__).warning("lease not renewed; it is tried again", lease=lease.name, error=str(error))
