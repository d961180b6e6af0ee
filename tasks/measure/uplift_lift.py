"""A randomised lift in the units of the MMM. What nobody randomised is refused here, whatever it says of itself elsewhere.

The MMM's curve of a channel says what a period's spend brings. A holdout says what the spend on its treatment arm brought.
Both arms are scaled to the whole audience of the channel: if all were held out the channel would spend
``x = control spend / control units · N`` a period, if all were treated ``x + delta_x``, and ``delta_y`` is the effect on a unit
times N, with N the units over the share of the audience that the experiment covers.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date, timedelta

import numpy as np

from tasks.core.errors import Refused
from tasks.core.money import MICROS
from tasks.measure.uplift_core import robust_effect, robust_scores
from tasks.measure.uplift_data import Units
from tasks.measure.uplift_inputs import Experiment
from tasks.measure.uplift_learners import Scale

PERIOD_DAYS = 7


@dataclass(frozen=True)
class Lift:
    """One lift test: spend in whole currency units a period, outcome in new customers a period, first and last day of spend."""

    channel: str
    x: float
    delta_x: float
    delta_y: float
    sigma: float
    currency_code: str
    start: date
    end: date
    problem: str | None


def lift_of(units: Units, is_customer: np.ndarray, experiment: Experiment, seed: int) -> Lift | None:
    """The lift of ``experiment`` in new customers; None while the spend of its arms is not known. Refused if not randomised."""
    if units.kind != "causal" or not experiment.is_randomised:
        raise Refused(
            f"experiment {experiment.experiment_id} was not randomised: what was only observed never calibrates the MMM"
        )
    spend = experiment.treatment_spend_micros, experiment.control_spend_micros
    if experiment.channel is None or experiment.currency_code is None or spend[0] is None or spend[1] is None:
        return None
    if not experiment.spend_days or not experiment.coverage_ratio:
        return None
    fresh = replace(
        units, outcome=np.where(is_customer, 0.0, units.outcome), features=Scale.of(units.features).apply(units.features)
    )
    effect = robust_effect(fresh, robust_scores(fresh, seed).score)
    if effect.mean is None or effect.error is None:
        return None
    everybody = units.size / experiment.coverage_ratio
    periods = experiment.spend_days / PERIOD_DAYS
    treated, control = (
        amount / MICROS / max((units.treated == arm).sum(), 1) * everybody / periods
        for amount, arm in zip(spend, (1, 0), strict=True)
        if amount is not None
    )
    delta_y, sigma = effect.mean * everybody / periods, effect.error * everybody / periods
    problem = None
    if treated <= control:
        problem = "the treatment arm did not cost more than the control arm, so there is no step along the curve"
    # A lift below zero stays: to leave out the unlucky half of tests of a weak channel would make it look strong.
    end = experiment.last_assigned + timedelta(days=experiment.spend_days - 1)
    step = treated - control
    return Lift(
        experiment.channel, control, step, delta_y, sigma, experiment.currency_code, experiment.first_assigned, end, problem
    )
