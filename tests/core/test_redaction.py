"""Names are hashed with a salt that is made once and that only its owner can read."""

import hashlib
import hmac
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tasks.core.errors import JobError
from tasks.core.redaction import hash_name, load_salt, refuse_shared_file

SALT = b"0" * 64


def test_a_hash_is_the_hmac_of_the_name() -> None:
    """HMAC-SHA-256 under the salt, so that nobody without the salt can try names out."""
    assert hash_name("Acme US", SALT) == hmac.new(SALT, b"Acme US", hashlib.sha256).hexdigest()


def test_blanks_around_a_name_do_not_matter_and_another_salt_does() -> None:
    """The same name gives the same hash; another salt gives another."""
    assert hash_name("  Acme US ", SALT) == hash_name("Acme US", SALT)
    assert hash_name("Acme US", SALT) != hash_name("Acme US", b"1" * 64)


@pytest.mark.parametrize("name", [None, "", "   "])
def test_no_name_has_no_hash(name: str | None) -> None:
    """An absent or blank name stays absent instead of becoming a hash that all nameless things share."""
    assert hash_name(name, SALT) is None


def test_the_salt_is_made_once_and_private(tmp_path: Path) -> None:
    """The first call makes 32 random bytes in a file of mode 0600; the second reads them."""
    path = tmp_path / "deep" / "salt"
    first = load_salt(path, may_create=True)
    assert (path.stat().st_mode & 0o777, len(first), load_salt(path, may_create=True)) == (0o600, 64, first)
    assert [p.name for p in path.parent.iterdir()] == ["salt"]


def test_processes_that_start_at_once_share_one_salt(tmp_path: Path) -> None:
    """Whoever is first makes the salt, all others use it."""
    with ThreadPoolExecutor(16) as pool:
        salts = set(pool.map(lambda _: load_salt(tmp_path / "salt", may_create=True), range(64)))
    assert len(salts) == 1


def test_a_salt_that_others_can_read_is_refused(tmp_path: Path) -> None:
    """Readable by the group is enough to refuse; the message says what to run."""
    path = tmp_path / "salt"
    load_salt(path, may_create=True)
    path.chmod(0o640)
    with pytest.raises(JobError, match=r"mode 0640.*chmod 600"):
        load_salt(path, may_create=True)


def test_a_cut_off_salt_is_refused(tmp_path: Path) -> None:
    """A short salt would hash every name anew without anybody noticing."""
    path = tmp_path / "salt"
    path.touch(mode=0o600)
    path.write_text("abc")
    with pytest.raises(JobError, match="3 bytes"):
        load_salt(path, may_create=True)


def test_a_private_file_passes(tmp_path: Path) -> None:
    """Mode 0600 is what is asked for."""
    path = tmp_path / "file"
    path.touch(mode=0o600)
    refuse_shared_file(path, "the file")


def test_a_salt_is_not_made_where_the_warehouse_is_shared(tmp_path: Path) -> None:
    """A pod's disk is gone after the job: a salt made there would give every name another hash each day."""
    with pytest.raises(JobError, match=r"AELP2_NAME_SALT_FILE.*openssl rand"):
        load_salt(tmp_path / "salt", may_create=False)
    assert not list(tmp_path.iterdir())


def test_a_place_that_takes_no_salt_is_named(tmp_path: Path) -> None:
    """A root file system that is read-only, say: the setting, the reason and the remedy instead of a traceback."""
    (tmp_path / "file").touch()
    with pytest.raises(
        JobError, match=r"file/keys/salt \(AELP2_NAME_SALT_FILE\).*cannot be made there: Not a directory; mount one"
    ):
        load_salt(tmp_path / "file" / "keys" / "salt", may_create=True)


class _File:
    """A file as the kubelet or somebody else left it: what ``stat`` says about it."""

    def __init__(self, uid: int, gid: int, mode: int) -> None:
        self._stat = os.stat_result((0o100000 | mode, 0, 0, 1, uid, gid, 0, 0, 0, 0))

    def stat(self) -> os.stat_result:
        return self._stat


def test_a_secret_that_kubernetes_mounts_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Root's, mode 0440, of the pod's own group: that is how every secret looks in a pod with ``fsGroup``."""
    monkeypatch.setattr(os, "geteuid", lambda: 10001)
    monkeypatch.setattr(os, "getegid", lambda: 10001)
    refuse_shared_file(_File(0, 10001, 0o440), "the secret")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("uid", "gid", "mode"),
    [(0, 100, 0o440), (10001, 10001, 0o440), (0, 10001, 0o444), (0, 10001, 0o460)],
    ids=["another group", "own file", "others read", "group writes"],
)
def test_what_only_looks_like_a_mounted_secret_is_refused(uid: int, gid: int, mode: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file of another group, of our own, readable by others or writable by the group is no mounted secret."""
    monkeypatch.setattr(os, "geteuid", lambda: 10001)
    monkeypatch.setattr(os, "getegid", lambda: 10001)
    with pytest.raises(JobError, match="others on this machine can reach it"):
        refuse_shared_file(_File(uid, gid, mode), "the secret")  # type: ignore[arg-type]
