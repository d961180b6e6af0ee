"""Feature flags can make a run more careful and nothing else, whatever GrowthBook answers, and however it fails to."""

import dataclasses
import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, event, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from memory_warehouse import MemoryWarehouse

from tasks.core import flags_source
from tasks.core.errors import JobError, TryAgain
from tasks.core.flags import CAPS, FREEZE, AccountFlags, Tightened, evaluate, tighten
from tasks.core.flags_source import read_payload
from tasks.core.policy import Policy
from tasks.core.settings import load_settings

KEY = "sdk-test"
RUN_DATE = date(2026, 3, 2)
ACCOUNT = ("google_ads", "2000000001")


def payload(**flags: Any) -> dict[str, Any]:
    """Features with these values, nobody frozen."""
    values = {"freeze": False} | flags
    return {"features": {f"aelp2_{name}": v if isinstance(v, dict) else {"defaultValue": v} for name, v in values.items()}}


def rules_differing(policy: Policy, found: Policy) -> set[str]:
    return {f.name for f in dataclasses.fields(Policy) if getattr(policy, f.name) != getattr(found, f.name)}


# --- what a value does


def test_a_lower_cap_is_taken_and_a_higher_one_ignored() -> None:
    """M2, M3: each cap by itself; equal is kept, above is ignored, and no other rule moves."""
    policy = Policy(step_cap_pct=Decimal(4), daily_cap_pct=Decimal(8))
    found = tighten(policy, {"aelp2_step_cap_pct": 2.5, "aelp2_daily_cap_pct": 9, "aelp2_headroom_pct": 20})
    assert found.policy == dataclasses.replace(policy, step_cap_pct=Decimal("2.5"))
    assert found.effects == {"aelp2_step_cap_pct": "tightened", "aelp2_daily_cap_pct": "ignored", "aelp2_headroom_pct": "kept"}
    assert found.frozen_why == ""
    ads = tighten(policy, {"aelp2_max_ad_changes_per_day": 3.0}).policy
    assert (ads.max_ad_changes_per_day, type(ads.max_ad_changes_per_day)) == (3, int)


@pytest.mark.parametrize("value", ["2", "", None, True, [], {}, -1, float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("flag", CAPS)
def test_what_is_no_cap_freezes_and_is_named(flag: str, value: Any) -> None:
    """An absurd value is never taken for "no limit": it is the careful choice, with flag and value in the reason."""
    found = tighten(Policy(), {flag: value})
    assert found.policy == Policy()
    assert f"flag {flag} is {json.dumps(value)}, not a number of 0 and more" in found.frozen_why


@pytest.mark.parametrize("value", ["false", "true", None, 0, 1, [], {}])
def test_only_false_does_not_freeze(value: Any) -> None:
    """`aelp2_freeze` is true or false; near it is frozen."""
    assert f"flag {FREEZE} is {json.dumps(value)}, not true or false" in tighten(Policy(), {FREEZE: value}).frozen_why
    assert tighten(Policy(), {FREEZE: True}).frozen_why == f"flag {FREEZE} is on; it is taken off in GrowthBook"
    assert tighten(Policy(), {FREEZE: False}) == Tightened(Policy(), "", {FREEZE: "kept"})


def test_half_an_ad_is_absurd() -> None:
    """A number of ads is whole."""
    assert "is 2.5, not a number" in tighten(Policy(), {"aelp2_max_ad_changes_per_day": 2.5}).frozen_why


# --- any JSON

leaves = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.integers(0, 30) | st.floats(0, 12)
any_json = st.recursive(
    leaves, lambda j: st.lists(j, max_size=3) | st.dictionaries(st.text(max_size=8), j, max_size=3), max_leaves=8
)
account_condition = st.fixed_dictionaries({"account": st.sampled_from(["google_ads:2000000001", "google_ads:2"])})


def features(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """A feature that GrowthBook could serve with ``values``, targeted and experimented with, or, one in six, anything at all."""
    own = {
        "force": values,
        "condition": account_condition,
        "coverage": st.floats(0, 1),
        "hashAttribute": st.sampled_from(["id", "account", "nothing"]),
        "variations": st.lists(values, max_size=3),
        "weights": st.lists(st.floats(0, 1), max_size=3),
        "key": st.text(max_size=4),
        "parentConditions": st.lists(st.fixed_dictionaries({"id": st.sampled_from([FREEZE, "other"]), "condition": any_json})),
    }
    sane = st.fixed_dictionaries({}, optional=own)
    wild = st.fixed_dictionaries({}, optional={name: any_json | strategy for name, strategy in own.items()} | {"meta": any_json})
    good = st.fixed_dictionaries({"defaultValue": values}, optional={"rules": st.lists(sane, max_size=3)})
    bad = st.fixed_dictionaries({"defaultValue": any_json}, optional={"rules": st.lists(wild, max_size=3)}) | any_json
    return st.integers(0, 5).flatmap(lambda n: bad if n == 5 else good)


payloads = st.fixed_dictionaries(
    {
        "features": st.fixed_dictionaries(
            {FREEZE: features(st.sampled_from([False, False, False, True]))},
            optional=dict.fromkeys([*CAPS, "other"], features(st.integers(0, 30) | st.floats(0, 12))),
        )
    },
    optional={"savedGroups": any_json},
)
policies = st.builds(
    Policy,
    step_cap_pct=st.decimals(0, 5, places=3),
    daily_cap_pct=st.decimals(0, 10, places=3),
    headroom_pct=st.decimals(0, 100, places=1),
    max_ad_changes_per_day=st.integers(0, 100),
)


@pytest.mark.slow
@given(policy=policies, answer=payloads)
@hypothesis_settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_no_flags_loosen_any_rule(policy: Policy, answer: dict[str, Any]) -> None:
    """M2, M3: for any features JSON the caps are at most the policy's and all else is the policy's, or the job ends."""
    try:
        values = evaluate(answer, *ACCOUNT).values
    except JobError:
        event("the job ends")
        return
    found = tighten(policy, values)
    event("frozen" if found.frozen_why else "tightened" if found.policy != policy else "as it was")
    assert rules_differing(policy, found.policy) <= set(CAPS.values())
    for name in CAPS.values():
        assert 0 <= getattr(found.policy, name) <= getattr(policy, name)
        assert type(getattr(found.policy, name)) is type(getattr(policy, name))
    assert bool(found.frozen_why) or values[FREEZE] is False
    assert len(found.policy.sha256()) == 64


@given(values=st.dictionaries(st.sampled_from([FREEZE, *CAPS]), leaves | any_json), more=any_json)
def test_a_freeze_only_adds(values: dict[str, Any], more: Any) -> None:
    """No value of one flag takes away what another one froze."""
    for flag in (FREEZE, *CAPS):
        rest = {name: value for name, value in values.items() if name != flag}
        alone = tighten(Policy(), rest)
        both = tighten(Policy(), rest | {flag: more})
        assert both.frozen_why.startswith(alone.frozen_why)


# --- what the SDK makes of GrowthBook's rules


def test_a_rule_holds_for_its_account_alone() -> None:
    """Targeting is by the attribute `account`, platform:account."""
    answer = payload(freeze={"defaultValue": False, "rules": [{"condition": {"account": "google_ads:1"}, "force": True}]})
    assert evaluate(answer, "google_ads", "1").values == {FREEZE: True}
    assert evaluate(answer, "google_ads", "2").values == {FREEZE: False}


def test_an_experiment_is_logged_with_its_variation(store: MemoryWarehouse, tmp_path: Path) -> None:
    """The SDK's tracking callback fills the table: also for the variation that changes nothing, once a day."""
    rule = {"key": "calm-steps", "hashAttribute": "id", "variations": [5, 2], "weights": [0.5, 0.5], "coverage": 1}
    answer = payload(step_cap_pct={"defaultValue": 5, "rules": [rule]}, headroom_pct=10, daily_cap_pct=50)
    file = tmp_path / "features.json"
    file.write_text(json.dumps(answer))
    for _ in range(2):
        flags = AccountFlags(load_settings({"AELP2_FLAGS": str(file)}), store)
        caps = {str(n): flags.tightened(Policy(), "google_ads", str(n), RUN_DATE).policy.step_cap_pct for n in range(20)}
        assert flags.tightened(Policy(), "google_ads", "0", RUN_DATE).policy.step_cap_pct == caps["0"]
    assert set(caps.values()) == {Decimal(5), Decimal(2)}
    rows = store.query("SELECT * FROM control.flag_exposures").to_dicts()
    assert len(rows) == 40
    seen = {r["account_id"]: r for r in rows if r["flag"] == "aelp2_step_cap_pct"}
    for account, cap in caps.items():
        row = seen[account]
        assert (row["experiment_id"], row["variation"]) == ("calm-steps", "1" if cap == 2 else "0")
        assert (row["value_json"], row["effect"]) == (("2", "tightened") if cap == 2 else ("5", "kept"))
    others = {(r["flag"], r["experiment_id"], r["effect"]) for r in rows if r["flag"] != "aelp2_step_cap_pct"}
    assert others == {("aelp2_headroom_pct", None, "tightened")}


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ({"features": {}}, "do not hold aelp2_freeze"),
        (payload(step_cap=1), r"unknown flags \['aelp2_step_cap'\]; known: aelp2_freeze, "),
        (payload() | {"encryptedFeatures": "abc.def"}, "SDK cannot evaluate the flags for google_ads:2000000001"),
        ({"features": {FREEZE: "on"}}, "SDK cannot evaluate"),
        ({"features": {FREEZE: {"rules": 3}}}, "SDK cannot evaluate"),
    ],
)
def test_flags_that_make_no_sense_end_the_job(answer: dict[str, Any], message: str) -> None:
    """Flags of another project, a misspelt cap, a shape the SDK does not take: nobody goes on without them."""
    with pytest.raises(JobError, match=message):
        evaluate(answer, *ACCOUNT)


# --- reading


class Service:
    """GrowthBook's features endpoint on loopback, with faults."""

    def __init__(self) -> None:
        self.mode, self.asked, self.over = "ok", [], threading.Event()
        service = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                service.asked.append(self.path)
                service.answer(self)

            def log_message(self, *_args: Any) -> None:
                """Quiet."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        body = json.dumps({"status": 200} | payload(step_cap_pct=3)).encode()
        if self.mode == "hang":
            self.over.wait()
            return
        status = int(self.mode) if self.mode.isdigit() else 200
        if handler.path != f"/api/features/{KEY}":
            status, body = 400, b'{"status": 400, "error": "Invalid API key"}'
        if self.mode == "garbage":
            body = b"<html>maintenance</html>"
        handler.send_response(status)
        handler.send_header("Content-Length", str(len(body) + {"cut": 100, "drip": 10**9}.get(self.mode, 0)))
        handler.end_headers()
        if self.mode == "drip":
            while not self.over.wait(0.1):
                handler.wfile.write(b" ")
            return
        handler.wfile.write(body)

    def close(self) -> None:
        self.over.set()
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def service() -> Iterator[Service]:
    made = Service()
    yield made
    made.close()


def key_file(folder: Path, key: str = KEY, mode: int = 0o600) -> str:
    file = folder / "client_key"
    file.write_text(f"{key}\n")
    file.chmod(mode)
    return str(file)


def read(service: Service, folder: Path, **key: Any) -> dict[str, Any]:
    env = {"AELP2_FLAGS": service.url, "AELP2_FLAGS_CLIENT_KEY_FILE": key_file(folder, **key)}
    return read_payload(load_settings(env))


def test_the_features_endpoint_is_read_with_the_key_of_the_file(service: Service, tmp_path: Path) -> None:
    """Host and key file, or the whole address, give the same."""
    assert read(service, tmp_path) == {"status": 200} | payload(step_cap_pct=3)
    assert read_payload(load_settings({"AELP2_FLAGS": f"{service.url}/api/features/{KEY}"}))["features"]
    assert service.asked == [f"/api/features/{KEY}"] * 2


@pytest.mark.parametrize(
    ("mode", "kind", "message"),
    [
        ("500", TryAgain, "answers HTTP 500"),
        ("429", TryAgain, "answers HTTP 429"),
        ("401", JobError, "answers HTTP 401; check the address and the client key"),
        ("garbage", JobError, "gives no JSON"),
        ("cut", TryAgain, "was cut off"),
        ("hang", TryAgain, r"did not answer within 0\.5 s|timed out"),
        ("drip", TryAgain, r"did not answer within 0\.5 s|timed out"),
    ],
)
def test_a_service_that_fails_ends_the_job_soon(
    service: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: str, kind: type[JobError], message: str
) -> None:
    """No fault passes for "no flags", one that never ends does not hold the job, and no message tells the client key."""
    is_endless = mode in ("hang", "drip")  # a job that waited for the answer's end would wait here for ever
    monkeypatch.setattr(flags_source, "DEADLINE_SECONDS", 0.5 if is_endless else 300.0)
    service.mode = mode
    with pytest.raises(JobError, match=message) as raised:
        read(service, tmp_path)
    assert type(raised.value) is kind
    assert KEY not in str(raised.value)


def test_a_wrong_key_and_a_dead_port_end_the_job(service: Service, tmp_path: Path) -> None:
    """GrowthBook answers 400 to a key it does not know; a port where nobody listens is a passing fault."""
    with pytest.raises(JobError, match="answers HTTP 400"):
        read(service, tmp_path, key="sdk-other")
    service.close()
    with pytest.raises(TryAgain, match="cannot be reached"):
        read(service, tmp_path)


def test_a_key_file_that_others_can_read_or_that_holds_no_key_is_refused(service: Service, tmp_path: Path) -> None:
    """As with other credentials."""
    with pytest.raises(JobError, match="has mode 0644"):
        read(service, tmp_path, mode=0o644)
    with pytest.raises(JobError, match="holds no client key"):
        read(service, tmp_path, key="a b/c")
    with pytest.raises(JobError, match="does not exist"):
        read_payload(load_settings({"AELP2_FLAGS": service.url, "AELP2_FLAGS_CLIENT_KEY_FILE": str(tmp_path / "none")}))
    assert service.asked == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no JSON"),
        ("[]", "without a mapping"),
        ('{"features": []}', "without a mapping"),
        ('{"a": "\\ud800"}', "no JSON"),
        ("[" * 100_000, "no JSON"),
        ('{"a": ' + "9" * 5000 + "}", "no JSON"),
    ],
)
def test_a_file_that_is_no_features_file_ends_the_job(tmp_path: Path, text: str, message: str) -> None:
    """Also what breaks a parser, or would break the table."""
    file = tmp_path / "features.json"
    with pytest.raises(JobError, match="there is no such file"):
        read_payload(load_settings({"AELP2_FLAGS": str(file)}))
    file.write_text(text)
    with pytest.raises(JobError, match=message):
        read_payload(load_settings({"AELP2_FLAGS": str(file)}))


def test_without_the_setting_nothing_is_read_or_imported() -> None:
    """Off by default: the policy as it is, no table made, and the SDK is not even loaded."""
    code = (
        "import sys; from datetime import date; from tasks.core.flags import AccountFlags; from tasks.core.policy import Policy\n"
        "from tasks.core.settings import load_settings\n"
        "p = Policy(); t = AccountFlags(load_settings({}), None).tightened(p, 'google_ads', '1', date(2026, 3, 2))\n"
        "print(t.policy is p, t.frozen_why == '', 'growthbook' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["True", "True", "False"]


def test_a_missing_sdk_ends_the_job(monkeypatch: pytest.MonkeyPatch) -> None:
    """Flags that are set but cannot be evaluated are not left out."""
    monkeypatch.setitem(sys.modules, "growthbook", None)
    with pytest.raises(JobError, match="is not installed; it is the extra `flags`"):
        evaluate(payload(), *ACCOUNT)
