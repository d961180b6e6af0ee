"""The adapter: accounts, reports, budgets and changes of Google Ads in the shapes of ``tasks.platforms.base``."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, time, timedelta
from typing import TYPE_CHECKING, Any, ClassVar
from zoneinfo import ZoneInfo

import structlog

from tasks.core.ad_changes import AdState
from tasks.core.clock import utc_now
from tasks.core.contracts import load_contract
from tasks.core.errors import JobError
from tasks.core.redaction import load_salt
from tasks.core.settings import Settings
from tasks.platforms.base import (
    Access,
    Account,
    AccountChange,
    AdStatus,
    BudgetAmount,
    BudgetState,
    CredentialField,
    Receipt,
    RejectedRow,
    Reports,
    Skeleton,
    SkeletonReceipt,
)
from tasks.platforms.google_ads import (
    ads,
    answers,
    budgets,
    calls,
    change_log,
    entities,
    mutates,
    queries,
    reporting,
    skeletons,
)
from tasks.platforms.google_ads.connection import connect
from tasks.platforms.google_ads.enums import enum_name, last_part
from tasks.platforms.google_ads.members import Members, members_by_budget
from tasks.platforms.google_ads.version import API_VERSION, check_sunset
from tasks.platforms.normalise import Shaped, raw_rows, shape, status_frame

if TYPE_CHECKING:
    import polars as pl

log = structlog.get_logger(source=__name__)

SCOPE = "https://www.googleapis.com/auth/adwords"
CHANGED_RESOURCES = ("CAMPAIGN_BUDGET", "CAMPAIGN", "AD_GROUP", "AD_GROUP_AD")
CHANGE_LOG_DAYS = 30  # the platform keeps no older events

# Table, the reports that make it up with the shape of their rows, the columns of these.
_DAY_REPORTS = (
    ("ads.ads_campaign_performance", ((queries.campaign_days, reporting.campaign_row),), reporting.CAMPAIGN_COLUMNS),
    ("ads.ads_ad_performance", ((queries.ad_days, reporting.ad_row),), reporting.AD_COLUMNS),
    (
        "ads.ads_criterion_performance",
        ((queries.keyword_days, reporting.keyword_row), (queries.audience_days, reporting.audience_row)),
        reporting.CRITERION_COLUMNS,
    ),
    ("ads.ads_breakdown_performance", ((queries.asset_group_days, reporting.asset_group_row),), reporting.ASSET_GROUP_COLUMNS),
    ("ads.ads_conversion_action_stats", ((queries.conversion_days, reporting.conversion_row),), reporting.CONVERSION_COLUMNS),
)


class GoogleAdsPlatform:
    """Google Ads as the settings name it. Nothing is dialled before the first call.

    Args:
        settings: configuration file, endpoint, manager account and salt file.
        brand_terms: words in campaign names that mark the advertiser's own brand, see labels.py.
        retries: patience with passing faults and quota.
    """

    name = "google_ads"
    api_version = API_VERSION
    restatement_days = 30
    switches_ads = True
    keeps_change_log = True
    credential_fields: ClassVar = (
        CredentialField("developer_token", "the manager account's API Center", True, True, "AELP2_GOOGLE_ADS_DEVELOPER_TOKEN"),
        CredentialField(
            "login_customer_id", "ten digits of the manager account", False, True, "AELP2_GOOGLE_ADS_LOGIN_CUSTOMER_ID"
        ),
        CredentialField(
            "json_key_file_path", "key file of a service account with access", False, False, "AELP2_GOOGLE_ADS_JSON_KEY_FILE_PATH"
        ),
        CredentialField("client_id", "id of an OAuth client, instead of a key file", False, False, "AELP2_GOOGLE_ADS_CLIENT_ID"),
        CredentialField("client_secret", "secret of the same client", True, False, "AELP2_GOOGLE_ADS_CLIENT_SECRET"),
        CredentialField("refresh_token", "from the consent page of that client", True, False, "AELP2_GOOGLE_ADS_REFRESH_TOKEN"),
    )

    def __init__(self, settings: Settings, *, brand_terms: Sequence[str] = (), retries: calls.RetryPolicy | None = None) -> None:
        self._settings = settings
        self._retries = retries or calls.RetryPolicy()
        self._brand_terms = tuple(brand_terms)
        self._connected: Any = None
        self._labels_made: reporting.Labels | None = None
        self._services: dict[str, Any] = {}
        self._request_ids = calls.RequestIds()
        self._timezones: dict[str, str] = {}
        self._attributions: dict[str, str] = {}

    @property
    def _client(self) -> Any:
        if self._connected is None:
            check_sunset(utc_now().date())
            self._connected = connect(self._settings)
        return self._connected

    @property
    def _labels(self) -> reporting.Labels:
        if self._labels_made is None:
            salt = load_salt(self._settings.name_salt_file, may_create=self._settings.backend == "duckdb")
            self._labels_made = reporting.Labels(salt, self._brand_terms)
        return self._labels_made

    def _service(self, name: str) -> Any:
        if name not in self._services:
            self._services[name] = self._client.get_service(name, interceptors=[self._request_ids.intercept()])
        return self._services[name]

    def _rows(self, account_id: str, query: str) -> list[Any]:
        """All rows of ``query``. A stream that breaks half-way is read again from its start: half an answer is none."""
        service = self._service("GoogleAdsService")

        def read_all() -> list[Any]:
            stream = service.search_stream(customer_id=account_id, query=query, timeout=calls.READ_TIMEOUT_SECONDS)
            return [row for batch in stream for row in batch.results]

        resource = query.split("FROM ", 1)[1].split()[0]
        return calls.read(f"account {account_id}, report {resource}", read_all, self._retries)

    def check_access(self) -> Access:
        """See :class:`tasks.platforms.base.Platform`. The one OAuth scope is all or nothing; keys of service accounts stay."""
        return Access(tuple(self.accounts()), (SCOPE,))

    def accounts(self) -> list[Account]:
        """See :class:`tasks.platforms.base.Platform`. Without a manager account in the settings: all the user may reach."""
        found: dict[str, Account] = {}
        for root in self._roots():
            for row in self._rows(root, queries.ACCOUNTS):
                client = row.customer_client
                account = Account(
                    platform=self.name,
                    account_id=str(client.id),
                    name_hash=self._labels.hash(client.descriptive_name) or "",
                    currency_code=client.currency_code,
                    timezone=client.time_zone,
                    status=enum_name("CustomerStatus", client.status),
                )
                found[account.account_id] = account
        self._timezones.update({a.account_id: a.timezone for a in found.values()})
        return sorted(found.values(), key=lambda a: a.account_id)

    def _roots(self) -> list[str]:
        manager = self._client.login_customer_id
        if manager:
            return [str(manager)]
        service = self._service("CustomerService")
        listed = calls.read("list of accounts", service.list_accessible_customers, self._retries)
        return [last_part(name) for name in listed.resource_names]

    def _timezone(self, account_id: str) -> str:
        if account_id not in self._timezones:
            (row,) = self._rows(account_id, queries.CUSTOMER)
            self._timezones[account_id] = row.customer.time_zone
        return self._timezones[account_id]

    def reports(self, account: Account, start: date, end: date, *, run_date: date) -> Reports:
        """See :class:`tasks.platforms.base.Platform`."""
        import polars as pl

        loaded_at, window = utc_now(), (start, end)
        shaped: dict[str, Shaped] = {}
        windows: dict[str, tuple[date, date]] = {}
        attribution = self._attribution_window(account.account_id)
        for table, parts, columns in _DAY_REPORTS:
            schema = load_contract(table).polars_schema()
            raw = pl.concat(
                reporting.raw_frame(self._rows(account.account_id, query(start, end)), self._labels, to_tuple, columns, schema)
                for query, to_tuple in parts
            )
            if "attribution_window" in schema:
                raw = raw.with_columns(pl.lit(attribution).alias("attribution_window"))
            shaped[table], windows[table] = shape(table, raw, account, window, loaded_at), window
        if end >= run_date - timedelta(days=2):
            table, today = "ads.campaign_budgets", (run_date, run_date)
            shaped[table] = shape(table, self._budget_frame(account.account_id, run_date), account, today, loaded_at)
            windows[table] = today
            table = "ads.ad_statuses"
            shaped[table] = shape(
                table,
                status_frame(ads.to_states(self._rows(account.account_id, queries.ads())), run_date),
                account,
                today,
                loaded_at,
            )
            windows[table] = today
            raw = entities.entity_frame(lambda query: self._rows(account.account_id, query), self._labels, run_date)
            shaped[entities.TABLE], windows[entities.TABLE] = shape(entities.TABLE, raw, account, today, loaded_at), today
            self._add_changes(account, run_date, loaded_at, shaped, windows)
        rejected: list[RejectedRow] = [row for one in shaped.values() for row in one.rejected]
        return Reports(
            frames={table: one.frame for table, one in shaped.items()},
            duplicates=sum(one.duplicates for one in shaped.values()),
            windows=windows,
            rejected=tuple(rejected),
        )

    def _attribution_window(self, account_id: str) -> str:
        """``30d_click`` if every action that counts has that window, ``7-90d_click`` if they differ, ``none`` without one."""
        if account_id not in self._attributions:
            rows = self._rows(account_id, queries.CONVERSION_WINDOWS)
            days = sorted({row.conversion_action.click_through_lookback_window_days for row in rows})
            longest = "" if len(days) < 2 else f"-{days[-1]}"
            self._attributions[account_id] = f"{days[0]}{longest}d_click" if days else "none"
        return self._attributions[account_id]

    def _budget_frame(self, account_id: str, run_date: date) -> pl.DataFrame:

        members = self._members(account_id)
        rows = []
        for row in self._rows(account_id, queries.budgets()):
            budget = row.campaign_budget
            paid = members.get(str(budget.id), Members())
            rows.append(
                {
                    "date": run_date,
                    "budget_id": str(budget.id),
                    "name_hash": self._labels.hash(budget.name),
                    "amount_micros": budget.amount_micros,
                    "is_explicitly_shared": budget.explicitly_shared,
                    "reference_count": budget.reference_count,
                    "member_campaign_ids": sorted(paid.campaign_ids),
                    "enabled_campaign_ids": sorted(paid.enabled_ids),
                    "channels": sorted(paid.channels),
                    "status": enum_name("BudgetStatus", budget.status),
                    "currency_code": row.customer.currency_code,
                }
            )
        return raw_rows("ads.campaign_budgets", rows)

    def _members(self, account_id: str) -> dict[str, Members]:
        return members_by_budget(self._rows(account_id, queries.MEMBERS), self._labels)

    def _add_changes(
        self,
        account: Account,
        run_date: date,
        loaded_at: datetime,
        shaped: dict[str, Shaped],
        windows: dict[str, tuple[date, date]],
    ) -> None:
        """Changes of the 30 days up to ``run_date``; for a run date so old that the platform kept none, leave the table alone."""

        table, window = "ads.ads_change_events", (run_date - timedelta(days=CHANGE_LOG_DAYS - 1), run_date)
        midnight = datetime.combine(window[0], time())
        try:
            events = self._changes(account.account_id, account.timezone, midnight, midnight + timedelta(days=CHANGE_LOG_DAYS))
        except calls.CallError as error:
            if "START_DATE_TOO_OLD" not in error.failure.codes:
                raise
            log.warning("change log not loaded: older than the platform keeps", account=account.account_id, since=str(window[0]))
            return
        zone = ZoneInfo(account.timezone)
        rows = [
            {**vars(e), "changed_fields": list(e.changed_fields), "date": e.changed_at.astimezone(zone).date()} for e in events
        ]
        raw = raw_rows(table, rows)
        shaped[table], windows[table] = shape(table, raw, account, window, loaded_at), window

    def _changes(self, account_id: str, timezone: str, start: datetime, end: datetime) -> list[AccountChange]:
        def ask(query: str) -> list[Any]:
            return [row.change_event for row in self._rows(account_id, query)]

        return [change_log.to_change(event, self._labels, timezone) for event in change_log.read_events(ask, start, end)]

    def read_changes(self, account_id: str, since: datetime) -> list[AccountChange]:
        """See :class:`tasks.platforms.base.Platform`. Up to a day past now, so that no clock difference hides a change."""
        if since.tzinfo is None:
            raise JobError(f"read_changes needs a time with an offset, not {since}")
        zone = self._timezone(account_id)
        # An hour before ``since``: where the clocks go back, what comes after it may bear an earlier wall-clock time.
        asked = (since - timedelta(hours=1), utc_now() + timedelta(days=1))
        start, end = (moment.astimezone(ZoneInfo(zone)).replace(tzinfo=None) for moment in asked)
        found = self._changes(account_id, zone, start.replace(microsecond=0), end.replace(microsecond=0))
        kept = [c for c in found if c.changed_at >= since and c.resource_type in CHANGED_RESOURCES]
        return sorted(kept, key=lambda c: (c.changed_at, c.change_event_id))

    def read_budgets(self, account_id: str, budget_ids: Sequence[str] | None = None) -> list[BudgetState]:
        """See :class:`tasks.platforms.base.Platform`. Sorted by id; budgets with one amount for a period are left out."""
        if budget_ids is not None:
            wrong = [i for i in budget_ids if not i.isdecimal()]
            if wrong:
                raise JobError(f"budget ids are whole numbers, not {wrong}")
            if not budget_ids:
                return []
        members = self._members(account_id)
        found: dict[str, BudgetState] = {}
        for row in self._rows(account_id, queries.budgets(budget_ids)):
            budget = row.campaign_budget
            paid = members.get(str(budget.id), Members())
            found[str(budget.id)] = BudgetState(
                budget_id=str(budget.id),
                amount_micros=budget.amount_micros,
                is_explicitly_shared=budget.explicitly_shared,
                reference_count=budget.reference_count,
                member_campaign_ids=tuple(sorted(paid.campaign_ids)),
                enabled_campaign_ids=tuple(sorted(paid.enabled_ids)),
                status=enum_name("BudgetStatus", budget.status),
                currency_code=row.customer.currency_code,
            )
        missing = sorted(set(budget_ids or ()) - set(found))
        if missing:
            raise JobError(f"account {account_id} has no daily budget {', '.join(missing)}: removed, or of another account")
        return sorted(found.values(), key=lambda b: int(b.budget_id))

    def set_budgets(self, account_id: str, amounts: Sequence[BudgetAmount], *, validate_only: bool) -> Receipt:
        """See :class:`tasks.platforms.base.Platform`.

        A mutate is sent once: AmbiguousMutationError if its answer is lost. ``validate_only`` changes nothing and is retried
        like a read.
        """
        request = budgets.build_request(self._client, account_id, amounts, validate_only=validate_only)
        service = self._service("CampaignBudgetService")
        return self._set("budgets", account_id, amounts, request, service.mutate_campaign_budgets, validate_only=validate_only)

    def read_ads(self, account_id: str, adgroup_ids: Sequence[str]) -> list[AdState]:
        """See :class:`tasks.platforms.base.Platform`. Sorted by ad group and ad."""
        wrong = [i for i in adgroup_ids if not i.isdecimal()]
        if wrong:
            raise JobError(f"ad group ids are whole numbers, not {wrong}")
        if not adgroup_ids:
            return []
        return ads.to_states(self._rows(account_id, queries.ads(sorted(set(adgroup_ids)))))

    def set_ad_statuses(self, account_id: str, statuses: Sequence[AdStatus], *, validate_only: bool) -> Receipt:
        """See :class:`tasks.platforms.base.Platform`. Sent as ``set_budgets`` is."""
        request = ads.build_request(self._client, account_id, statuses, validate_only=validate_only)
        service = self._service("AdGroupAdService")
        return self._set("ads", account_id, statuses, request, service.mutate_ad_group_ads, validate_only=validate_only)

    def create_skeleton(self, account_id: str, skeleton: Skeleton, *, validate_only: bool) -> SkeletonReceipt:
        """See :class:`tasks.platforms.base.Platform`. What is missing is made by one request, all or nothing."""
        there = skeletons.find(lambda query: self._rows(account_id, query), skeleton.label)
        request = skeletons.build_request(self._client, account_id, skeleton, there, validate_only=validate_only)
        ids: dict[str, str] = {}
        if request.mutate_operations:
            service = self._service("GoogleAdsService")

            def send() -> Any:
                return service.mutate(request=request, timeout=calls.MUTATE_TIMEOUT_SECONDS)

            about = f"account {account_id}, {'check' if validate_only else 'make'} skeleton {skeleton.label}"
            response = calls.read(about, send, self._retries) if validate_only else calls.mutate(about, send)
            ids = dict(skeletons.made_ids(response))
        return SkeletonReceipt(
            campaign_id=there.campaign_id or ids.get("campaign"),
            adgroup_id=there.adgroup_id or ids.get("adgroup"),
            ad_id=there.ad_id or ids.get("ad"),
            created=tuple(kind for kind in ("campaign", "adgroup", "ad") if kind in ids),
            request_id=self._request_ids.last,
        )

    def _set(
        self, what: str, account_id: str, rows: Sequence[mutates.Asked], request: Any, call: Any, *, validate_only: bool
    ) -> Receipt:
        def send() -> Any:
            return call(request=request, timeout=calls.MUTATE_TIMEOUT_SECONDS)

        about = f"account {account_id}, {'check' if validate_only else 'set'} {len(rows)} {what}"
        response = calls.read(about, send, self._retries) if validate_only else calls.mutate(about, send)
        receipt = answers.read_answer(response, rows, self._request_ids.last, validate_only=validate_only)
        log.info(
            f"{what} answered",
            account=account_id,
            validate_only=validate_only,
            rows=len(rows),
            failed=sum(not o.ok for o in receipt.outcomes),
            request_id=receipt.request_id,
        )
        return receipt
