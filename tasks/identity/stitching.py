"""Who is who: deterministic stitching of ids, with protection against gluing strangers together.

Ids come in three layers, and each joins only the one above it:

1. **accounts**: user ids, e-mail and phone hashes seen in one event are one account (union–find), unless one is shared;
2. **cookies**: a cookie belongs to the one account that signed in on it, or whose clicks it made; a cookie of several accounts
   belongs to the one that has nearly all of its sign-ins, else to nobody;
3. **clicks**: a click id belongs to the one cookie that carried it, else to the account that came with it.

So two accounts are never glued by a device, a click or a link, only by an id of a person that both have: the largest mistake a
shared device can make is its own. What is left out is kept with its reason, and an id that several people share has no person.
The result depends on the set of edges alone, not on the order in which days came.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tasks.core.identifiers import CLICK_KINDS, COOKIE_KIND, KINDS, STRONG_KINDS

if TYPE_CHECKING:
    import polars as pl

USER, EMAIL, PHONE = STRONG_KINDS


@dataclass(frozen=True)
class Limits:
    """Where an id stops being one person's.

    | limit | an id beyond it | reason |
    | --- | --- | --- |
    | events_per_cookie_day | is a program | bot |
    | cookies_per_account | is a test, kiosk or shop account | shared_account |
    | contacts_per_user | is a user id under which staff enter customers | shared_account |
    | users_per_email, users_per_phone | is a family's or a shop's address or number | shared_contact |
    | emails_per_phone, phones_per_email | the same, for guests without user ids | shared_contact |
    | users_per_account, ids_per_account | is part of a chain of accounts; its contacts no longer join | too_many_accounts |
    | owner_share | (below it) is a cookie that several accounts use | shared_device |
    | cookies_per_click | is a click id that went round in a copied link | shared_click |
    | ids_per_person | is one of so many that no person can have them | person_too_large |
    """

    events_per_cookie_day: int = 2000
    cookies_per_account: int = 300
    contacts_per_user: int = 10
    users_per_email: int = 3
    users_per_phone: int = 1
    emails_per_phone: int = 2
    phones_per_email: int = 3
    users_per_account: int = 5
    ids_per_account: int = 25
    owner_share: float = 0.95
    cookies_per_click: int = 1
    ids_per_person: int = 1000


def components(count: int, pairs: list[tuple[int, int]]) -> list[int]:
    """Union–find: for each of ``count`` numbers the smallest one it is connected with by ``pairs``.

    >>> components(5, [(0, 3), (3, 4)])
    [0, 1, 2, 0, 0]
    """
    parent = list(range(count))

    def root(node: int) -> int:
        while parent[node] != node:
            parent[node] = parent[parent[node]]  # halves the path: nearly constant time per call
            node = parent[node]
        return node

    for left, right in pairs:
        low, high = sorted((root(left), root(right)))
        parent[high] = low
    return [root(node) for node in range(count)]


class Stitching:
    """One pass over all edges; ``nodes`` holds the result.

    Args:
        links: left_id_kind, left_id, right_id_kind, right_id, first_seen_at, last_seen_at, denied_at, event_count and
            busiest_day_count, one row a pair; an id with itself is the id, and every id of a pair has such a row.
        limits: see :class:`Limits`.
    """

    def __init__(self, links: pl.DataFrame, limits: Limits) -> None:
        import polars as pl

        self._limits = limits
        kinds = pl.Enum(KINDS)
        is_self = (pl.col("left_id_kind") == pl.col("right_id_kind")) & (pl.col("left_id") == pl.col("right_id"))
        # The oldest id has the smallest number, so the number of a group is that of its oldest member.
        self.nodes = (
            links.filter(is_self)
            .select(
                pl.col("left_id_kind").cast(kinds).alias("id_kind"),
                pl.col("left_id").alias("id"),
                "first_seen_at",
                "last_seen_at",
                "denied_at",
                "event_count",
                "busiest_day_count",
                pl.lit(None, dtype=pl.String).alias("excluded_reason"),
            )
            .sort("first_seen_at", "id_kind", "id")
            .with_row_index("node")
        )
        number = self.nodes.select("node", kind="id_kind", value="id")
        self._edges = (
            links.filter(~is_self)
            .select(pl.col("left_id_kind", "right_id_kind").cast(kinds), "left_id", "right_id", "event_count")
            .join(number.rename({"node": "left"}), left_on=["left_id_kind", "left_id"], right_on=["kind", "value"])
            .join(number.rename({"node": "right"}), left_on=["right_id_kind", "right_id"], right_on=["kind", "value"])
            .select("left", "right", "left_id_kind", "right_id_kind", "event_count")
        )

    def run(self) -> pl.DataFrame:
        """Nodes with ``group`` (number of the person's oldest id; null for a shared id) and ``excluded_reason``."""
        self._exclude_bots()
        self._exclude_shared_accounts()
        accounts = self._accounts()
        cookies = self._cookies(accounts)
        clicks = self._clicks(accounts, cookies)
        return self._grouped(accounts, cookies, clicks)

    def _exclude(self, numbers: pl.DataFrame | pl.Series, reason: str) -> None:
        """Leave the nodes of these numbers out, and their edges; the first reason stays."""
        import polars as pl

        chosen = numbers if isinstance(numbers, pl.Series) else numbers["node"]
        hit = pl.col("node").is_in(chosen.implode()) & pl.col("excluded_reason").is_null()
        self.nodes = self.nodes.with_columns(
            pl.when(hit).then(pl.lit(reason)).otherwise("excluded_reason").alias("excluded_reason")
        )
        gone = chosen.implode()
        self._edges = self._edges.filter(~pl.col("left").is_in(gone) & ~pl.col("right").is_in(gone))

    def _neighbours(self, kinds: tuple[str, ...], others: tuple[str, ...]) -> pl.DataFrame:
        """(node, other, event_count) of every edge between a node of ``kinds`` and one of ``others``."""
        import polars as pl

        def side(node: str, other: str) -> pl.DataFrame:
            return self._edges.filter(
                pl.col(f"{node}_id_kind").is_in(list(kinds)) & pl.col(f"{other}_id_kind").is_in(list(others))
            ).select(pl.col(node).alias("node"), pl.col(other).alias("other"), "event_count")

        return pl.concat([side("left", "right"), side("right", "left")]).unique(["node", "other"])

    def _over(self, kinds: tuple[str, ...], others: tuple[str, ...], limit: int) -> pl.DataFrame:
        """Nodes of ``kinds`` with more than ``limit`` neighbours of ``others``."""
        import polars as pl

        return self._neighbours(kinds, others).group_by("node").len().filter(pl.col("len") > limit)

    def _exclude_bots(self) -> None:
        import polars as pl

        is_busy = pl.col("busiest_day_count") > self._limits.events_per_cookie_day
        self._exclude(self.nodes.filter(is_busy & (pl.col("id_kind") == COOKIE_KIND)), "bot")

    def _exclude_shared_accounts(self) -> None:
        import polars as pl

        limits = self._limits
        shared_accounts = [
            self._over(STRONG_KINDS, (COOKIE_KIND,), limits.cookies_per_account),
            self._over((USER,), (EMAIL,), limits.contacts_per_user),
            self._over((USER,), (PHONE,), limits.contacts_per_user),
        ]
        shared_contacts = [
            self._over((EMAIL,), (USER,), limits.users_per_email),
            self._over((PHONE,), (USER,), limits.users_per_phone),
            self._over((PHONE,), (EMAIL,), limits.emails_per_phone),
            self._over((EMAIL,), (PHONE,), limits.phones_per_email),
        ]
        self._exclude(pl.concat(shared_accounts), "shared_account")
        self._exclude(pl.concat(shared_contacts), "shared_contact")

    def _accounts(self) -> pl.DataFrame:
        """(node, account) of every strong id that is not left out; a chain of accounts falls apart into its user ids."""
        import polars as pl

        accounts = self._components()
        sizes = accounts.group_by("account").agg(pl.len(), (pl.col("id_kind") == USER).sum().alias("users"))
        is_chain = (pl.col("users") > self._limits.users_per_account) | (pl.col("len") > self._limits.ids_per_account)
        chained = accounts.join(sizes.filter(is_chain), on="account").filter(pl.col("id_kind") != USER)
        if chained.is_empty():
            return accounts.select("node", "account")
        self._exclude(chained, "too_many_accounts")
        return self._components().select("node", "account")

    def _components(self) -> pl.DataFrame:
        import polars as pl

        strong = self.nodes.filter(pl.col("id_kind").is_in(list(STRONG_KINDS)) & pl.col("excluded_reason").is_null())
        small = strong.select("node", "id_kind").with_row_index("small")  # in the order of age, as the nodes are
        code = small.select("node", "small")
        pairs = (
            self._neighbours(STRONG_KINDS, STRONG_KINDS)
            .filter(pl.col("node") < pl.col("other"))
            .join(code, on="node")
            .join(code.rename({"node": "other", "small": "small_other"}), on="other")
        )
        roots = components(small.height, list(pairs.select("small", "small_other").iter_rows()))
        oldest = small["node"].gather(roots) if roots else small["node"]
        return small.with_columns(oldest.alias("account")).drop("small")

    def _cookies(self, accounts: pl.DataFrame) -> pl.DataFrame:
        """(node, group) of every cookie that is not left out: its account, or itself."""
        import polars as pl

        limits = self._limits
        self._exclude(self._over(CLICK_KINDS, (COOKIE_KIND,), limits.cookies_per_click), "shared_click")
        named = accounts.rename({"node": "other"})
        direct = self._neighbours((COOKIE_KIND,), STRONG_KINDS).join(named, on="other").select("node", "account", "event_count")
        of_click = self._neighbours(CLICK_KINDS, STRONG_KINDS).join(named, on="other")
        by_click = (
            self._neighbours((COOKIE_KIND,), CLICK_KINDS)
            .select("node", "other")
            .join(of_click.select(pl.col("node").alias("other"), "account", "event_count"), on="other")
            .select("node", "account", "event_count")
        )
        shares = (
            pl.concat([direct, by_click])
            .group_by("node", "account")
            .agg(pl.col("event_count").sum())
            .with_columns(share=pl.col("event_count") / pl.col("event_count").sum().over("node"))
        )
        owned = shares.filter(pl.col("share") >= limits.owner_share).select("node", pl.col("account").alias("group"))
        # First what is shared, then who refused: a kiosk stays nobody's, whatever its last visitor said.
        self._exclude(shares.select("node").unique().join(owned, on="node", how="anti"), "shared_device")
        refused = (pl.col("id_kind") == COOKIE_KIND) & (pl.col("denied_at") >= pl.col("last_seen_at"))
        self._exclude(self.nodes.filter(refused), "no_consent")
        free = self.nodes.filter((pl.col("id_kind") == COOKIE_KIND) & pl.col("excluded_reason").is_null()).select("node")
        return free.join(owned, on="node", how="left").with_columns(pl.col("group").fill_null(pl.col("node")))

    def _clicks(self, accounts: pl.DataFrame, cookies: pl.DataFrame) -> pl.DataFrame:
        """(node, group) of every click id that is not left out: that of its cookie, its account, or itself."""
        import polars as pl

        of_accounts = (
            self._neighbours(CLICK_KINDS, STRONG_KINDS)
            .join(accounts.rename({"node": "other"}), on="other")
            .select("node", pl.col("account").alias("of_account"))
            .unique()
        )
        of_cookies = self._neighbours(CLICK_KINDS, (COOKIE_KIND,)).join(
            cookies.select(pl.col("node").alias("other"), pl.col("group").alias("of_cookie")), on="other"
        )
        several = of_accounts.group_by("node").len().filter(pl.col("len") > 1)
        self._exclude(several.join(of_cookies, on="node", how="anti"), "shared_click")
        free = self.nodes.filter(pl.col("id_kind").is_in(list(CLICK_KINDS)) & pl.col("excluded_reason").is_null())
        return (
            free.select("node")
            .join(of_cookies.group_by("node").agg(pl.col("of_cookie").min()), on="node", how="left")
            .join(of_accounts.join(several, on="node", how="anti"), on="node", how="left")
            .select("node", pl.coalesce("of_cookie", "of_account", "node").alias("group"))
        )

    def _grouped(self, accounts: pl.DataFrame, cookies: pl.DataFrame, clicks: pl.DataFrame) -> pl.DataFrame:
        import polars as pl

        no_consent = self.nodes.filter(pl.col("excluded_reason") == "no_consent").select("node", pl.col("node").alias("group"))
        groups = pl.concat([accounts.rename({"account": "group"}), cookies, clicks, no_consent])
        too_large = groups.group_by("group").len().filter(pl.col("len") > self._limits.ids_per_person)
        if not too_large.is_empty():
            members = groups.join(too_large, on="group").join(accounts, on="node", how="anti")
            self._exclude(members, "person_too_large")
            groups = groups.join(members, on="node", how="anti")
        oldest = groups.group_by("group").agg(pl.col("node").min().alias("oldest"))  # a cookie may be older than its account
        renumbered = groups.join(oldest, on="group").select("node", pl.col("oldest").alias("group"))
        return self.nodes.join(renumbered, on="node", how="left").with_columns(pl.col("id_kind").cast(pl.String))
