"""Fields of the forms of DAGs that are triggered by hand. Never a secret: everybody who sees a run sees its form."""

from airflow.sdk import Param

PLATFORMS = ("google_ads", "meta", "linkedin", "tiktok", "reddit", "x")
_ACCOUNT = "^[0-9A-Za-z_,\\- ]*$"


def platform(*, or_all: bool = False) -> Param:
    """One of the ad platforms; with ``or_all`` it may be left empty."""
    names = ["", *PLATFORMS] if or_all else list(PLATFORMS)
    said = (
        "Empty: every platform with stored credentials."
        if or_all
        else "Its credentials must have been stored with `aelp2 onboard`."
    )
    return Param(names[0], type="string", enum=names, title="Platform", description=said)


def accounts() -> Param:
    """Account ids, separated by commas, or nothing."""
    said = "Ids separated by commas. Empty: every enabled account that the credentials reach."
    return Param("", type="string", pattern=_ACCOUNT, title="Accounts", description=said)


def account() -> Param:
    """One account id."""
    return Param("", type="string", pattern="^[0-9A-Za-z_-]*$", title="Account", description="Id of the ad account.")


def start_date(default: str) -> Param:
    """A day of the past."""
    return Param(
        default, type="string", format="date", title="First day", description="Days from this one to yesterday are loaded again."
    )


def text(default: str, title: str, description: str, pattern: str) -> Param:
    """A line of text."""
    return Param(default, type="string", title=title, description=description, pattern=pattern)


def whole_number(default: int, title: str, description: str, least: int, most: int) -> Param:
    """A whole number."""
    return Param(default, type="integer", title=title, description=description, minimum=least, maximum=most)


def yes_or_no(title: str, description: str) -> Param:
    """A switch that is off."""
    return Param(False, type="boolean", title=title, description=description)
