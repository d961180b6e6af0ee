"""Options that many jobs share."""

from collections.abc import Callable
from datetime import date, datetime
from typing import Any

import click

from tasks.core.canonical import BUDGETS, KINDS


def _to_date(_context: click.Context, _parameter: click.Parameter, value: datetime | None) -> date | None:
    return value.date() if value else None


def run_date_option[F: Callable[..., Any]](function: F) -> F:
    """``--run-date``: the day the job works for; jobs never read the clock for logic."""
    option = click.option(
        "--run-date",
        required=True,
        type=click.DateTime(["%Y-%m-%d"]),
        callback=_to_date,
        help="Day the job works for (YYYY-MM-DD). Data up to the day before counts as complete.",
    )
    return option(function)


def kind_option[F: Callable[..., Any]](function: F) -> F:
    """``--kind``: one kind of change set; each has its own approval, so its jobs run apart."""
    option = click.option(
        "--kind",
        type=click.Choice(KINDS),
        default=BUDGETS,
        show_default=True,
        help="Sets that change budgets, or sets that enable and pause ads.",
    )
    return option(function)
