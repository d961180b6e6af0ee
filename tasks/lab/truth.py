"""What really happens in a world. For tests and for the admin's ``/truth`` only; it never enters a product table."""

from datetime import date
from typing import Any

import numpy as np

from tasks.lab.market import Market
from tasks.lab.people import People


def truth(market: Market, first: date, last: date) -> dict[str, Any]:
    """True effects of the completed days from ``first`` to ``last``, both included.

    Returns:
        ``baseline_customers`` and ``new_customers`` summed; for each account and channel: spend (world currency), true
        incremental customers, true CAC of the incremental, marginal CAC at the mean daily spend on an average day, and the
        response curve's parameters.

    Raises:
        ValueError: no completed day lies in the window.
    """
    days = [day for index, day in enumerate(market.days) if first <= market.date_of(index) <= last]
    if not days:
        raise ValueError(f"no simulated day between {first} and {last}; history starts on {market.start}")
    layout = market.layout
    spend = np.stack([d.spend for d in days])
    incremental = np.stack([d.incremental for d in days])
    channels = []
    for index, (account, name) in enumerate(layout.channels):
        mean_spend = float(spend[:, index].mean())
        customers = float(incremental[:, index].sum())
        channels.append(
            {
                "account_id": account,
                "channel": name,
                "spend": float(spend[:, index].sum()),
                "incremental_customers": customers,
                "cac": float(spend[:, index].sum()) / customers if customers else None,
                "marginal_cac": marginal_cac(market, index, mean_spend),
                "roas": customers * market.world.revenue.per_customer / max(float(spend[:, index].sum()), 1e-9),
                "ceiling_customers": float(layout.ceiling[index]),
                "scale_spend": float(layout.scale[index]),
                "carry_over": float(layout.carry_over[index]),
            }
        )
    return {
        "first": first.isoformat(),
        "last": last.isoformat(),
        "days": len(days),
        "currency": market.world.currency,
        "new_customers": sum(d.new_customers for d in days),
        "baseline_customers": sum(d.baseline for d in days),
        "channels": channels,
    }


def experiment_truth(people: People, last: date) -> dict[str, Any]:
    """True effect of the world's experiment by segment, over the units assigned up to ``last``: share that buys because of it.

    Raises:
        ValueError: the world has no experiment, or it has not begun.
    """
    trial, day = people.trial, (last - people.market.start).days
    if trial is None or day < trial.first:
        raise ValueError(f"the world {people.market.world.id} has no experiment that began by {last}")
    return trial.truth(day)


def steady_customers(market: Market, channel: int, daily_spend: float) -> float:
    """Incremental new customers a day of a channel held at ``daily_spend`` (world currency) on an average day."""
    adstock = np.zeros(market.layout.n_channels)
    adstock[channel] = daily_spend
    return float(market.expected_incremental(adstock)[channel])


def marginal_cac(market: Market, channel: int, daily_spend: float) -> float:
    """Spend that the next customer costs at ``daily_spend``: the inverse of the curve's slope."""
    layout = market.layout
    slope = layout.ceiling[channel] / layout.scale[channel] * np.exp(-daily_spend / layout.scale[channel])
    return float(1.0 / slope)
