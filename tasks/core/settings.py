"""Settings of one run, read from the environment. Unset means the safe thing: shadow mode, local DuckDB file."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tasks.core.errors import JobError

Mode = Literal["shadow", "live"]
Backend = Literal["duckdb", "bigquery"]
HTTP_PLATFORMS = ("meta", "linkedin", "tiktok", "reddit", "x")  # reached over HTTP; Google Ads has settings of its own


@dataclass(frozen=True)
class Settings:
    """Where data lies, what may be touched, how the platforms are reached.

    | variable | meaning | default |
    | --- | --- | --- |
    | AELP2_MODE | shadow: proposals only; live: approved changes are applied | shadow |
    | AELP2_BACKEND | duckdb or bigquery | duckdb |
    | AELP2_DUCKDB_PATH | database file | .local/warehouse.duckdb |
    | AELP2_GCP_PROJECT | BigQuery project | none |
    | AELP2_BIGQUERY_ENDPOINT | other REST endpoint, for tests | Google's |
    | AELP2_BIGQUERY_LOCATION | BigQuery location | US |
    | AELP2_POLICY | YAML file of budget rules, see tasks/core/policy.py | built-in defaults |
    | AELP2_NAME_SALT_FILE | salt for hashing names; with BigQuery unset means .local/name_salt.PROJECT | .local/name_salt |
    | AELP2_GOOGLE_ADS_CONFIG | google-ads configuration (0600) in place of google_ads.yaml in AELP2_CREDENTIALS_DIR | none |
    | AELP2_GOOGLE_ADS_ENDPOINT | host:port of another endpoint, for the sandbox | Google's |
    | AELP2_GOOGLE_ADS_LOGIN_CUSTOMER_ID | manager account | from the configuration file |
    | AELP2_CREDENTIALS_DIR | folder of the platforms' credentials, PLATFORM.yaml each (0600) | .local/credentials |
    | AELP2_SECRET_MANAGER_ENDPOINT | other REST endpoint of Secret Manager, for tests | Google's |
    | AELP2_META_ENDPOINT | base address of another endpoint, for the sandbox | the platform's |
    | AELP2_LINKEDIN_ENDPOINT | the same for LinkedIn | the platform's |
    | AELP2_TIKTOK_ENDPOINT | the same for TikTok | the platform's |
    | AELP2_REDDIT_ENDPOINT | the same for Reddit | the platform's |
    | AELP2_X_ENDPOINT | the same for X | the platform's |
    | AELP2_OUTCOMES_URL | file or http(s) address of the business's daily outcomes as CSV | none |
    | AELP2_FX_RATES | the ECB's daily reference rates as CSV or its zip: file, or http(s) address | none |
    | AELP2_REPORTING_CURRENCY | currency that amounts are reported in, such as USD | the one of all ad accounts |
    | AELP2_GA4_EXPORT | the GA4 export: dataset my-project.analytics_123456, or folder of analytics_PROPERTY folders | none |
    | AELP2_SERVER_EVENTS | server events: folder of NDJSON and CSV files, one such file, or an http(s) address | none |
    | AELP2_EXPERIMENTS | experiments: folder of CSV files, one such file, or an http(s) address | none |
    | AELP2_REPORT_DIR | where reports are written: a folder, or gs://bucket/prefix | .local/reports |
    | AELP2_MMM_MODEL | pymc_mmm, or bootstrap_loglog (low trust) | pymc_mmm |
    | AELP2_FLAGS | GrowthBook's feature flags, which only tighten the policy: file, or http(s) address | none |
    | AELP2_FLAGS_CLIENT_KEY_FILE | file with GrowthBook's client key (0600), where AELP2_FLAGS names the host alone | none |
    | AELP2_ACTOR | who runs the job, for the ledger | job |
    """

    mode: Mode
    backend: Backend
    duckdb_path: Path
    gcp_project: str | None
    bigquery_endpoint: str | None
    bigquery_location: str
    policy_path: Path | None
    name_salt_file: Path
    google_ads_config: Path | None
    google_ads_endpoint: str | None
    google_ads_login_customer_id: str | None
    credentials_dir: Path
    secret_manager_endpoint: str | None
    meta_endpoint: str | None
    linkedin_endpoint: str | None
    tiktok_endpoint: str | None
    reddit_endpoint: str | None
    x_endpoint: str | None
    outcomes_url: str | None
    fx_rates: str | None
    reporting_currency: str | None
    ga4_export: str | None
    server_events: str | None
    experiments: str | None
    report_dir: str
    mmm_model: str
    flags: str | None
    flags_client_key_file: Path | None
    actor: str

    @property
    def platform_endpoints(self) -> dict[str, str]:
        """Platform → base address, for those that are to be reached elsewhere than at the platform's own."""
        given = {name: getattr(self, f"{name}_endpoint") for name in HTTP_PLATFORMS}
        return {name: url for name, url in given.items() if url}


def _choice(env: Mapping[str, str], name: str, default: str, allowed: tuple[str, ...]) -> str:
    value = env.get(name) or default
    if value not in allowed:
        raise JobError(f"{name}={value!r} is not one of {', '.join(allowed)}")
    return value


def _path(env: Mapping[str, str], name: str) -> Path | None:
    return Path(env[name]) if env.get(name) else None


def _address(env: Mapping[str, str], name: str) -> str | None:
    url = env.get(name)
    if url and not url.startswith(("https://", "http://")):
        raise JobError(f"{name}={url!r} is no address; write http://127.0.0.1:PORT/PLATFORM, as the sandbox's endpoint.json does")
    return url.rstrip("/") if url else None


def _currency(env: Mapping[str, str], name: str) -> str | None:
    code = env.get(name)
    if code and not re.fullmatch("[A-Z]{3}", code):
        raise JobError(f"{name}={code!r} is no currency; write its ISO 4217 code, such as USD")
    return code or None


def load_settings(env: Mapping[str, str] | None = None) -> Settings:
    """Settings from ``env`` (default: the process environment); JobError names a variable with a bad value."""
    env = os.environ if env is None else env
    backend = _choice(env, "AELP2_BACKEND", "duckdb", ("duckdb", "bigquery"))
    if backend == "bigquery" and not env.get("AELP2_GCP_PROJECT"):
        raise JobError("AELP2_BACKEND=bigquery needs AELP2_GCP_PROJECT, the project that holds the datasets")
    # Names of a laptop's file and those of a warehouse that others share are hashed with different salts: one never stands in for
    # the other because it happens to lie there.
    salt = f"name_salt.{env['AELP2_GCP_PROJECT']}" if backend == "bigquery" else "name_salt"
    return Settings(
        mode=_choice(env, "AELP2_MODE", "shadow", ("shadow", "live")),  # type: ignore[arg-type]  # checked above
        backend=backend,  # type: ignore[arg-type]  # checked above
        duckdb_path=_path(env, "AELP2_DUCKDB_PATH") or Path(".local/warehouse.duckdb"),
        gcp_project=env.get("AELP2_GCP_PROJECT") or None,
        bigquery_endpoint=env.get("AELP2_BIGQUERY_ENDPOINT") or None,
        bigquery_location=env.get("AELP2_BIGQUERY_LOCATION") or "US",
        policy_path=_path(env, "AELP2_POLICY"),
        name_salt_file=_path(env, "AELP2_NAME_SALT_FILE") or Path(".local") / salt,
        google_ads_config=_path(env, "AELP2_GOOGLE_ADS_CONFIG"),
        google_ads_endpoint=env.get("AELP2_GOOGLE_ADS_ENDPOINT") or None,
        google_ads_login_customer_id=env.get("AELP2_GOOGLE_ADS_LOGIN_CUSTOMER_ID") or None,
        credentials_dir=_path(env, "AELP2_CREDENTIALS_DIR") or Path(".local/credentials"),
        secret_manager_endpoint=_address(env, "AELP2_SECRET_MANAGER_ENDPOINT"),
        meta_endpoint=_address(env, "AELP2_META_ENDPOINT"),
        linkedin_endpoint=_address(env, "AELP2_LINKEDIN_ENDPOINT"),
        tiktok_endpoint=_address(env, "AELP2_TIKTOK_ENDPOINT"),
        reddit_endpoint=_address(env, "AELP2_REDDIT_ENDPOINT"),
        x_endpoint=_address(env, "AELP2_X_ENDPOINT"),
        outcomes_url=env.get("AELP2_OUTCOMES_URL") or None,
        fx_rates=env.get("AELP2_FX_RATES") or None,
        reporting_currency=_currency(env, "AELP2_REPORTING_CURRENCY"),
        ga4_export=env.get("AELP2_GA4_EXPORT") or None,
        server_events=env.get("AELP2_SERVER_EVENTS") or None,
        experiments=env.get("AELP2_EXPERIMENTS") or None,
        report_dir=env.get("AELP2_REPORT_DIR") or ".local/reports",
        mmm_model=_choice(env, "AELP2_MMM_MODEL", "pymc_mmm", ("pymc_mmm", "bootstrap_loglog")),
        flags=env.get("AELP2_FLAGS") or None,
        flags_client_key_file=_path(env, "AELP2_FLAGS_CLIENT_KEY_FILE"),
        actor=env.get("AELP2_ACTOR") or "job",
    )
