"""Which tables stand before which job: the one place that says what each gate reads."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from typing import Literal

PLATFORMS = "platforms"
CRM = "crm"
# An import is judged whole, however old: a spreadsheet of 2015 is as good as one of today.
_BEGINNING = date(1900, 1, 1)

Origin = Literal["any", "platforms", "import"]


@dataclass(frozen=True)
class GateTable:
    """A table of a gate.

    ``needs_rows``: an empty table is a critical failure. ``is_sparse``: days without rows are normal, so the contract's
    freshness does not apply. ``scope`` is a SQL condition that narrows the rows to those the job will read. ``origin`` says
    for which kind of source the job reads the table.
    """

    name: str
    needs_rows: bool = True
    is_sparse: bool = False
    scope: str = "TRUE"
    origin: Origin = "any"


@dataclass(frozen=True)
class Gate:
    """The tables a job reads and how many days back it reads them."""

    job: str
    days: int
    tables: tuple[GateTable, ...]


@dataclass(frozen=True)
class Window:
    """What one run of a gate looks at: days ``[start_date, run_date]`` of ``source``."""

    run_date: date
    start_date: date
    source: str

    @property
    def is_import(self) -> bool:
        """True if the source is an import and not the ad platforms."""
        return self.source != PLATFORMS

    def parameters(self) -> dict[str, object]:
        """The SQL parameters of the checks."""
        return {
            "run_date": self.run_date,
            "start_date": self.start_date,
            "source": self.source,
            "outcome_source": self.source if self.is_import else CRM,
        }


_RUNS = "source = @source"
_OF_RUNS = """run_id IN (
  SELECT run_id FROM models.mmm_runs WHERE source = @source AND run_date >= @start_date AND run_date <= @run_date
)"""
_PERFORMANCE = GateTable("ads.ads_campaign_performance", origin="platforms")
_ACCOUNTS = GateTable("ads.ads_accounts", origin="platforms")
_ADS = GateTable("ads.ads_ad_performance", needs_rows=False, is_sparse=True, origin="platforms")
_CRITERIA = GateTable("ads.ads_criterion_performance", needs_rows=False, is_sparse=True, origin="platforms")
_IMPORTED = GateTable("ads.imported_media", origin="import", scope="source = @source")
_OUTCOMES = GateTable("ads.business_outcomes", scope="source = @outcome_source")
_CONTROLS = GateTable("ads.business_controls", needs_rows=False, is_sparse=True, scope="source = @outcome_source")
_EVENTS = GateTable("ads.ads_change_events", needs_rows=False, is_sparse=True, origin="platforms")
_BUDGETS = GateTable("ads.campaign_budgets", origin="platforms")

GATES: dict[str, Gate] = {
    gate.job: gate
    for gate in (
        # After the load: everything it writes, over Google's 30-day restatement window and a week of margin.
        Gate(
            "ingest-ads",
            37,
            (
                _ACCOUNTS,
                _PERFORMANCE,
                # Performance Max has no ads: an advertiser with nothing else has no row here.
                _ADS,
                _CRITERIA,
                GateTable("ads.ads_conversion_action_stats", needs_rows=False, is_sparse=True, origin="platforms"),
                _EVENTS,
                _BUDGETS,
                _OUTCOMES,
                _CONTROLS,
            ),
        ),
        # After the load of GA4: the days that may still change, and a week to compare with.
        Gate(
            "ingest-ga4",
            14,
            (
                GateTable("ga4.ga4_events", origin="platforms"),
                GateTable("ga4.ga4_daily", origin="platforms"),
                # Not every advertiser's systems report events of their own.
                GateTable("gaelp_users.server_events", needs_rows=False, is_sparse=True, origin="platforms"),
            ),
        ),
        # Visits of 90 days before an assignment and of a month after it; an advertiser may have no experiment.
        Gate(
            "fit-uplift",
            121,
            (
                GateTable("gaelp_users.experiments", needs_rows=False, is_sparse=True, origin="platforms"),
                GateTable("gaelp_users.experiment_assignments", needs_rows=False, is_sparse=True, origin="platforms"),
                GateTable("gaelp_users.journey_sessions", needs_rows=False, is_sparse=True, origin="platforms"),
            ),
        ),
        Gate(
            "estimate-maturity",
            121,
            (
                GateTable("ga4.conversion_maturity", needs_rows=False, is_sparse=True, origin="platforms"),
                GateTable("ga4.ga4_lagged_daily", needs_rows=False, is_sparse=True, origin="platforms"),
            ),
        ),
        Gate(
            "fit-bandits",
            91,
            (
                # Performance Max has no ads.
                _ADS,
                _CRITERIA,
                GateTable("ga4.conversion_maturity", needs_rows=False, is_sparse=True, origin="platforms"),
            ),
        ),
        # Three years: more history than a model is fitted on.
        Gate("fit-mmm", 1096, (_ACCOUNTS, _PERFORMANCE, _IMPORTED, _OUTCOMES, _CONTROLS)),
        Gate(
            "plan-budgets",
            92,
            (
                _BUDGETS,
                _PERFORMANCE,
                _EVENTS,
                _IMPORTED,
                _OUTCOMES,
                GateTable("models.mmm_runs", scope=_RUNS),
                GateTable("models.mmm_reviews", scope=_OF_RUNS),
                GateTable("models.mmm_draws", scope=_OF_RUNS),
                GateTable("control.drift_reports", origin="platforms"),
            ),
        ),
        Gate("watch-canary", 37, (_PERFORMANCE, _OUTCOMES)),
    )
}


def window(gate: Gate, run_date: date, source: str) -> Window:
    """The window of ``gate`` on ``run_date``; an import has no beginning."""
    return Window(run_date, run_date - timedelta(days=gate.days) if source == PLATFORMS else _BEGINNING, source)


def tables(gate: Gate, source: str) -> list[GateTable]:
    """The tables the job reads for ``source``."""
    unwanted = "import" if source == PLATFORMS else "platforms"
    return [table for table in gate.tables if table.origin != unwanted]
