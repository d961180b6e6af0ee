"""Where a report goes: a folder, or a Cloud Storage bucket, because a pod's own disk is gone with the pod."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from tasks.core.errors import JobError, TryAgain

_BUCKET = re.compile(r"gs://(?P<bucket>[a-z0-9][a-z0-9._-]{1,220}[a-z0-9])(?:/(?P<prefix>.*))?")
_UPLOAD = "https://storage.googleapis.com/upload/storage/v1/b/{bucket}/o"
_SCOPE = "https://www.googleapis.com/auth/devstorage.read_write"
_TIMEOUT_SECONDS = 60


def write_file(path: Path, page: str) -> str:
    """Write ``page`` to ``path``; a reader never sees half of it. The absolute path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".part")
    partial.write_text(page, encoding="utf-8")
    partial.replace(path)
    return str(path.absolute())


def store(place: str, name: str, page: str, session: Any = None) -> str:
    """Write ``page`` as ``name`` to the folder or ``gs://bucket/prefix`` that ``place`` names; where it lies now.

    ``session`` posts to Cloud Storage; None signs in with the credentials of the environment (Workload Identity in a pod). An
    object of that name is replaced as a whole. TryAgain if Cloud Storage does not answer, JobError if it refuses.
    """
    if "://" not in place:
        return write_file(Path(place) / name, page)
    match = _BUCKET.fullmatch(place)
    if match is None:
        raise JobError(f"AELP2_REPORT_DIR={place} is neither a folder nor of the form gs://bucket/prefix")
    key = "/".join(part for part in ((match["prefix"] or "").strip("/"), name) if part)
    address = f"gs://{match['bucket']}/{key}"
    _upload(session or _signed_in(), match["bucket"], key, page, address)
    return address


def _signed_in() -> Any:
    import google.auth
    from google.auth.transport.requests import AuthorizedSession

    try:
        credentials, _ = google.auth.default(scopes=[_SCOPE])
    except google.auth.exceptions.DefaultCredentialsError as error:
        raise JobError(f"no credentials to write the report to Cloud Storage: {error}") from error
    return AuthorizedSession(credentials)


def _upload(session: Any, bucket: str, key: str, page: str, address: str) -> None:
    import requests
    from google.auth.exceptions import TransportError

    try:
        answer = session.post(
            _UPLOAD.format(bucket=bucket),
            params={"uploadType": "media", "name": key},
            headers={"Content-Type": "text/html; charset=utf-8"},
            data=page.encode("utf-8"),
            timeout=_TIMEOUT_SECONDS,
        )
    except (requests.RequestException, TransportError) as error:
        raise TryAgain(
            f"Cloud Storage cannot be reached for {address} ({type(error).__name__}); run the command again"
        ) from error
    if answer.status_code == 429 or answer.status_code >= 500:
        raise TryAgain(f"Cloud Storage answers {answer.status_code} for {address}; run the command again")
    if answer.status_code != 200:
        raise JobError(
            f"Cloud Storage refuses {address} with {answer.status_code}: does the bucket exist, and may this service account "
            "create and delete objects in it?"
        )
