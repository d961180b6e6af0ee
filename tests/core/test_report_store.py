"""A report goes to a folder or, from a pod, to a Cloud Storage bucket."""

from pathlib import Path
from typing import Any

import pytest
import requests

from tasks.core.errors import JobError, TryAgain
from tasks.core.report_store import store
from tasks.core.settings import load_settings


class Storage:
    """Answers like Cloud Storage and keeps what was sent."""

    def __init__(self, status: int | Exception) -> None:
        self.status = status
        self.sent: list[tuple[str, dict[str, str], bytes]] = []

    def post(self, url: str, *, params: dict[str, str], headers: dict[str, str], data: bytes, timeout: int) -> Any:
        self.sent.append((url, params, data))
        assert headers["Content-Type"] == "text/html; charset=utf-8"
        if isinstance(self.status, Exception):
            raise self.status
        answer = requests.Response()
        answer.status_code = self.status
        return answer


def test_a_folder_takes_the_page_whole(tmp_path: Path) -> None:
    """The folder is made, the page is there, and nothing half-written is left."""
    where = store(str(tmp_path / "deep"), "report.html", "<p>é</p>")
    assert where == str(tmp_path / "deep" / "report.html")
    assert [p.read_text(encoding="utf-8") for p in (tmp_path / "deep").iterdir()] == ["<p>é</p>"]


@pytest.mark.parametrize(
    ("place", "key"), [("gs://acme-reports", "report.html"), ("gs://acme-reports/aelp2/prod/", "aelp2/prod/report.html")]
)
def test_a_bucket_takes_the_page_under_its_prefix(place: str, key: str) -> None:
    """One media upload; the address said is where the object lies."""
    storage = Storage(200)
    assert store(place, "report.html", "<p>é</p>", storage) == f"gs://acme-reports/{key}"
    url = "https://storage.googleapis.com/upload/storage/v1/b/acme-reports/o"
    assert storage.sent == [(url, {"uploadType": "media", "name": key}, "<p>é</p>".encode())]


@pytest.mark.parametrize(
    ("status", "kind"),
    [(503, TryAgain), (429, TryAgain), (403, JobError), (404, JobError), (requests.ConnectionError("no route"), TryAgain)],
)
def test_what_did_not_land_is_no_success(status: int | Exception, kind: type[JobError]) -> None:
    """A passing fault may be tried again; a refusal names the bucket and asks for the right."""
    with pytest.raises(JobError, match=r"gs://acme-reports/report\.html") as error:
        store("gs://acme-reports", "report.html", "page", Storage(status))
    assert type(error.value) is kind


@pytest.mark.parametrize("place", ["s3://bucket/x", "gs://", "gs://UPPER/x", "https://storage.googleapis.com/x"])
def test_another_address_is_refused_and_makes_no_folder(place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It must not end as a folder called `s3:`."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(JobError, match="neither a folder nor of the form gs://bucket/prefix"):
        store(place, "report.html", "page", Storage(200))
    assert not list(tmp_path.iterdir())


def test_the_setting_keeps_a_bucket_as_it_was_written() -> None:
    """A path would swallow one of the two slashes."""
    assert load_settings({"AELP2_REPORT_DIR": "gs://acme-reports/x"}).report_dir == "gs://acme-reports/x"
