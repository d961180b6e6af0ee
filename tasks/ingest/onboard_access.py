"""What credentials are good for, asked at the platform: none, wrong, expired, under-privileged or right."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from tasks.core.clock import utc_now
from tasks.core.errors import JobError
from tasks.core.log import redact
from tasks.core.redaction import load_salt
from tasks.ingest.onboard_fields import parse, scrub
from tasks.ingest.onboard_store import SecretManager
from tasks.platforms import adapter_of, has_credentials, open_platform
from tasks.platforms.calls import CallError, Kind
from tasks.platforms.credentials import credentials_file

if TYPE_CHECKING:
    from tasks.core.settings import Settings
    from tasks.platforms.base import Access

SOON = timedelta(days=14)


class Standing(StrEnum):
    """What credentials are."""

    NONE = "none"
    WRONG = "wrong"
    EXPIRED = "expired"
    LIMITED = "lacking rights"
    RIGHT = "right"


_KINDS = {Kind.SIGN_IN: Standing.WRONG, Kind.EXPIRED: Standing.EXPIRED, Kind.PERMISSION: Standing.LIMITED}
_REMEDIES = {
    Standing.NONE: "run `aelp2 onboard {platform}` with the fields that its help page names",
    Standing.WRONG: "copy them again from the platform's app page, each into its own field",
    Standing.EXPIRED: "they were right once: make a new token on the platform's page",
    Standing.LIMITED: "give the app or its user what is missing on the platform's page, then make a new token",
}


@dataclass(frozen=True)
class Verdict:
    """How credentials stand; ``why`` is the platform's word for it, ``access`` what they reach where it let them in."""

    platform: str
    standing: Standing
    why: str = ""
    access: Access | None = None

    @property
    def remedy(self) -> str:
        """What a person does about it; empty if nothing."""
        return _REMEDIES.get(self.standing, "").format(platform=self.platform)

    def lines(self) -> Iterator[str]:
        """For a person: the accounts reached, the scopes granted and missing, when they run out."""
        if self.access is None:
            return
        for account in self.access.accounts:
            yield f"account {account.account_id}: {account.currency_code}, {account.timezone}, {account.status}"
        yield f"scopes granted: {', '.join(self.access.granted) or 'the platform names none'}"
        yield f"scopes missing: {', '.join(self.access.missing) or 'none'}"
        if (end := self.access.expires_at) is not None:
            soon = " — make new ones in time" if end - utc_now() < SOON else ""
            yield f"good until {end:%Y-%m-%d %H:%M} UTC{soon}"

    def require(self) -> None:
        """JobError with the remedy unless they are right."""
        if self.standing is Standing.NONE:
            raise JobError(f"{self.why}; {self.remedy}" if "onboard" not in self.why else self.why)
        if self.standing is not Standing.RIGHT:
            said = f": {self.why}" if self.why else ""
            raise JobError(f"the credentials of {self.platform} are {self.standing}{said}. {self.remedy}")


def check(platform: str, settings: Settings, values: Mapping[str, str] | None = None) -> Verdict:
    """How the credentials of ``settings`` stand. TryAgain if the platform cannot be asked now.

    ``values`` are what they hold: nothing of them is in what is returned or raised.
    """
    fields = adapter_of(platform).credential_fields
    try:
        access = open_platform(platform, settings).check_access()
    except CallError as error:
        standing = _KINDS.get(error.failure.kind)
        if standing is None:
            raise type(error)(scrub(str(error), values or {}, fields), error.failure) from None
        return Verdict(platform, standing, redact(scrub(str(error), values or {}, fields)))
    except JobError as error:
        if error.exit_code != 1:
            raise
        # Before any call: there is no file, or the client cannot make anything of what it holds.
        standing = Standing.WRONG if values or has_credentials(settings, platform) else Standing.NONE
        return Verdict(platform, standing, redact(scrub(str(error), values or {}, fields)))
    return judge(platform, access, utc_now())


def check_secret(platform: str, settings: Settings) -> Verdict:
    """How the credentials in Secret Manager stand. JobError or TryAgain if they cannot be read or tried."""
    text = SecretManager(settings).read(platform)
    if text is None:
        why = f"there are no credentials of {platform} in Secret Manager; run `aelp2 onboard {platform}`"
        return Verdict(platform, Standing.NONE, why)
    values = parse(platform, adapter_of(platform).credential_fields, text, f"the secret aelp2-{platform}")
    with candidate(platform, settings, values, beside_stored=False) as (trial, _):
        return check(platform, trial, values)


def judge(platform: str, access: Access, now: datetime) -> Verdict:
    """What an answer of the platform says of the credentials."""
    if access.expires_at is not None and access.expires_at <= now:
        return Verdict(platform, Standing.EXPIRED, f"they ran out at {access.expires_at:%Y-%m-%d %H:%M} UTC", access)
    if access.missing:
        return Verdict(platform, Standing.LIMITED, f"they lack {', '.join(access.missing)}", access)
    if not access.accounts:
        return Verdict(platform, Standing.LIMITED, "they reach no ad account", access)
    return Verdict(platform, Standing.RIGHT, "", access)


@contextmanager
def candidate(
    platform: str, settings: Settings, values: Mapping[str, str], *, beside_stored: bool
) -> Iterator[tuple[Settings, Path]]:
    """Settings under which ``platform`` signs in with ``values``, and the private file that holds them.

    The file lies in a private folder of its own, which is gone afterwards; with ``beside_stored`` in the credentials folder, so
    that the file can take the place of the stored one in one step. Names are hashed with a salt of this trial alone: none of the
    hashes is kept, and whoever stores the first credentials in Secret Manager has no salt on the machine.
    """
    home = settings.credentials_dir
    if beside_stored:
        private_folder(home)
    with tempfile.TemporaryDirectory(prefix=".checking-", dir=home if beside_stored else None) as folder:
        salt = Path(folder) / "salt"
        load_salt(salt, may_create=True)
        trial = replace(
            settings,
            credentials_dir=Path(folder),
            name_salt_file=salt,
            google_ads_config=None,
            google_ads_login_customer_id=None,
        )
        file = credentials_file(trial, platform)
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
            stream.write(yaml.safe_dump(dict(values)))
            stream.flush()
            os.fsync(stream.fileno())
        yield trial, file


def private_folder(folder: Path) -> None:
    """Make ``folder``, reachable by its owner alone. JobError if there is one that others can reach."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if mode := folder.stat().st_mode & 0o077:
        raise JobError(f"the credentials folder {folder} can be reached by others (mode …{mode:02o}); run chmod 700 {folder}")
