"""A paused campaign on a platform, made once however often and by however many at once it is asked for."""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from tasks.core.clock import utc_now
from tasks.core.contracts import load_contract
from tasks.core.errors import JobError, Refused
from tasks.core.money import PLATFORM_UNIT_MICROS
from tasks.core.switches import ALL, account_scope, on_for, read_switches
from tasks.platforms.base import Account, Platform, Skeleton, SkeletonReceipt

if TYPE_CHECKING:
    from tasks.core.policy import Policy
    from tasks.core.settings import Settings
    from tasks.core.warehouse import Warehouse

LEASE = "mutations"  # that of apply-changes and roll-back-changes: whatever changes accounts runs alone
DEFAULT_BUDGET, MOST_BUDGET = Decimal(20), Decimal(10_000)  # a day, units of the account's currency
_PURPOSE = re.compile(r"[0-9A-Za-z][0-9A-Za-z-]{0,39}")


def wish_for(platform: str, account_id: str, purpose: str, landing_url: str, budget: Decimal) -> Skeleton:
    """The skeleton that is asked for. JobError on a purpose, address or budget that makes no sense.

    Its label is told from platform, account and purpose alone, so that the same wish always finds what it made.
    """
    if not _PURPOSE.fullmatch(purpose):
        raise JobError(f"--label {purpose!r} is not 1 to 40 letters, digits and dashes")
    micros = budget * 1_000_000
    if not 0 < budget <= MOST_BUDGET or micros % PLATFORM_UNIT_MICROS:
        raise JobError(f"--budget {budget} is not an amount with cents above 0 and up to {MOST_BUDGET}")
    label = re.sub(r"[^0-9A-Za-z]+", "-", f"aelp2-{platform}-{account_id}").strip("-") + f"-{purpose}"
    return Skeleton(label, with_utm(landing_url, platform, label), int(micros))


def with_utm(url: str, platform: str, label: str) -> str:
    """``url`` with the UTM parameters of ``platform`` and ``label``; others of its own stay, UTM ones are replaced."""
    parts = urlsplit(url)
    if parts.scheme not in ("https", "http") or not parts.hostname or parts.username or parts.password:
        raise JobError("--landing-url is no address of a page; write https://HOST/PATH")
    own = {"utm_source": platform, "utm_medium": "paid", "utm_campaign": label}
    kept = [(name, value) for name, value in parse_qsl(parts.query, keep_blank_values=True) if name not in own]
    return urlunsplit(parts._replace(query=urlencode([*kept, *own.items()])))


@dataclass
class Skeletons:
    """Makes skeletons on one platform.

    Args:
        settings, policy: whether anything may be made at all.
        warehouse: switches, lease, and the record of what was made.
        actor: who is on record.
    """

    settings: Settings
    policy: Policy
    warehouse: Warehouse
    platform: Platform
    actor: str

    def check(self, account_id: str, wish: Skeleton) -> str:
        """What ``make`` would do, in a sentence; nothing is made."""
        self._account(account_id)
        found = self.platform.create_skeleton(account_id, wish, validate_only=True)
        missing = [kind for kind, id_ in _ids(found).items() if id_ is None]
        return f"{wish.label}: {'would make ' + ', '.join(missing) if missing else 'is there already, nothing to make'}"

    def make(self, account_id: str, wish: Skeleton) -> str:
        """Make what is missing and put it on record; says what was made. Refused if a guard says no."""
        self._refuse_unless_allowed(account_id)
        with self.warehouse.exclusive(LEASE):
            account = self._account(account_id)
            self._refuse_if_stopped(account_id)  # M10: the last thing before the mutation
            receipt = self.platform.create_skeleton(account_id, wish, validate_only=False)
            self._record(account, wish, receipt)
        ids = ", ".join(f"{kind} {id_}" for kind, id_ in _ids(receipt).items())
        # Of what was there nothing is said: a person may have enabled it since.
        done = f"made {', '.join(receipt.created)}, paused" if receipt.created else "is there already"
        return f"{wish.label}: {done} ({ids})"

    def _account(self, account_id: str) -> Account:
        found = {a.account_id: a for a in self.platform.accounts()}
        if account_id not in found:
            raise JobError(
                f"{self.platform.name}: the credentials reach no account {account_id}, but {', '.join(found) or 'none'}"
            )
        return found[account_id]

    def _refuse_unless_allowed(self, account_id: str) -> None:
        if self.settings.mode != "live":
            raise Refused("shadow mode makes nothing; --apply needs AELP2_MODE=live (docs/how-to/go-live.md)")
        if not self.policy.allows(self.platform.name, account_id):
            named = f"{self.platform.name}:{account_id}"
            raise Refused(f"the policy does not allow changes of {named}; add it to allowed_accounts in AELP2_POLICY")

    def _refuse_if_stopped(self, account_id: str) -> None:
        for switch in on_for(read_switches(self.warehouse), [ALL, account_scope(self.platform.name, account_id)]):
            raise Refused(f"the switch {switch.scope} is on, by {switch.actor}: {switch.why}; see `aelp2 kill --status`")

    def _record(self, account: Account, wish: Skeleton, receipt: SkeletonReceipt) -> None:
        """One row a label. It is written anew only if something was made or there is none, as after a crash."""
        import polars as pl

        rows = self.warehouse.query(
            "SELECT campaign_id, adgroup_id, ad_id FROM control.platform_skeletons "
            "WHERE platform = @platform AND account_id = @account_id AND label = @label",
            {"platform": account.platform, "account_id": account.account_id, "label": wish.label},
        )
        ids = tuple(_ids(receipt).values())
        if None in ids:
            raise JobError(f"{wish.label}: the platform named no id of what it made ({ids}); run again, and look at the account")
        if ids in rows.rows():
            return
        row = {
            "platform": account.platform,
            "account_id": account.account_id,
            "label": wish.label,
            "landing_url": wish.landing_url,
            "daily_budget_micros": wish.daily_budget_micros,
            "currency_code": account.currency_code,
            "campaign_id": receipt.campaign_id,
            "adgroup_id": receipt.adgroup_id,
            "ad_id": receipt.ad_id,
            "made_kinds": list(receipt.created),
            "request_id": receipt.request_id or None,
            "actor": self.actor,
            "made_at": utc_now(),
        }
        schema = load_contract("control.platform_skeletons").polars_schema()
        self.warehouse.merge("control.platform_skeletons", pl.DataFrame([row], schema=schema))


def _ids(receipt: SkeletonReceipt) -> dict[str, str | None]:
    return {"campaign": receipt.campaign_id, "adgroup": receipt.adgroup_id, "ad": receipt.ad_id}
