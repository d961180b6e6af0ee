"""The Google Ads API version this adapter speaks, and the guard that notices its end in time."""

from datetime import date

import structlog

from tasks.core.errors import JobError

API_VERSION = "v26"
WARN_DAYS = 60

# First day of the month of the projected sunset: https://developers.google.com/ads/blog/posts/2025/09/more-frequent-releases-coming-for
# Put the exact day here once the reminder for a version is published.
SUNSET_DATES = {
    "v23": date(2027, 2, 1),
    "v24": date(2027, 5, 1),
    "v25": date(2027, 8, 1),
    "v26": date(2027, 11, 1),
}

REMEDY = (
    "set API_VERSION in tasks/platforms/google_ads/version.py to a newer version that the installed google-ads package has "
    "(raise google-ads in pyproject.toml if it has none), add its date to SUNSET_DATES and run tests/platforms"
)


def check_sunset(today: date, version: str = API_VERSION) -> int | None:
    """Days until ``version`` stops working if that is within WARN_DAYS (logged), else None.

    JobError from the sunset day on, or if SUNSET_DATES does not know the version.
    """
    sunset = SUNSET_DATES.get(version)
    if sunset is None:
        raise JobError(f"API_VERSION {version!r} has no date in SUNSET_DATES; {REMEDY}")
    left = (sunset - today).days
    if left <= 0:
        raise JobError(f"Google Ads API {version} was sunset on {sunset}, today is {today}; {REMEDY}")
    if left > WARN_DAYS:
        return None
    structlog.get_logger(source=__name__).warning(
        "google ads api version near its sunset", version=version, sunset=str(sunset), days_left=left
    )
    return left
