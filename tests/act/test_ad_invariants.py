"""The same random sequences with ads: enabling and pausing break no invariant either, M13 among them (DESIGN §6)."""

from datetime import datetime, timedelta

import pytest
from ad_world import OFF, ON, ads, propose_ads, switch
from hypothesis import strategies as st
from hypothesis.stateful import rule
from machine import CRASH, FAULTS, UNDO, Loop, Shadow, run

from tasks.core import ad_rules
from tasks.core.ad_changes import AdStatusSet

ADS = [ad for _, _, ad, _ in ads()]
PARENTS = ["c1", "c2", "g1", "g2"]
A_DAY = 3
# Often one ad of a group that has others, or one for another; sometimes any, or all of a group at once.
CHOSEN = st.sampled_from([["a1"], ["a3"], ["a5"], ["a1", "a3"], ["a4", "a5"], ["a3", "a5"], ["a2"], ["a1", "a2"]]) | st.lists(
    st.sampled_from(ADS), min_size=1, max_size=3, unique=True
)


class Ads(Loop):
    """Sets that switch ads; the checks sit in ``_on_mutation``, at the moment an ad is switched."""

    def _watch_calls(self) -> None:
        self._watch_inserts()
        self.platform.ads = ads()
        self.context.policy = type(self.context.policy)(
            allowed_accounts=self.context.policy.allowed_accounts, max_ad_changes_per_day=A_DAY
        )
        real = self.platform._switch

        def switch_ad(adgroup_id: str, ad_id: str, status: str, by: str) -> None:
            if by == "aelp2":
                self._on_mutation(adgroup_id, ad_id, status)
            self._tick()
            real(adgroup_id, ad_id, status, by)
            if by == "aelp2":
                self._reached_platform(ad_id)
            self._tick()

        self.platform._switch = switch_ad  # type: ignore[method-assign]

    def _on_mutation(self, adgroup_id: str, ad_id: str, status: str) -> None:
        assert self.doing is not None
        kind, shadow = self.doing
        self.reached[kind] += 1
        ad_set = shadow.stored.verified()
        assert isinstance(ad_set, AdStatusSet)
        wanted = next(c for c in ad_set.changes if c.ad_id == ad_id)
        now = {ad: is_on for _, _, ad, is_on in self.platform.ads}
        campaign_id = next(c for c, _, ad, _ in self.platform.ads if ad == ad_id)
        self._check_switches()
        if status == ON:
            assert not self.platform.paused & {campaign_id, adgroup_id}, "M13 paused by a person"
            self.reached["enable"] += 1
        else:
            others = [ad for _, group, ad, is_on in self.platform.ads if group == adgroup_id and is_on == ON and ad != ad_id]
            assert others, "M13 last enabled ad"
        if kind == "roll back":
            assert (now[ad_id], status) == (wanted.status_after, wanted.status_before), "M9"
            return
        assert kind == "apply"
        self._check_authority(shadow)
        assert (now[ad_id], status) == (wanted.status_before, wanted.status_after), "M7"
        recent = [s for s in self.platform.switches if datetime.fromisoformat(s.at) >= self.now - timedelta(hours=24)]
        assert len(recent) + 1 <= A_DAY, "M3"
        assert ad_id not in shadow.applied, "M12"

    def _plan(self, chosen: list[str]) -> Shadow:
        now = self.platform.statuses()
        # A reason of its own makes each set another one: the same bytes again would be the same set, long closed.
        reason = f"Plan {len(self.sets)}."
        changes = [switch(ad, OFF if now[ad] == ON else ON, reason=reason) for ad in chosen]
        return self._remember(propose_ads(self.warehouse, *changes))  # type: ignore[arg-type]

    @rule(chosen=CHOSEN)
    def plan(self, chosen: list[str]) -> None:
        """Turn some ads over, also the last of a group."""
        self._plan(chosen)

    @rule(
        chosen=CHOSEN,
        is_new_day=st.sampled_from([True, True, False]),
        meddler=st.sampled_from([None] * 6 + [*ADS, *PARENTS, *PARENTS, *["swing"] * 4]),
        crash=CRASH,
        faults=FAULTS,
        undo=UNDO,
    )
    def whole_way(
        self, chosen: list[str], is_new_day: bool, meddler: str | None, crash: int | None, faults: list[str], undo: str
    ) -> None:
        """A plan on its usual way; right before it is applied somebody may turn an ad over, once or often, or pause above."""
        if is_new_day:
            self._new_day()
            self.platform.paused.clear()

        def meddle() -> None:
            if meddler in PARENTS:
                self.somebody_pauses(meddler)
            elif meddler == "swing":
                for _ in range(A_DAY + 1):
                    self.somebody_switches("a6")
            elif meddler is not None:
                self.somebody_switches(meddler)

        self._go(self._plan(chosen), meddle, crash, faults, undo)

    @rule(ad=st.sampled_from(ADS))
    def somebody_switches(self, ad: str) -> None:
        group = next(g for _, g, known, _ in self.platform.ads if known == ad)
        self.platform.edit_ad(group, ad, OFF if self.platform.statuses()[ad] == ON else ON)

    @rule(parent=st.sampled_from(PARENTS))
    def somebody_pauses(self, parent: str) -> None:
        self.platform.paused.add(parent)

    @rule()
    def somebody_enables_everything_above(self) -> None:
        self.platform.paused.clear()


@pytest.mark.slow
def test_200_sequences_of_ads_break_no_invariant() -> None:
    """M1, M3, M7, M9 to M13 hold each time an ad is switched, and ads are switched."""
    Ads.reached.clear()
    run(Ads, 200)
    assert Ads.reached["apply"] >= 40, Ads.reached
    assert Ads.reached["roll back"] >= 10, Ads.reached
    assert Ads.reached["enable"] >= 10, Ads.reached


def test_a_few_sequences_of_ads_break_no_invariant() -> None:
    """The same, short: part of the fast tests."""
    run(Ads, 8)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("rule_name", "broken"),
    [("last_ad_violations", "M13 last"), ("parent_violations", "M13 paused"), ("daily_violations", "M3")],
)
def test_without_a_rule_an_invariant_breaks(monkeypatch: pytest.MonkeyPatch, rule_name: str, broken: str) -> None:
    """Take M13 (or the day's cap) out of the code and the sequences find it: the suite goes red."""
    monkeypatch.setattr(ad_rules, rule_name, lambda *_a: [])
    with pytest.raises(AssertionError, match=broken):
        run(Ads, 200, shrinks=False)
