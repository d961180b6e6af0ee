"""The official google-ads client from a private configuration file."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import yaml

from tasks.core.errors import JobError, TryAgain
from tasks.core.log import redact
from tasks.core.redaction import refuse_shared_file
from tasks.core.settings import Settings
from tasks.platforms.credentials import credentials_file
from tasks.platforms.google_ads.version import API_VERSION, REMEDY


def config_file(settings: Settings) -> Path:
    """AELP2_GOOGLE_ADS_CONFIG, else what `aelp2 onboard` wrote."""
    return settings.google_ads_config or credentials_file(settings, "google_ads")


def read_config(settings: Settings) -> dict[str, Any]:
    """Contents of the configuration file with endpoint and manager account from the settings laid over them.

    JobError if there is no file, or it is not YAML, reachable by others, or switches on the library's own log (it prints whole
    requests).
    """
    path = config_file(settings)
    if settings.google_ads_config is None and not path.is_file():
        raise JobError(
            f"AELP2_GOOGLE_ADS_CONFIG is not set and {path} does not exist; run `aelp2 onboard google_ads`, or name the "
            "google-ads configuration file (mode 0600), see docs/how-to/connect-google-ads.md"
        )
    if not path.is_file():
        raise JobError(f"AELP2_GOOGLE_ADS_CONFIG={path} does not exist; see docs/how-to/connect-google-ads.md")
    refuse_shared_file(path, "the Google Ads configuration")
    try:
        config = yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.YAMLError:
        # The parser's message quotes the line, which may hold a token.
        raise JobError(f"{path} is not valid YAML; compare it with google-ads.yaml in the docs") from None
    if not isinstance(config, dict):
        raise JobError(f"{path} holds no settings; it needs developer_token and credentials")
    if "logging" in config:
        raise JobError(f"remove `logging` from {path}: the library's log would print whole requests and answers")
    if key_file := config.get("json_key_file_path"):
        if not Path(key_file).is_file():
            raise JobError(f"json_key_file_path={key_file} in {path} does not exist; put the service account's key there")
        refuse_shared_file(Path(key_file), "the service account key")
    config["use_proto_plus"] = False  # raw protobuf rows read about ten times faster than the wrapped ones
    if settings.google_ads_endpoint:
        config["endpoint"] = settings.google_ads_endpoint
    if manager := settings.google_ads_login_customer_id or config.get("login_customer_id"):
        config["login_customer_id"] = str(manager).replace("-", "")
    return config


def connect(settings: Settings) -> Any:
    """A ``GoogleAdsClient`` of API_VERSION, signed in.

    JobError if the file lacks something or the sign-in is refused; TryAgain if the token server cannot be reached.
    """
    from google.ads.googleads.client import GoogleAdsClient
    from google.auth import exceptions as auth

    config = read_config(settings)
    # Failed requests are reported by us, with the request id and without the request.
    logging.getLogger("google.ads.googleads.client").setLevel(logging.CRITICAL)
    try:
        client = GoogleAdsClient.load_from_dict(config, version=API_VERSION)
        client.get_service("GoogleAdsService")
    except auth.TransportError as error:
        raise TryAgain(
            f"the sign-in server cannot be reached: {redact(str(error))[:300]}; check the network and run again"
        ) from None
    except auth.GoogleAuthError as error:
        raise JobError(
            f"Google refused the sign-in of {config_file(settings)}: {redact(str(error))[:300]}; "
            "renew refresh_token or the service account key, see docs/how-to/connect-google-ads.md"
        ) from None
    except ValueError as error:
        remedy = REMEDY if API_VERSION in str(error) else "see docs/how-to/connect-google-ads.md"
        raise JobError(f"{config_file(settings)}: {redact(str(error))}; {remedy}") from None
    return client
