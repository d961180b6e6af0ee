from collections.abc import Callable
from dataclasses import replace
from datetime import date, timedelta

import numpy as np
import polars as pl
import pytest
from numpy.typing import NDArray

from tasks.core.errors import JobError
from tasks.measure.mmm_data import MmmInput, assemble, check, enough_data, with_unmodelled

Change = Callable[[MmmInput], MmmInput]


def _with(field: str, change: Callable[[NDArray[np.float64]], None]) -> Change:
    def apply(data: MmmInput) -> MmmInput:
        values = getattr(data, field).copy()
        change(values)
        return replace(data, **{field: values})

    return apply


def _set(where: object, value: float) -> Callable[[NDArray[np.float64]], None]:
    def change(values: NDArray[np.float64]) -> None:
        values[where] = value  # type: ignore[index]

    return change


def _without_week(data: MmmInput) -> MmmInput:
    keep = [i for i in range(len(data.periods)) if i != 10]
    return replace(
        data,
        periods=tuple(data.periods[i] for i in keep),
        spend=data.spend[keep],
        outcome=data.outcome[keep],
        controls=data.controls[keep],
    )


CASES = {
    "gap": (_without_week, "2024-03-04 is followed by 2024-03-18"),
    "short": (lambda data: data.first(20), "20 complete periods .* at least 26"),
    "zero channel": (_with("spend", _set((slice(None), 0, 1), 0.0)), "channel_1 has no spend.*--drop-channel channel_1"),
    "constant channel": (_with("spend", _set((slice(None), 0, 0), 40.0)), "channel_0 spends 40 in every period"),
    "rare channel": (_with("spend", _set((slice(5, None), 0, 0), 0.0)), "channel_0 has spend in [1-5] periods"),
    "spend NaN": (_with("spend", _set((4, 0, 1), np.nan)), "spend is missing .* channel_1, period 2024-01-29"),
    "negative spend": (_with("spend", _set((7, 0, 0), -5.0)), r"negative \(-5\) for channel_0, period 2024-02-19"),
    "outcome NaN": (_with("outcome", _set((3, 0), np.nan)), "new_customers is missing for period 2024-01-22"),
    "negative outcome": (_with("outcome", _set((3, 0), -1.0)), r"negative \(-1\) for period 2024-01-22"),
    "constant outcome": (_with("outcome", _set((slice(None), 0), 9.0)), "is 9 in every period"),
    "control NaN": (_with("controls", _set((0, 0, 0), np.nan)), "control is missing .* control_0"),
    "constant control": (_with("controls", _set((slice(None), 0, 0), 1.0)), "--drop-control control_0"),
}


@pytest.mark.parametrize("case", CASES)
def test_input_no_model_should_see_is_refused_by_name(simulated: MmmInput, case: str) -> None:
    """Each kind of bad input stops with an error that names the thing and the place."""
    change, message = CASES[case]
    with pytest.raises(JobError, match=message):
        check(change(simulated))


def test_good_input_passes_unchanged(simulated: MmmInput) -> None:
    """A sound input is handed on as it is."""
    assert check(simulated) is simulated


def test_the_hash_follows_the_data(simulated: MmmInput) -> None:
    """Equal data have equal hashes; one changed value, name or date changes it."""
    same = replace(simulated, spend=simulated.spend.copy())
    assert same.sha256 == simulated.sha256
    others = [
        _with("spend", _set((0, 0, 0), 1.5))(simulated),
        replace(simulated, channels=("channel_0", "other")),
        simulated.first(59),
        replace(simulated, target="revenue"),
    ]
    assert len({simulated.sha256, *(other.sha256 for other in others)}) == 5


def _frames(weeks: int = 30) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    days = [date(2024, 1, 1) + timedelta(weeks=w) for w in range(weeks)]
    media = pl.DataFrame(
        [
            {"period_start_date": day, "period_days": 7, "geo": "national", "channel": channel, "currency_code": "EUR",
             "spend_micros": (w % 5 + 1) * 1_000_000, "days_seen": 7}
            for w, day in enumerate(days) for channel in ("tv", "search")
        ]
    )  # fmt: skip
    outcome = pl.DataFrame(
        [
            {"period_start_date": day, "period_days": 7, "geo": "national", "currency_code": "EUR", "new_customers": 10.0 + w,
             "revenue_micros": (10 + w) * 2_000_000, "days_seen": 7}
            for w, day in enumerate(days)
        ]
    )  # fmt: skip
    controls = pl.DataFrame(
        [
            {"period_start_date": day, "period_days": 7, "geo": "national", "control": "price", "value": float(w)}
            for w, day in enumerate(days)
        ]
    )
    return media, outcome, controls


def test_query_results_become_arrays_in_currency_units() -> None:
    """Spend and revenue are in currency units, channels sorted, periods in order."""
    data = assemble("crm", "revenue", *_frames())
    assert (data.channels, len(data.periods), data.currency_code) == (("search", "tv"), 30, "EUR")
    assert data.spend[1, 0].tolist() == [2.0, 2.0]
    assert data.outcome[1, 0] == 22.0


def test_a_broken_week_at_the_edge_is_left_out_and_inside_is_an_error() -> None:
    """Partial weeks shrink the window at its ends only."""
    media, outcome, controls = _frames()
    first = pl.col("period_start_date") == date(2024, 1, 1)
    data = assemble("crm", "revenue", media.with_columns(days_seen=pl.when(first).then(3).otherwise(7)), outcome, controls)
    assert data.periods[0] == date(2024, 1, 8)
    inside = pl.col("period_start_date") == date(2024, 2, 5)
    with pytest.raises(JobError, match=r"period 2024-02-05 .* no complete outcome"):
        assemble("crm", "revenue", media, outcome.with_columns(days_seen=pl.when(inside).then(6).otherwise(7)), controls)


def test_mixed_currencies_are_refused_not_added() -> None:
    """Euro and dollar are never summed."""
    media, outcome, controls = _frames()
    with pytest.raises(JobError, match="mixes currencies EUR, USD"):
        assemble("crm", "revenue", media, outcome.with_columns(currency_code=pl.lit("USD")), controls)


def test_a_missing_control_value_is_an_error() -> None:
    """A control is not filled with zero where nobody measured it."""
    media, outcome, controls = _frames()
    with pytest.raises(JobError, match=r"control is missing .* price, period 2024-01-15"):
        assemble("crm", "revenue", media, outcome, controls.filter(pl.col("period_start_date") != date(2024, 1, 15)))


def test_only_a_channel_that_exists_can_be_dropped() -> None:
    """A dropped channel is gone; a misspelt one is an error."""
    assert assemble("crm", "revenue", *_frames(), drop_channels=("tv",)).channels == ("search",)
    with pytest.raises(JobError, match="--drop-channel radio"):
        assemble("crm", "revenue", *_frames(), drop_channels=("radio",))


def test_spend_of_channels_that_are_not_in_the_model_is_kept() -> None:
    """By period, whether a channel was dropped by name or had too little data; first() cuts it as it cuts the rest."""
    media, outcome, controls = _frames()
    data = with_unmodelled(assemble("crm", "revenue", media, outcome, controls, drop_channels=("tv",)), media)
    assert data.unmodelled_spend == tuple(float(week % 5 + 1) for week in range(30))
    assert data.blended_spend(5) == pytest.approx(2 * (1 + 2 + 3 + 4 + 5))
    assert data.first(3).unmodelled_spend == (1.0, 2.0, 3.0)
    assert set(with_unmodelled(assemble("crm", "revenue", media, outcome, controls), media).unmodelled_spend) == {0.0}


_WAVE = 100 + 20 * np.sin(np.arange(60.0))


@pytest.mark.parametrize(
    ("spend", "lacks"),
    [
        (_WAVE, None),
        (np.where(np.arange(60) < 26, _WAVE, 0), None),  # half a year, then silence
        (np.where(np.arange(60) < 25, _WAVE, 0), "has spend in 25 of 60 periods, 26 are needed"),
        (np.where(np.arange(60) < 5, _WAVE, 0), "has spend in 5 periods, 8 are needed for a curve"),
        (0 * _WAVE, "has no spend in the window"),
        (100 + 2 * np.sin(np.arange(60.0)), "varies by 1.4% around its mean, 5% are needed"),
        (_WAVE / 10, None),  # 60 of some 6,060 a period
        (_WAVE / 100, "has 0.17% of all spend, 1% are needed"),
    ],
)
def test_a_channel_enters_once_its_data_suffice(spend: NDArray[np.float64], lacks: str | None) -> None:
    """The rule: spend in 26 periods, 5 % variation, 1 % of all spend; its reasons say what is there and what is asked."""
    others = np.full(60, 600.0)
    assert enough_data(spend, spend + others) == lacks
