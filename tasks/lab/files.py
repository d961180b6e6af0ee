"""Files of a sandbox's state folder."""

import os
from pathlib import Path

# Everything that makes a sandbox's identity: whoever holds these trusts it and is trusted by it.
CREDENTIAL_FILES = ("ca.pem", "server.key", "service_account_credentials.json", "admin.token", "server_credentials.json")


def write_private(path: Path, text: str) -> None:
    """Replace ``path`` by ``text`` in one step; only the owner can read it."""
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as handle:
        handle.write(text)
        handle.flush()
        os.fsync(handle.fileno())
    temporary.replace(path)
