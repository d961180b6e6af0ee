"""Where right credentials are kept: a private file on this machine, or a new version of a secret in Secret Manager."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import yaml

from tasks.core.errors import JobError, TryAgain
from tasks.core.log import redact
from tasks.platforms.credentials import credentials_file

if TYPE_CHECKING:
    from tasks.core.settings import Settings

FILE, SECRET_MANAGER = "file", "secret-manager"
_LOOPBACK = {"localhost", "127.0.0.1", "::1"}


def store_in_file(settings: Settings, platform: str, checked: Path) -> str:
    """Let the ``checked`` file take the place of the stored one, in one step; says where."""
    target = credentials_file(settings, platform)
    checked.replace(target)
    _sync_folder(target.parent)
    other = settings.google_ads_config if platform == "google_ads" else None
    if other is not None and other.resolve() != target.resolve():
        return f"stored in {target}; jobs go on reading AELP2_GOOGLE_ADS_CONFIG={other} until it is unset or names this file"
    return f"stored in {target}"


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@dataclass(frozen=True)
class SecretManager:
    """Secret ``aelp2-PLATFORM`` of the project in the settings, which the jobs' pods mount as PLATFORM.yaml."""

    settings: Settings

    def add(self, platform: str, values: Mapping[str, str]) -> str:
        """Add a version; make the secret if there is none. Says which version it is."""
        from google.api_core import exceptions

        client, secret = self._client(), self._secret(platform)
        payload = {"data": yaml.safe_dump(dict(values)).encode()}

        def add_version() -> Any:
            return client.add_secret_version(request={"parent": secret, "payload": payload})

        try:
            version = _call("adding a version", secret, add_version)
        except exceptions.NotFound:
            parent, _, name = secret.rpartition("/secrets/")
            made = {"parent": parent, "secret_id": name, "secret": {"replication": {"automatic": {}}}}
            _call("making the secret", secret, lambda: client.create_secret(request=made))
            version = _call("adding a version", secret, add_version)
        return f"stored as {version.name}"

    def read(self, platform: str) -> str | None:
        """Text of the newest version; None if there is none."""
        from google.api_core import exceptions

        client, name = self._client(), f"{self._secret(platform)}/versions/latest"
        try:
            answer = _call("reading", name, lambda: client.access_secret_version(request={"name": name}))
        except exceptions.NotFound:
            return None
        return str(answer.payload.data.decode())

    def _secret(self, platform: str) -> str:
        return f"projects/{self.settings.gcp_project}/secrets/aelp2-{platform}"

    def _client(self) -> Any:
        """Over REST; at another endpoint without credentials, which is allowed on this machine only."""
        from google.auth import exceptions as auth
        from google.auth.credentials import AnonymousCredentials
        from google.cloud.secretmanager import SecretManagerServiceClient

        if not self.settings.gcp_project:
            raise JobError("Secret Manager needs AELP2_GCP_PROJECT, the project that holds the secrets")
        endpoint = self.settings.secret_manager_endpoint
        if endpoint is None:
            try:
                return SecretManagerServiceClient(transport="rest")
            except auth.DefaultCredentialsError:
                raise JobError("nobody is signed in to Google Cloud here; run gcloud auth application-default login") from None
        if urlsplit(endpoint).hostname not in _LOOPBACK:
            raise JobError(
                f"AELP2_SECRET_MANAGER_ENDPOINT={endpoint!r} is not on this machine; another endpoint is for tests only"
            )
        return SecretManagerServiceClient(
            transport="rest", credentials=AnonymousCredentials(), client_options={"api_endpoint": endpoint}
        )


def _call[T](doing: str, name: str, action: Callable[[], T]) -> T:
    """``action()``; Google's errors become ours, except NotFound, which callers expect."""
    import requests
    from google.api_core import exceptions
    from google.auth import exceptions as auth

    try:
        return action()
    except exceptions.NotFound:
        raise
    except (exceptions.Unauthorized, exceptions.Forbidden) as error:
        raise JobError(
            f"Secret Manager denied {doing} {name}: {redact(error.message or '')}; it takes roles/secretmanager.admin once, "
            "later roles/secretmanager.secretVersionAdder"
        ) from None
    except (
        *(exceptions.ServerError, exceptions.TooManyRequests, exceptions.RetryError),
        *(auth.TransportError, requests.RequestException),  # the REST transport lets the latter through
    ) as error:
        raise TryAgain(f"Secret Manager failed {doing} {name}: {type(error).__name__}; run the same command again") from None
    except exceptions.GoogleAPICallError as error:
        raise JobError(f"Secret Manager refused {doing} {name}: {redact(error.message or '')}") from None
