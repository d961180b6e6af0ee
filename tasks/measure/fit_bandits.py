"""`aelp2 fit-bandits`: what is known of each ad, keyword and audience today, from spend and conversions that come late."""

from __future__ import annotations

from datetime import date, timedelta
from typing import TYPE_CHECKING

import click

from tasks.core.cli_options import run_date_option

if TYPE_CHECKING:
    from tasks.core.warehouse import Warehouse


def fill_rewards(warehouse: Warehouse, run_date: date, window_days: int) -> int:
    """Write the reward of each decision whose click day has become mature; once, however often the job runs."""
    from tasks.core.clock import utc_now
    from tasks.measure.bandit_inputs import LAST_LAG
    from tasks.measure.bandit_tables import reward_frame

    mature = warehouse.query_file(
        "models/bandit_mature_decisions/query.sql",
        {"start_date": run_date - timedelta(days=window_days), "before_date": run_date - timedelta(days=LAST_LAG)},
    )
    return warehouse.insert_new("models.bandit_rewards", reward_frame(mature, run_date, utc_now())) if mature.height else 0


def fit_all(warehouse: Warehouse, run_date: date, window_days: int, reward: str) -> dict[str, int]:
    """Fit each kind of arm of every account; returns the rows that are new.

    NothingToDo if no arm spent anything whose rewards could have arrived.
    """
    import structlog

    from tasks.core.clock import utc_now
    from tasks.core.errors import NothingToDo
    from tasks.measure.bandit_inputs import read_accounts, read_channel_priors
    from tasks.measure.bandit_tables import account_rows, posterior_frame

    log = structlog.get_logger(source=__name__)
    rows = []
    for account in read_accounts(warehouse, run_date, window_days):
        unit = account.mean_order_micros if reward == "value" else None
        if unit == 0:
            log.warning(
                "no value to learn from",
                account=account.account_id,
                arms=account.arm_kind,
                remedy="send values, or count conversions",
            )
            continue
        priors = read_channel_priors(warehouse, account, "revenue" if reward == "value" else "new_customers", unit)
        try:
            rows += account_rows(account, priors, unit, run_date)
        except ValueError as error:
            log.warning("nothing to learn from", account=account.account_id, arms=account.arm_kind, why=str(error))
    rewards = fill_rewards(warehouse, run_date, window_days)
    if not rows:
        raise NothingToDo(
            f"no arm spent in the {window_days} days before {run_date} with rewards that can be seen; run ingest-ads"
        )
    new = warehouse.insert_new("models.bandit_posteriors", posterior_frame(rows, utc_now()))
    return {"arms": len(rows) // 3, "new_rows": new, "rewards": rewards}


@click.command("fit-bandits")
@click.option("--window-days", default=90, show_default=True, type=click.IntRange(31, 365), help="Click days to learn from.")
@run_date_option
def command(window_days: int, run_date: date) -> None:
    """Estimate the rewards per spend of every ad, keyword and audience, with what is still to come, few data borrowing.

    Old days weigh less where arms drift. Each kind of arm splits the same spend anew and is fitted by itself.
    Rewards are conversions, or their value if the policy says `bandit_reward: value`; never clicks. Also writes the rewards of
    earlier decisions whose click day has become mature, once. Changes nothing at a platform.

    \b
    aelp2 fit-bandits --run-date 2026-03-02

    Run estimate-maturity before, or only days older than 29 count. Exit code 99: no arm has spent anything.
    """
    from tasks.core import xcom
    from tasks.core.policy import load_policy
    from tasks.core.settings import load_settings
    from tasks.core.warehouse import open_warehouse

    settings = load_settings()
    found = fit_all(open_warehouse(settings), run_date, window_days, load_policy(settings).bandit_reward)
    click.echo(f"{found['arms']:,} arms, {found['new_rows']:,} new rows of posteriors, {found['rewards']:,} new rewards")
    xcom.push(found)
