"""Names are hashed with a salt that is made once and that only its owner can read."""

import hashlib
import hmac
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
    first = load_salt(path)
    assert (path.stat().st_mode & 0o777, len(first), load_salt(path)) == (0o600, 64, first)
    assert [p.name for p in path.parent.iterdir()] == ["salt"]


def test_processes_that_start_at_once_share_one_salt(tmp_path: Path) -> None:
    """Whoever is first makes the salt, all others use it."""
    with ThreadPoolExecutor(16) as pool:
        salts = set(pool.map(lambda _: load_salt(tmp_path / "salt"), range(64)))
    assert len(salts) == 1


def test_a_salt_that_others_can_read_is_refused(tmp_path: Path) -> None:
    """Readable by the group is enough to refuse; the message says what to run."""
    path = tmp_path / "salt"
    load_salt(path)
    path.chmod(0o640)
    with pytest.raises(JobError, match=r"mode 0640.*chmod 600"):
        load_salt(path)


def test_a_cut_off_salt_is_refused(tmp_path: Path) -> None:
    """A short salt would hash every name anew without anybody noticing."""
    path = tmp_path / "salt"
    path.touch(mode=0o600)
    path.write_text("abc")
    with pytest.raises(JobError, match="3 bytes"):
        load_salt(path)


def test_a_private_file_passes(tmp_path: Path) -> None:
    """Mode 0600 is what is asked for."""
    path = tmp_path / "file"
    path.touch(mode=0o600)
    refuse_shared_file(path, "the file")
