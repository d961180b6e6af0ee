"""For the tests in Airflow's environment, which has neither DuckDB nor the sandbox: python serve_planned.py FOLDER

Prints two lines of JSON, the jobs' environment once the sandbox is up and the changes once they are planned, and keeps the
sandbox up until stdin ends. FOLDER holds sandbox/ and w.duckdb.
"""

import json
import sys
from pathlib import Path

from loop_world import HISTORY_DAYS, RUN_DATE, START_DATE, WORLD, Stage, after, before, prepare

from tasks.lab.process import sandbox_process


def tell(facts: dict[str, object]) -> None:
    sys.stdout.write(json.dumps(facts) + "\n")
    sys.stdout.flush()


def main(folder: Path) -> None:
    with sandbox_process(state_dir=folder / "sandbox", world=WORLD, start_date=START_DATE, history_days=HISTORY_DAYS) as sandbox:
        stage = Stage(folder, sandbox)
        ours = {key: value for key, value in stage.env().items() if key.startswith(("AELP2_", "GRPC_"))}
        tell({"env": ours})
        prepare(stage)
        stage.must("plan-budgets")
        planned = stage.change_set()
        facts = {"run_date": str(RUN_DATE), "sha256": planned.sha256, "before": before(planned), "after": after(planned)}
        tell(facts)
        sys.stdin.read()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
