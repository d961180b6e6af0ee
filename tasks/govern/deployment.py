"""What must hold where a job runs: settings, rules, warehouse, credentials, disk. Each check looks and changes nothing."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from tasks.core.errors import JobError, TryAgain

if TYPE_CHECKING:
    from tasks.core.contracts import TableContract
    from tasks.core.settings import Settings
    from tasks.core.warehouse import Warehouse

Access = Literal["none", "salt", "read", "mutate"]
# A pod's disk: it may write to the first and to nothing else. The others are where an intruder would leave something.
_CLOSED = (Path("/"), Path("/etc"), Path("/usr"), Path(__file__).resolve().parent)


@dataclass(frozen=True)
class Finding:
    """One check: whether it holds, and what was seen or what to do."""

    name: str
    holds: bool
    said: str


def checked(name: str, check: Callable[[], str]) -> Finding:
    """What ``check`` returns was seen and is right, its JobError says what is wrong; a passing fault goes on to the caller."""
    try:
        return Finding(name, True, check())
    except TryAgain:
        raise
    except JobError as error:
        return Finding(name, False, str(error))


def in_container(env: Mapping[str, str]) -> bool:
    """Whether this is a pod or a container of podman, by the variable that each sets; on a laptop the disk is the owner's."""
    return "KUBERNETES_SERVICE_HOST" in env or "container" in env


def rules(settings: Settings) -> str:
    """The policy file loads."""
    from tasks.core.policy import load_policy

    policy = load_policy(settings)
    source = settings.policy_path or "the built-in rules"
    allowed = ", ".join(policy.allowed_accounts) or "no account"
    return f"{source}: {allowed} may be changed; rules {policy.sha256()[:12]}"


def mode(settings: Settings) -> str:
    """Shadow or live. Both are right: which one is meant is for the person who reads it."""
    return "live: approved changes are applied" if settings.mode == "live" else "shadow: proposals only, nothing is changed"


def answers(settings: Settings, warehouse: Warehouse) -> str:
    """The warehouse runs a query that reads no table."""
    if settings.backend == "duckdb":
        there = settings.duckdb_path.exists()
        return f"DuckDB, {settings.duckdb_path}" + ("" if there else " (not there yet; the first job makes it)")
    warehouse.query("SELECT 1 AS one")
    return f"BigQuery, project {settings.gcp_project}, location {settings.bigquery_location}"


def table_problem(contract: TableContract, found: Mapping[str, str] | None, *, may_lack: bool) -> str | None:
    """What is wrong with a table of which ``found`` is column → type; None if nothing is.

    A column more is no fault: after going back to an earlier release the table keeps what the later one added.
    """
    if found is None:
        return None if may_lack else f"{contract.name} does not exist"
    if lost := [column for column in contract.columns if column not in found]:
        return f"{contract.name} lacks {', '.join(lost)}"
    if contract.view is not None:
        return None
    other = [f"{f.name} is {found[f.name]}, not {f.type_name()}" for f in contract.fields if found[f.name] != f.type_name()]
    return f"{contract.name}: {'; '.join(other)}" if other else None


def tables(settings: Settings, warehouse: Warehouse) -> str:
    """Every table and view of the contracts is there with its columns; on DuckDB one may be made later, by who needs it first."""
    from tasks.core.contracts import all_contracts

    contracts = all_contracts(views=True)
    may_lack = settings.backend == "duckdb"
    found = {contract.name: warehouse.columns(contract.name) for contract in contracts}
    problems = [p for c in contracts if (p := table_problem(c, found[c.name], may_lack=may_lack))]
    if problems:
        more = f" (and {len(problems) - 3} more)" if len(problems) > 3 else ""
        raise JobError(
            f"{'; '.join(problems[:3])}{more}. "
            "The release makes them from include/sql: look at its plan, then apply it (docs/deploy.md)"
        )
    there = sum(columns is not None for columns in found.values())
    return f"{there} of {len(contracts)} tables and views are there, each with the columns of its contract"


def switches(warehouse: Warehouse) -> str:
    """Rows can be read: those of the kill switch, which every change reads first."""
    from tasks.core.contracts import load_contract
    from tasks.core.switches import read_switches

    # A query makes or completes its tables; this job makes nothing.
    if problem := table_problem(load_contract("control.kill_switch"), warehouse.columns("control.kill_switch"), may_lack=False):
        return f"not read: {problem}"
    on = sorted(scope for scope, switch in read_switches(warehouse).items() if switch.is_on)
    return f"on: {', '.join(on)}" if on else "no switch is on"


def salt(settings: Settings) -> str:
    """The salt is there, private and long enough."""
    from tasks.core.redaction import load_salt

    load_salt(settings.name_salt_file, may_create=False)
    return f"{settings.name_salt_file} is readable and private"


def _private_file(path: Path, platform: str) -> None:
    from tasks.core.redaction import refuse_shared_file

    refuse_shared_file(path, f"the file with the credentials of {platform},")
    try:
        size = len(path.read_bytes().strip())
    except OSError as error:
        raise JobError(f"{path} cannot be read: {error.strerror}; the secret must be readable by the pod's group") from None
    if not size:
        raise JobError(f"{path} is empty; store the credentials of {platform} in its secret (docs/deploy.md)")


def credentials(settings: Settings, access: Access) -> str:
    """What ``access`` promises is there, and no more; only presence is looked at, nothing is read out."""
    from tasks.platforms import ADAPTERS, credentials_path

    there = {name: path for name in ADAPTERS if (path := credentials_path(settings, name)).is_file()}
    if access in ("none", "salt"):
        if there:
            raise JobError(
                f"{', '.join(map(str, there.values()))} can be read, but access {access!r} means no credentials of platforms"
            )
        return "none, as it should be"
    for name, path in there.items():
        _private_file(path, name)
    if not there and (access == "read" or settings.mode == "live"):
        raise JobError(
            f"access {access!r} has no credentials of any platform in {settings.credentials_dir}; "
            f"store them in the secret aelp2-google-ads-{access} (docs/deploy.md)"
        )
    return f"of {', '.join(there)}" if there else "none, and none is needed in shadow mode"


def disk(closed: tuple[Path, ...] = _CLOSED, root: Path = Path("/")) -> str:
    """Temporary files can be written, and nothing else; no check runs as root."""
    with tempfile.NamedTemporaryFile() as scratch:
        scratch.write(b"aelp2")
        scratch.flush()
    if os.geteuid() == 0:
        raise JobError("this runs as root; the pod's security context must say run_as_non_root")
    # What no user but root may write to says nothing of how it is mounted.
    if not os.statvfs(root).f_flag & os.ST_RDONLY:
        raise JobError(f"{root} is mounted for writing; the pod's root file system must be read-only")
    for folder in closed:
        try:
            with tempfile.NamedTemporaryFile(dir=folder):
                pass
        except OSError:
            continue
        raise JobError(f"{folder} can be written to; the pod's root file system must be read-only")
    return f"{tempfile.gettempdir()} takes files, nothing else does; user {os.geteuid()}"
