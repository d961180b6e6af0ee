"""Every word of the report that is not a number: names, glosses, and how amounts and dates are written. One place to edit."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import date, datetime

from tasks.core.money import MICROS, format_micros
from tasks.core.segments import PROSPECTING, REMARKETING, whole

OUTCOMES = {"new_customers": "new customers", "revenue": "revenue"}
PERIODS = {1: "day", 7: "week"}
PLATFORMS = {"google_ads": "Google Ads", "imported": "Imported numbers"}
_CHANNELS = {
    "SEARCH_BRAND": "Search brand",
    "SEARCH_NONBRAND": "Search non-brand",
    "YOUTUBE": "YouTube",
    "DEMAND_GEN": "Demand Gen",
    "PMAX": "Performance Max",
}
# What a change set is in after each event of the whole set: a word, and how good it is.
STATES = {
    "proposed": ("waiting for a decision", "wait"),
    "approved": ("approved, not applied yet", "wait"),
    "snapshot": ("approved, not applied yet", "wait"),
    "validated": ("checked by the platform, not applied yet", "wait"),
    "applied": ("applied", "wait"),
    "verified": ("applied, being watched", "wait"),
    "promoted": ("kept after its watch", "good"),
    "breached": ("a safety check failed", "bad"),
    "rolled_back": ("rolled back", "bad"),
    "failed": ("applying it failed", "bad"),
    "blocked": ("stopped, a person must look", "bad"),
    "rejected": ("rejected", "wait"),
    "expired": ("expired unanswered", "wait"),
}
CHECK_VERDICTS = {"PASS": ("passed", "good"), "REVIEW": ("look at it", "warn"), "FAIL": ("failed", "bad")}
MODEL_VERDICTS = {"PASS": ("healthy", "good"), "REVIEW": ("usable with care", "warn"), "FAIL": ("not usable", "bad")}
# What a guardrail of the watch asks for, said of one check and of the canary as a whole.
CHECK_RESULTS = {"promote": ("holds", "good"), "keep_watching": ("not clear yet", "warn"), "roll_back": ("breached", "bad")}
WATCH_RESULTS = {
    "promote": ("keep the change", "good"),
    "keep_watching": ("keep watching", "wait"),
    "roll_back": ("roll back", "bad"),
}
DRIFT = {"stops": ("no: planning waits for a person", "bad"), "open": ("nothing stops a plan", "good")}
DATASETS = {
    "ads_facts": "Ads",
    "journeys": "Website",
    "model_features": "What the model sees",
    "model_residuals": "What the model does not explain",
}
FIDELITY = {
    "pass": ("yes", "good"),
    "fail": ("no", "bad"),
    "blocked": ("cannot be told", "bad"),
}
FIDELITY_RESULTS = {
    "pass": ("within", "good"),
    "fail": ("beyond", "bad"),
    "blocked": ("data is missing", "bad"),
    "info": ("not judged", "wait"),
}
FIDELITY_METRICS = {
    "mape_cac": "Error of the cost per new customer (MAPE)",
    "mape_roas": "Error of the return on spend (MAPE)",
    "rmse": "Error of the outcome (RMSE)",
    "nrmse": "Error of the outcome over its mean",
    "ks": "Gap between what came and its forecast (KS)",
    "coverage_90": "Inside the 90 % interval, at least",
}
READY = {
    "ready": ("ready", "good"),
    "not_ready": ("not ready", "bad"),
    "outdated": ("not assessed today", "warn"),
    "not_assessed": ("not assessed", "warn"),
}
READY_RESULTS = {True: ("✓ in order", "good"), False: ("✗ stands in the way", "bad")}
READY_CHECKS = {
    "freshness": "Is the data fresh?",
    "gates": "Did the data pass its checks?",
    "model": "Is a reviewed model in force?",
    "drift": "Is the data still like before?",
    "fidelity": "Did predictions come true?",
    "incidents": "Is no change set left half done?",
    "switches": "Is nothing stopped or frozen?",
    "ledger": "Does the change log verify?",
    "approvals": "Is no old question open?",
}
ARM_ROLES = {
    "leads": ("leads its group", "good"),
    "kept_last": ("too dear, kept as the last one", "bad"),
    "dropped": ("dropped: too dear", "bad"),
    "dear": ("too dear, ends its minimum sample", "bad"),
    "fatigued": ("tired", "warn"),
    "trial": ("on trial: too little spent to judge", "wait"),
    "explored": ("explored", "wait"),
    "unpaid": ("gets nothing today", "wait"),
    "undecided": ("not decided about", "wait"),
}
AD_STATUSES = {
    "ENABLED": ("enabled", "good"),
    "PAUSED": ("paused", "wait"),
    "parent_paused": ("enabled, but paused above it", "warn"),
    "unknown": ("not loaded", "warn"),
}
AD_SET_STATES = {"shadow": ("proposed only: shadow mode", "wait")}  # beside those of STATES
AD_OUTCOMES = {
    "untouched": ("not switched", "wait"),
    "mutate_intended": ("sent, no answer written down", "warn"),
    "applied": ("switched, not verified yet", "wait"),
    "verified": ("switched and read back", "good"),
    "rollback_intended": ("being switched back", "warn"),
    "rolled_back": ("switched back", "bad"),
    "failed": ("the platform refused", "bad"),
    "blocked": ("found otherwise, a person must look", "bad"),
}
AD_CONSTRAINTS = {
    "kept": "kept as they are",
    "already": "already as wanted",
    "ad_gone": "not among the loaded ads",
    "status": "neither enabled nor paused",
    "account_frozen": "account frozen",
    "other_set": "another set is open in the ad group",
    "paused_by_a_person": "paused by a person",
    "not_serving": "its ad group or campaign does not serve",
    "resting": "taken back lately, rests",
    "critical_drift": "critical drift in the account",
    "by_hand": "the platform's API switches no ads",
    "last_enabled_ad": "last enabled ad of the group",
    "campaign": "moved to another campaign",
    "ad_changes_per_day": "the cap on switches a day",
}
RESOURCES = {"CAMPAIGN_BUDGET": "Budget", "AD_GROUP_AD": "Ad", "AD_GROUP": "Ad group", "CAMPAIGN": "Campaign"}
SEVERITIES = {"info": "wait", "warning": "warn", "critical": "bad"}
LOADS = {"succeeded": "good", "running": "warn", "warning": "warn", "failed": "bad", "critical": "bad"}
GUARDRAILS = {
    "blended_cac": "Cost per new customer",
    "spend": "Highest daily spend",
    "delivery": "Still delivering",
    "out_of_band_edit": "Edited by somebody else",
}
CHECKS = {
    "convergence_r_hat": "Do repeated runs agree? (R-hat)",
    "convergence_ess": "Enough independent samples? (ESS)",
    "divergences": "Sampler got stuck (divergences)",
    "fit_r2": "Ups and downs explained (R²)",
    "fit_coverage": "Past periods inside the band",
    "holdout_mape": "Forecast error on unseen periods",
    "holdout_coverage": "Unseen periods inside the band",
    "negative_baseline": "Sales without ads below zero",
    "media_share": "Share of outcome credited to ads",
    "implausible_roi": "A return too good to be true",
    "prior_to_posterior": "How much the data taught",
    "trust": "Model family",
}
SHARES = {"fit_r2", "fit_coverage", "holdout_mape", "holdout_coverage", "negative_baseline", "media_share", "prior_to_posterior"}
CONSTRAINTS = {
    "none": "nothing",
    "total_constant": "the total stays the same",
    "financing": "money freed elsewhere",
    "cac_probability": "not sure enough that more spend stays within target",
    "daily_cap": "most that may move in a day",
    "historical_cap": "highest spend seen so far",
    "floor": "floor set by the policy",
    "ceiling": "ceiling set by the policy",
    "minimum_unit": "smallest amount there is",
    "below_min_step": "step too small to be worth it",
    "rounding": "step rounds to nothing",
    "no_gain": "no gain expected",
    "at_optimum": "already where it should be",
    "learning_phase": "resting after an earlier change",
    "open_canary": "an earlier change is being watched",
    "fixed_campaign": "fixed by the policy",
    "not_limited_by_budget": "does not spend what it has",
    "not_in_model": "channel not in the model",
    "account_frozen": "account frozen",
    "not_enabled": "budget not enabled",
    "members_unknown": "its campaigns are not all known",
}
# Who says what share of the conversions a channel has.
METHODS = {
    "last": "last touch",
    "markov_1": "removal effect (Markov)",
    "shapley": "fair share (Shapley)",
    "mmm": "the model",
}
SOURCES = {"ga4": "GA4 property", "google_ads": "Google Ads account"}
EFFECT_KINDS = {
    "causal": ("Causal: who was treated was drawn by lot", "good"),
    "observational": ("Observational: nobody drew lots, so other causes may be at work", "warn"),
}
GLOSSARY = {
    "Blended CAC": "customer acquisition cost: all ad spend divided by all new customers, whichever ad claims them.",
    "Next customer": "what one more new customer would cost. It is more than the average, because each further unit of spend "
    "brings less.",
    "90 % interval": "the model gives nine in ten odds that the true value lies inside.",
    "Optimal": "the best split of the same total the model finds when no channel may move by more than half of its spend.",
    "Proposed": "one small, capped step towards the optimum. The plan repeats it day by day while it keeps working.",
    "Held-out periods": "the newest periods, hidden from a test fit and then forecast. They show how it does on the unseen.",
    "Watch": "the days after a change in which it is undone by itself if a safety check fails.",
    "Attribution": "attribution says who was present, the model says who caused. A channel that meets people who would have "
    "bought anyway is present at many conversions and causes few.",
    "Qini curve": "conversions won by treating a growing share of people, those with the largest expected effect first.",
    "Hash": "a fingerprint. The approval holds for exactly these bytes, and each row of the change log seals the one before.",
}


def channel_name(code: str) -> str:
    """``SEARCH_NONBRAND`` as a person writes it; a name brought by an import only loses its underscores."""
    if code.isupper() and whole(code) in _CHANNELS and whole(code) != code:
        return f"{_CHANNELS[whole(code)]}{code.removeprefix(whole(code)).replace('_', ', ').lower()}"
    plain = code.replace("_", " ")
    return _CHANNELS.get(code, plain.capitalize() if code.isupper() else plain)


def readable(text: str) -> str:
    """A sentence out of a table, with the platforms' channels by their names."""
    return re.sub(
        "|".join(rf"\b{code}(?:{PROSPECTING}|{REMARKETING})?\b" for code in _CHANNELS), lambda found: channel_name(found[0]), text
    )


def disagreement(detail: str) -> str:
    """A finding of the cross-check with its method in words."""
    return re.sub(r": (last|markov_1) gives ", lambda found: f": {METHODS[found[1]]} gives ", detail)


def scope_name(scope: str) -> str:
    """``google_ads:123`` → ``Google Ads account 123``."""
    platform, _, account = scope.partition(":")
    return f"{PLATFORMS.get(platform, platform)} account {account}" if account else "all accounts"


def person(user: str) -> str:
    """A user name; of an e-mail address only what stands before the @, for the page may go anywhere."""
    return user.partition("@")[0]


def constraint(code: str) -> str:
    """What kept a budget from moving further, for example ``step_cap_5_pct`` → ``5 % a step``."""
    step = re.fullmatch(r"step_cap_(.+)_pct", code)
    return f"{step[1]} % a step" if step else CONSTRAINTS.get(code, code.replace("_", " "))


def ad_constraint(decision: str, code: str) -> str:
    """What became of a bandit's decision about an ad, for example ``last enabled ad of the group``."""
    proposed = {"enable": "proposed to be enabled", "pause": "proposed to be paused"}
    return proposed.get(decision) or AD_CONSTRAINTS.get(code, code.replace("_", " "))


def guardrail(name: str) -> str:
    """``spend:7001`` → ``Highest daily spend, budget 7001``."""
    kind, _, budget = name.partition(":")
    words = GUARDRAILS.get(kind, kind.replace("_", " "))
    return f"{words}, budget {budget}" if budget else words


def check_value(name: str, value: float | None) -> str:
    """A measured value of a health check; shares are shown in percent."""
    if value is None:
        return "–"
    return percent(value, 1) if name in SHARES else f"{value:.3g}"


def check_asked(name: str, threshold: str | None) -> str:
    """The threshold in words, in percent where the value is."""
    if threshold is None or name not in SHARES:
        return threshold or "–"
    return re.sub(r"[≤≥] ([\d.]+)", lambda found: f"{found[0][0]} {percent(float(found[1]))}", threshold)


def conversion(source: str, account: str, action: str) -> str:
    """``purchase, GA4 property 123``; an ad platform knows its actions by number."""
    what = action if source == "ga4" else f"conversion action {action}"
    return f"{what}, {SOURCES.get(source, source)} {account}"


def arrival(day_50: int | None, day_95: int | None) -> str:
    """How long conversions take, in a sentence without its subject."""
    if day_50 is None:
        return "half have not come within the days seen"
    half = "half arrive on the day of the click" if day_50 == 0 else f"half have arrived {plural(day_50, 'day')} after the click"
    rest = "95 % not within the days seen" if day_95 is None else f"95 % after {plural(day_95, 'day')}"
    return f"{half}, {rest}"


def _typeset(number: str) -> str:
    """A true minus, and no line break between a number and its unit."""
    return number.replace("-", "−").replace(" ", "\u00a0")


def amount(micros: int | None, currency: str) -> str:
    """Exact to the cent: ``1,234.50 USD``."""
    return "–" if micros is None else _typeset(format_micros(round(micros / 10_000) * 10_000, currency))


def about(micros: float, currency: str) -> str:
    """Rounded for a sentence: cents only below ten."""
    value = micros / MICROS
    return _typeset(f"{value:,.{2 if abs(value) < 10 and value != round(value) else 0}f} {currency}")


def signed(value: float, digits: int = 1) -> str:
    """With its sign and a true minus; what rounds to nothing has no minus."""
    return _typeset(f"{value:+z,.{digits}f}")


def outcome_change(value: float, target: str, currency: str) -> str:
    """``+7.8 new customers`` or ``+1,200 USD revenue``."""
    return f"{signed(value)} new customers" if target == "new_customers" else f"{signed(value, 0)} {currency} revenue"


def percent(share: float | None, digits: int = 0) -> str:
    """A share in percent."""
    return "–" if share is None else _typeset(f"{share * 100:.{digits}f} %")


def day(value: date | None) -> str:
    """``26 Feb 2026``."""
    return "–" if value is None else f"{value.day} {value:%b %Y}".replace(" ", "\u00a0")


def span(first: date, last: date) -> str:
    """``26 Feb 2026 to 28 Feb 2026``, or the one day."""
    return day(first) if first == last else f"{day(first)} to {day(last)}"


def when(value: datetime | None) -> str:
    """``26 Feb 2026, 11:02 UTC``."""
    return "–" if value is None else f"{day(value)}, {value:%H:%M} UTC"


def listed(names: Iterable[str]) -> str:
    """``a``, ``a and b``, ``a, b and c``; each once, in the order given."""
    unique = list(dict.fromkeys(names))
    return " and ".join([", ".join(unique[:-1]), unique[-1]] if len(unique) > 1 else unique)


def plural(count: int, one: str) -> str:
    """``1 budget``, ``2 budgets``, ``2 entries``."""
    many = f"{one[:-1]}ies" if one.endswith("ry") else f"{one}s"
    return f"{count:,} {one if count == 1 else many}"
