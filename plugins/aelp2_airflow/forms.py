"""Fields of the forms of DAGs that are triggered by hand. Never a secret: everybody who sees a run sees its form."""

from airflow.sdk import Param

PLATFORMS = ("google_ads", "meta", "linkedin", "tiktok", "reddit", "x")
_ACCOUNT = "^[0-9A-Za-z_,\\- ]*$"


def platform(*, or_all: bool = False) -> Param:
    """One of the ad platforms; with ``or_all`` it may be left empty."""
    said = (
        "Empty: every platform with stored credentials."
        if or_all
        else "Its credentials must have been stored with `aelp2 onboard`."
    )
    if or_all:
        return Param(None, type=["null", "string"], enum=[None, *PLATFORMS], title="Platform", description=said)
    return Param(PLATFORMS[0], type="string", enum=list(PLATFORMS), title="Platform", description=said)


def accounts() -> Param:
    """Account ids, separated by commas, or nothing."""
    said = "Ids separated by commas. Empty: every enabled account that the credentials reach."
    return Param(None, type=["null", "string"], pattern=_ACCOUNT, title="Accounts", description=said)


def account() -> Param:
    """One account id, or nothing."""
    said = "Id of the ad account; the history may be loaded of all of them, then leave it empty."
    return Param(None, type=["null", "string"], pattern="^[0-9A-Za-z_-]*$", title="Account", description=said)


def start_date(default: str) -> Param:
    """A day of the past."""
    return Param(
        default, type="string", format="date", title="First day", description="Days from this one to yesterday are loaded again."
    )


def landing_url() -> Param:
    """Where an ad leads."""
    said = "Page that the skeleton's ad leads to; UTM parameters are added."
    return Param(
        "https://www.example.com/", type="string", pattern="^https?://[^\\s\"'{}]+$", title="Landing page", description=said
    )


def label(default: str) -> Param:
    """What a skeleton is for."""
    said = "What the skeleton is for: one is made for each label, however often this is run."
    return Param(default, type="string", pattern="^[0-9A-Za-z][0-9A-Za-z-]{0,39}$", title="Label", description=said)


def budget(default: int) -> Param:
    """A daily budget in whole units of the account's currency."""
    said = "Daily budget of the paused campaign, in the account's currency."
    return Param(default, type="integer", minimum=1, maximum=10_000, title="Daily budget", description=said)


def days(default: int, title: str, description: str) -> Param:
    """A number of days."""
    return Param(default, type="integer", minimum=0, maximum=3660, title=title, description=description)


def yes_or_no(title: str, description: str) -> Param:
    """A switch that is off."""
    return Param(False, type="boolean", title=title, description=description)
