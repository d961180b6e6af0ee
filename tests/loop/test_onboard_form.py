"""A person brings a platform in from the Airflow UI: the form in a real browser, jobs on a real scheduler, the sandbox behind."""

import json
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tasks.core.warehouse.duckdb import DuckDBWarehouse
from tasks.lab.process import RunningSandbox, sandbox_process

ROOT = Path(__file__).resolve().parents[2]
AIRFLOW = ROOT / ".venv-airflow" / "bin" / "python"
ARGUMENTS = (
    "--headless --no-sandbox --disable-gpu --disable-background-networking --disable-component-update --disable-sync "
    "--no-first-run"
)
pytestmark = [
    pytest.mark.skipif(shutil.which("chromium") is None, reason="needs Debian's chromium"),
    pytest.mark.skipif(not AIRFLOW.exists(), reason="needs Airflow's environment: scripts/bootstrap.sh"),
]
ACCOUNT, PLATFORM = "t2_acme01", "reddit"
PATIENCE_MS = 300_000  # for each thing that the browser waits for


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningSandbox]:
    with sandbox_process(state_dir=tmp_path_factory.mktemp("sandbox"), world="everywhere", history_days=60) as sandbox:
        yield sandbox


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("work")


@pytest.fixture(scope="module")
def airflow(running: RunningSandbox, work: Path) -> Iterator[dict[str, str]]:
    """Airflow with jobs that may make things in the sandbox."""
    policy = work / "policy.yaml"
    policy.write_text(f'allowed_accounts: ["{PLATFORM}:{ACCOUNT}"]\n')
    env = running.env | {
        "AELP2_MODE": "live",
        "AELP2_CLI": str(ROOT / ".venv" / "bin" / "aelp2"),
        "AELP2_WORK_DIR": str(work),
        "AELP2_DUCKDB_PATH": str(work / "warehouse.duckdb"),
        "AELP2_NAME_SALT_FILE": str(work / "salt"),
        "AELP2_POLICY": str(policy),
        "NO_PROXY": "localhost,127.0.0.1",
        "no_proxy": "localhost,127.0.0.1",
    }
    with subprocess.Popen(
        [AIRFLOW, Path(__file__).with_name("serve_airflow.py"), work / "airflow"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(json.dumps(env) + "\n")
        process.stdin.flush()
        try:
            yield json.loads(process.stdout.readline())
        finally:
            process.stdin.close()
            process.wait(timeout=600)


@pytest.fixture(scope="module")
def page(airflow: dict[str, str]) -> Iterator[Any]:
    """A browser in which the operator has signed in."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        chromium = {"executable_path": shutil.which("chromium"), "args": ARGUMENTS.split(), "timeout": PATIENCE_MS}
        browser = playwright.chromium.launch(**chromium)
        opened = browser.new_page(viewport={"width": 1280, "height": 1000})
        opened.set_default_timeout(PATIENCE_MS)
        opened.goto(f"{airflow['url']}/auth/login")
        opened.get_by_label("Username").fill(airflow["user"])
        opened.get_by_label("Password").fill(airflow["password"])
        opened.get_by_role("button", name="Sign in").click()
        opened.wait_for_url("**/")
        yield opened
        browser.close()


def trigger_by_form(page: Any, url: str) -> str:
    """Open the DAG's form, fill it in as a person would, and send it; the address of the run."""
    page.goto(f"{url}/dags/platform_onboard")
    page.get_by_role("button", name="Trigger").first.click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("combobox").first.click()
    page.get_by_role("option", name=PLATFORM, exact=True).click()
    dialog.locator("#element_account").fill(ACCOUNT)
    dialog.locator("label[id='switch:element_skeleton']").click()
    dialog.locator("#element_landing_url").fill("https://shop.example.test/spring?ref=1")
    dialog.locator("input[name=element_budget]").fill("35")
    dialog.locator("#element_label").fill("spring")
    dialog.get_by_role("button", name="Trigger").click()
    dialog.wait_for(state="hidden")
    page.wait_for_url("**/dags/platform_onboard/runs/**")
    return str(page.url)


def made(running: RunningSandbox) -> list[dict[str, Any]]:
    return [one for one in running.admin.state()["created"] if one["platform"] == PLATFORM]


def until_green(page: Any, airflow: dict[str, str], run_id: str) -> None:
    """Wait for the end of the run as the UI's own requests see it."""
    address = f"{airflow['url']}/api/v2/dags/platform_onboard/dagRuns/{run_id}"
    deadline = time.monotonic() + 900
    while time.monotonic() < deadline:
        state = page.request.get(address).json()["state"]
        if state in ("success", "failed"):
            tasks = page.request.get(f"{address}/taskInstances").json()["task_instances"]
            assert state == "success", {task["task_id"]: task["state"] for task in tasks}
            return
        time.sleep(0.5)
    raise AssertionError(f"{run_id} did not end")


def test_the_form_makes_one_paused_skeleton_however_often_it_is_sent(
    page: Any, airflow: dict[str, str], running: RunningSandbox, work: Path
) -> None:
    """Filled in and sent twice: one campaign, one ad group, one ad, all paused, with UTM parameters and one row on record."""
    for _ in range(2):
        url = trigger_by_form(page, airflow["url"])
        until_green(page, airflow, url.rstrip("/").rpartition("/runs/")[2])
    kinds = {one["kind"]: one for one in made(running)}
    assert len(made(running)) == 3
    assert set(kinds) == {"campaign", "adgroup", "ad"}
    assert not any(one["is_enabled"] for one in kinds.values())
    label = "aelp2-reddit-t2-acme01-spring"
    led = kinds["ad"]["fields"]["click_url"]
    assert led == f"https://shop.example.test/spring?ref=1&utm_source=reddit&utm_medium=paid&utm_campaign={label}"
    rows = DuckDBWarehouse(work / "warehouse.duckdb").query(
        "SELECT label, campaign_id, daily_budget_micros FROM control.platform_skeletons"
    )
    assert rows.rows() == [(label, str(kinds["campaign"]["id"]), 35_000_000)]
