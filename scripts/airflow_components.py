"""Start Airflow's components from one import: this process loads Airflow once, prepares the database, and forks a child for each.

Importing Airflow costs 5-10 s of CPU a component, and four separate starts pay it four times. Each child is what
`airflow COMPONENT` would be, in a session of its own, with its output in LOGS/COMPONENT.log. The last line on stdout is JSON:
component → pid. Run by local_airflow.py.
"""

import json
import os
import sys
import time
from pathlib import Path

SKIP_LOG_SERVER = {"scheduler", "triggerer"}  # the api-server reads the log files itself; one open port less


def _child(component: str, log: Path) -> None:
    """Become ``airflow component``; never returns."""
    os.setsid()  # a Ctrl-C at the terminal reaches the loop alone, which then stops us in order
    out = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for target, source in ((0, nothing), (1, out), (2, out)):
        os.dup2(source, target)
    sys.argv = ["airflow", component, *(["--skip-serve-logs"] if component in SKIP_LOG_SERVER else [])]
    from airflow.__main__ import main

    code = 1
    try:
        main()
        code = 0
    except SystemExit as stop:
        code = stop.code if isinstance(stop.code, int) else int(stop.code is not None)
    finally:
        sys.stdout.flush()
        os._exit(code)


def main() -> None:
    """``airflow_components.py LOGS COMPONENT…``."""
    logs, *components = sys.argv[1:]
    from airflow import settings
    from airflow.utils import db

    begun = time.monotonic()
    db.initdb()
    settings.engine.dispose()  # no child may inherit an open connection
    import airflow.cli.cli_parser
    import airflow.models.dagbag
    import airflow.models.serialized_dag  # noqa: F401 - all three: imported for the children

    pids = {}
    for component in components:
        pid = os.fork()
        if pid == 0:
            _child(component, Path(logs) / f"{component}.log")
        pids[component] = pid
    sys.stdout.write(f"\ndatabase ready and components forked {time.monotonic() - begun:.1f} s after the import\n")
    sys.stdout.write(json.dumps(pids) + "\n")


if __name__ == "__main__":
    main()
