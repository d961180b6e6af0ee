"""The sunset of the API version is noticed 60 days before and stops the adapter on the day."""

from datetime import date

import pytest
from structlog.testing import capture_logs

from tasks.core.errors import JobError
from tasks.platforms.google_ads.version import API_VERSION, SUNSET_DATES, check_sunset


def test_the_version_in_use_is_one_the_package_has() -> None:
    """google-ads ships the version and knows no newer one without a date in the table."""
    from google.ads.googleads.client import _VALID_API_VERSIONS

    assert API_VERSION in _VALID_API_VERSIONS
    assert set(_VALID_API_VERSIONS) <= set(SUNSET_DATES)


@pytest.mark.parametrize(("today", "left"), [(date(2027, 9, 1), None), (date(2027, 9, 2), 60), (date(2027, 10, 31), 1)])
def test_a_warning_comes_60_days_before(today: date, left: int | None) -> None:
    """61 days before: silence; 60 days before and later: a warning with the days left."""
    with capture_logs() as logs:
        assert check_sunset(today, "v26") == left
    assert [entry["days_left"] for entry in logs] == ([] if left is None else [left])


@pytest.mark.parametrize("today", [date(2027, 11, 1), date(2028, 1, 1)])
def test_a_sunset_version_is_refused_with_the_remedy(today: date) -> None:
    """From the day itself on; the message names constant, file and steps."""
    with pytest.raises(JobError, match=r"v26 was sunset on 2027-11-01.*set API_VERSION in tasks/platforms/google_ads/version"):
        check_sunset(today, "v26")


def test_a_version_without_a_date_is_refused() -> None:
    """Nobody may raise the version and forget its end."""
    with pytest.raises(JobError, match="'v99' has no date in SUNSET_DATES"):
        check_sunset(date(2026, 1, 1), "v99")
