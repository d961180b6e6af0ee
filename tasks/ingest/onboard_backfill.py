"""History of a platform, loaded by the same loader as every day, with a bar for a person who watches."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from tasks.core.warehouse import Warehouse
    from tasks.ingest.ads_load import Result
    from tasks.platforms.base import Platform


class Bar:
    """One progress bar an account, in days. Anywhere but at a terminal it draws nothing: the log has a line for each piece."""

    def __init__(self) -> None:
        self._account, self._done, self._bar = "", 0, None

    _bar: Any

    def __call__(self, account_id: str, done: int, days: int) -> None:
        """``done`` of ``days`` days of the account have landed."""
        if not sys.stderr.isatty():
            return
        if account_id != self._account:
            self.close()
            self._account, self._done = account_id, 0
            self._bar = click.progressbar(length=days, label=account_id, file=sys.stderr, show_pos=True)
            self._bar.__enter__()
        self._bar.update(done - self._done)
        self._done = done

    def close(self) -> None:
        """End the line of the bar that is drawn."""
        if self._bar is not None:
            self._bar.__exit__(None, None, None)
            self._bar = None


def backfill(platform: Platform, warehouse: Warehouse, *, days: int, accounts: Sequence[str], today: date) -> list[Result]:
    """Load the last ``days`` days before ``today`` of ``accounts`` (none: all that are enabled).

    One that was cut off goes on where it stopped when it is asked for again on the same day.
    """
    from tasks.ingest.ads_load import Load, Wish

    wish = Wish(
        run_date=today,
        days=platform.restatement_days,
        history_days=days,
        start_date=today - timedelta(days=days),
        accounts=tuple(accounts),
    )
    bar = Bar()
    try:
        return Load(platform, warehouse, wish, progress=bar).run()
    finally:
        bar.close()
