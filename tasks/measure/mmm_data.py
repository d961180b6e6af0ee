"""The input of the marketing-mix model as plain arrays, and the checks that refuse input no model should see."""

from __future__ import annotations

import hashlib
from dataclasses import astuple, dataclass, replace
from datetime import date, timedelta
from functools import cached_property

import numpy as np
import polars as pl
from numpy.typing import NDArray

from tasks.core.errors import JobError
from tasks.core.segments import UNSPLIT, Split

Floats = NDArray[np.float64]

MIN_PERIODS = 26  # half a year: below that a yearly season and carry-over cannot be told from noise
MIN_ACTIVE_PERIODS = 8  # periods with spend a channel needs before its curve means anything
# What a channel of the platforms needs before it enters by itself (enough_data; docs/decisions/0016-currencies.md).
ENOUGH_ACTIVE_PERIODS = 26  # half a year: less cannot be told from the season it fell into
ENOUGH_VARIATION = 0.05  # coefficient of variation of its spend: flatter than that it is part of the baseline
ENOUGH_SHARE = 0.01  # of all spend: below it, what it brings is lost in the noise of the outcome
_MICROS = 1_000_000


@dataclass(frozen=True)
class LiftTest:
    """A causal experiment that calibrates the model: ``delta_y`` ± ``sigma`` is what ``delta_x`` more spend than ``x`` brings.

    All four are national and per period of the model: spend in currency units, outcome in units of the target. ``design`` is
    how it was randomised; ``start`` and ``end`` are its first and last day.
    """

    experiment_id: str
    channel: str
    design: str
    x: float
    delta_x: float
    delta_y: float
    sigma: float
    start: date
    end: date


@dataclass(frozen=True)
class MmmInput:
    """T periods × G geos of spend for C channels, outcome and K controls.

    ``spend`` (T, G, C) in currency units per period; ``outcome`` (T, G) in customers or currency units; ``controls`` (T, G, K).
    Geos and channels are sorted; ``geos == ("national",)`` for a model without regions. ``lift_tests`` calibrate the curves;
    ``split`` says which channels are parts of one, ``left_out`` which channels the data do not suffice for, and why.
    ``unmodelled_spend`` (T) is what all channels spent that are not among ``channels``, for whatever reason.
    """

    source: str
    target: str
    currency_code: str
    period_days: int
    periods: tuple[date, ...]
    geos: tuple[str, ...]
    channels: tuple[str, ...]
    spend: Floats
    outcome: Floats
    control_names: tuple[str, ...]
    controls: Floats
    lift_tests: tuple[LiftTest, ...] = ()
    split: Split = UNSPLIT
    left_out: tuple[str, ...] = ()
    unmodelled_spend: tuple[float, ...] = ()

    @cached_property
    def sha256(self) -> str:
        """SHA-256 over names, dates, values (rounded to 1e-9) and lift tests, independent of the order rows came in."""
        digest = hashlib.sha256()
        head = (self.source, self.target, self.currency_code, self.period_days, self.geos, self.channels, self.control_names)
        digest.update(repr(head).encode())
        digest.update(",".join(day.isoformat() for day in self.periods).encode())
        for values in (self.spend, self.outcome, self.controls):
            digest.update(np.ascontiguousarray(np.round(values, 9)).tobytes())
        for test in sorted(map(astuple, self.lift_tests)):
            digest.update(repr(test).encode())
        if self.split.channels:
            digest.update(repr(self.split).encode())
        if any(self.unmodelled_spend):  # part of the blended cost that the run is held against
            digest.update(repr([round(value, 9) for value in self.unmodelled_spend]).encode())
        return digest.hexdigest()

    def first(self, periods: int) -> MmmInput:
        """The first ``periods`` periods only."""
        return replace(
            self,
            periods=self.periods[:periods],
            spend=self.spend[:periods],
            outcome=self.outcome[:periods],
            controls=self.controls[:periods],
            unmodelled_spend=self.unmodelled_spend[:periods],
        )

    @property
    def window_end(self) -> date:
        """Last day of the fitted data."""
        return self.periods[-1] + timedelta(days=self.period_days - 1)

    @property
    def geo_shares(self) -> Floats:
        """(G, C) share of each channel's spend per geo over the whole window: how the curves split national spend."""
        spend = self.spend.sum(axis=0)
        shares: Floats = spend / spend.sum(axis=0)
        return shares

    def recent_spend(self, periods: int = 8) -> Floats:
        """(C,) mean national spend per period over the last ``periods`` periods."""
        recent: Floats = self.spend[-periods:].sum(axis=1).mean(axis=0)
        return recent

    def blended_spend(self, periods: int) -> float:
        """Spend of the last ``periods`` periods of all channels, of those not in the model too: customers came from all."""
        return float(self.spend[-periods:].sum()) + sum(self.unmodelled_spend[-periods:])


def _where(mask: NDArray[np.bool_], data: MmmInput, names: tuple[str, ...] | None) -> str:
    index = np.argwhere(mask)[0]
    place = f"period {data.periods[index[0]]}, geo {data.geos[index[1]]}"
    return f"{names[index[2]]}, {place}" if names else place


def check(data: MmmInput) -> MmmInput:
    """``data`` unchanged if a model may see it; else JobError naming the thing, the value and the remedy."""
    _check_periods(data)
    for label, values, names in (("spend", data.spend, data.channels), ("control", data.controls, data.control_names)):
        if not np.isfinite(values).all():
            raise JobError(f"{label} is missing or not a number for {_where(~np.isfinite(values), data, names)}; fill or drop it")
    if not np.isfinite(data.outcome).all():
        raise JobError(
            f"outcome {data.target} is missing for {_where(~np.isfinite(data.outcome), data, None)}; "
            "load the outcomes of that period"
        )
    if (data.spend < 0).any():
        value = data.spend.min()
        raise JobError(f"spend is negative ({value:g}) for {_where(data.spend < 0, data, data.channels)}; correct the source")
    if (data.outcome < 0).any():
        raise JobError(f"outcome {data.target} is negative ({data.outcome.min():g}) for {_where(data.outcome < 0, data, None)}")
    if np.ptp(data.outcome.sum(axis=1)) == 0:
        raise JobError(
            f"outcome {data.target} is {data.outcome.sum(axis=1)[0]:g} in every period; nothing can be learned from it"
        )
    if (data.outcome.max(axis=0) == 0).any():
        geo = data.geos[int(np.argmin(data.outcome.max(axis=0)))]
        raise JobError(f"outcome {data.target} of geo {geo} is zero in every period; drop that geo from the import")
    if not data.channels:
        raise JobError(f"source {data.source} has no media channel in the window; load spend first")
    _check_channels(data)
    for k, name in enumerate(data.control_names):
        if np.ptp(data.controls[..., k]) == 0:
            raise JobError(f"control {name} is {data.controls[0, 0, k]:g} in every period; drop it with --drop-control {name}")
    return data


def _check_periods(data: MmmInput) -> None:
    if len(data.periods) < MIN_PERIODS:
        raise JobError(
            f"{len(data.periods)} complete periods of source {data.source} in the window; a marketing-mix model needs at least "
            f"{MIN_PERIODS}. Load a longer history"
        )
    step = timedelta(days=data.period_days)
    for before, after in zip(data.periods, data.periods[1:], strict=False):
        if after - before != step:
            raise JobError(
                f"gap in the periods of source {data.source}: {before} is followed by {after}, expected {before + step}; "
                "load the missing periods"
            )


def thin(spend: Floats) -> str | None:
    """What is wrong with the (T,) national spend of a channel that no curve could be learned from; None if nothing is."""
    if spend.max(initial=0) == 0:
        return "has no spend in the window"
    if np.ptp(spend) <= 1e-6 * spend.max():
        return f"spends {spend[0]:g} in every period; its effect cannot be told from the baseline"
    active = int((spend > 0).sum())
    if active < MIN_ACTIVE_PERIODS:
        return f"has spend in {active} periods, {MIN_ACTIVE_PERIODS} are needed for a curve"
    return None


def enough_data(spend: Floats, total: Floats) -> str | None:
    """The rule by which a channel of the platforms enters the model: None, or what its (T,) national spend lacks.

    ``total`` (T,) is the spend of all channels. On top of :func:`thin`: spend in half a year of weeks, some variation of it,
    and a share of all spend that an outcome could show.
    """
    if why := thin(spend):
        return why
    if (active := int((spend > 0).sum())) < ENOUGH_ACTIVE_PERIODS:
        return f"has spend in {active} of {len(spend)} periods, {ENOUGH_ACTIVE_PERIODS} are needed"
    if (variation := float(spend.std() / spend.mean())) < ENOUGH_VARIATION:
        return f"varies by {variation:.1%} around its mean, {ENOUGH_VARIATION:.0%} are needed"
    if (share := float(spend.sum() / total.sum())) < ENOUGH_SHARE:
        return f"has {share:.2%} of all spend, {ENOUGH_SHARE:.0%} are needed"
    return None


def not_enough(source: str, media: pl.DataFrame, outcome: pl.DataFrame, drop_channels: tuple[str, ...]) -> dict[str, str]:
    """Channel → why :func:`enough_data` keeps it out of a model of ``media`` and ``outcome``, over the periods of the model.

    Channels that a person drops are not judged. Nothing is judged where :func:`assemble` will refuse the whole input.
    """
    kept = media.filter(~pl.col("channel").is_in(list(drop_channels)))
    if kept.is_empty() or outcome.is_empty() or kept["period_days"].n_unique() != 1:
        return {}
    periods = _complete_periods(source, media, outcome, kept["period_days"][0])
    spent = kept.filter(pl.col("period_start_date").is_in(list(periods))).group_by("channel", "period_start_date")
    at = {day: t for t, day in enumerate(periods)}
    series: dict[str, Floats] = {channel: np.zeros(len(periods)) for channel in sorted(kept["channel"].unique())}
    for channel, day, micros in spent.agg(pl.col("spend_micros").sum()).iter_rows():
        series[channel][at[day]] = micros / _MICROS
    total: Floats = np.sum(list(series.values()), axis=0)
    judged = {channel: enough_data(values, total) for channel, values in series.items()}
    return {channel: why for channel, why in judged.items() if why is not None}


def with_unmodelled(data: MmmInput, media: pl.DataFrame) -> MmmInput:
    """``data`` with the spend of ``media`` (all channels of its source, before any was left out) that is not in it."""
    spent = dict(media.group_by("period_start_date").agg(pl.col("spend_micros").sum()).iter_rows())
    modelled = data.spend.sum(axis=(1, 2))
    rest = [spent.get(day, 0) / _MICROS - float(own) for day, own in zip(data.periods, modelled, strict=True)]
    return replace(data, unmodelled_spend=tuple(round(max(value, 0.0), 6) for value in rest))


def _check_channels(data: MmmInput) -> None:
    national = data.spend.sum(axis=1)
    for c, channel in enumerate(data.channels):
        if why := thin(national[:, c]):
            raise JobError(f"channel {channel} {why}; leave it out with --drop-channel {channel}")


def _pivot(
    frame: pl.DataFrame, value: str, key: str, axes: tuple[tuple[date, ...], tuple[str, ...], tuple[str, ...]], fill: float
) -> Floats:
    periods, geos, names = axes
    values = np.full((len(periods), len(geos), len(names)), fill)
    at = [{item: i for i, item in enumerate(axis)} for axis in axes]
    for day, geo, name, number in frame.select("period_start_date", "geo", key, value).iter_rows():
        if day in at[0] and geo in at[1] and name in at[2]:
            values[at[0][day], at[1][geo], at[2][name]] = np.nan if number is None else number
    return values


def assemble(
    source: str, target: str, media: pl.DataFrame, outcome: pl.DataFrame, controls: pl.DataFrame,
    *, drop_channels: tuple[str, ...] = (), drop_controls: tuple[str, ...] = (),
) -> MmmInput:  # fmt: skip
    """The three query results (``models/mmm_media_weekly`` etc.) as a checked :class:`MmmInput`.

    Incomplete periods at either end are left out; an incomplete one inside is an error. No spend row means no spend; a missing
    outcome or control value is an error. Controls constant over the window are an error as well (drop them by name).
    """
    if media.is_empty():
        raise JobError(f"source {source} has no spend in the window; run ingest-ads or import-csv first")
    if outcome.is_empty():
        raise JobError(f"source {source} has no outcome {target} in the window; run ingest-outcomes or import-csv first")
    for name in drop_channels:
        if name not in media["channel"]:
            raise JobError(
                f"--drop-channel {name}: no such channel; source {source} has {', '.join(sorted(media['channel'].unique()))}"
            )
    currencies = sorted(set(media["currency_code"].unique()) | set(outcome["currency_code"].unique()))
    if len(currencies) != 1:
        raise JobError(f"source {source} mixes currencies {', '.join(currencies)}; convert to one before fitting")
    lengths = sorted(set(media["period_days"].unique()) | set(outcome["period_days"].unique()))
    if len(lengths) != 1:
        raise JobError(f"source {source} mixes periods of {lengths} days; bring spend and outcome in the same period")
    geos = tuple(sorted(outcome["geo"].unique()))
    if strange := sorted(set(media["geo"].unique()) - set(geos)):
        raise JobError(
            f"spend has geo {', '.join(strange)} but the outcome of source {source} has {', '.join(geos)}; use the same regions"
        )
    periods = _complete_periods(source, media, outcome, lengths[0])
    channels = tuple(sorted(set(media["channel"].unique()) - set(drop_channels)))
    names = tuple(sorted(set(controls["control"].unique()) - set(drop_controls)))
    spend = _pivot(media, "spend_micros", "channel", (periods, geos, channels), 0.0) / _MICROS
    value = "new_customers" if target == "new_customers" else "revenue_micros"
    result = _pivot(outcome.with_columns(only=pl.lit("y")), value, "only", (periods, geos, ("y",)), np.nan)[..., 0]
    if target == "revenue":
        result = result / _MICROS
    values = _pivot(controls, "value", "control", (periods, geos, names), np.nan)
    if "national" in controls["geo"] and geos != ("national",):
        national = _pivot(
            controls.filter(pl.col("geo") == "national"), "value", "control", (periods, ("national",), names), np.nan
        )
        values = np.where(np.isnan(values), national, values)
    return check(MmmInput(source, target, currencies[0], lengths[0], periods, geos, channels, spend, result, names, values))


def _complete_periods(source: str, media: pl.DataFrame, outcome: pl.DataFrame, days: int) -> tuple[date, ...]:
    def complete(frame: pl.DataFrame) -> dict[date, bool]:
        seen = frame.group_by("period_start_date").agg(pl.col("days_seen").max())
        return dict(zip(seen["period_start_date"], (seen["days_seen"] >= days).to_list(), strict=True))

    spend, sales = complete(media), complete(outcome)
    both = sorted(day for day in set(spend) & set(sales) if spend[day] and sales[day])
    if not both:
        raise JobError(f"spend and outcome of source {source} share no complete period")
    for day in sorted(set(spend) | set(sales)):
        if both[0] < day < both[-1] and day not in both:
            missing = "spend" if not spend.get(day) else "outcome"
            raise JobError(f"period {day} of source {source} has no complete {missing}; load the missing days, then fit again")
    return tuple(both)
