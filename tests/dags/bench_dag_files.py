"""Own import cost of each DAG file once Airflow and its operators are imported, as JSON; the bar is 0.1 s a file (DESIGN §8).

Run with `.venv-airflow/bin/python`; each file is measured in a fresh process, as Composer's processor forks one. `gke` as the
argument measures that runner, whose operator counts as imported, too.
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
_MEASURE = """
import sys, time
sys.path.insert(0, sys.argv[1])
import airflow.sdk, airflow.providers.cncf.kubernetes.operators.pod
import airflow.providers.standard.operators.hitl, airflow.providers.standard.operators.trigger_dagrun
import airflow.providers.standard.sensors.external_task, airflow.providers.standard.operators.empty
if len(sys.argv) > 3:
    import airflow.providers.google.cloud.operators.kubernetes_engine
source = compile(open(sys.argv[2]).read(), sys.argv[2], "exec")
start = time.perf_counter()
exec(source, {"__name__": "dag_file", "__doc__": ""})
print(time.perf_counter() - start)
"""


def measure(file: Path, dags_folder: str, runner: str) -> float:
    """Seconds that ``file`` itself costs: the smallest of three runs."""
    env = {key: value for key, value in os.environ.items() if not key.startswith(("AIRFLOW", "AELP2"))}
    env |= {"AIRFLOW_HOME": dags_folder, "AIRFLOW__CORE__DAGS_FOLDER": dags_folder}
    env |= {"AELP2_RUNNER": runner, "AELP2_GKE_PROJECT": "p", "AELP2_GKE_LOCATION": "l", "AELP2_GKE_CLUSTER": "c"}
    run = [sys.executable, "-c", _MEASURE, str(ROOT / "plugins"), str(file), *([runner] if runner == "gke" else [])]
    return min(
        float(subprocess.run(run, env=env, capture_output=True, text=True, check=True).stdout.split()[-1]) for _ in range(3)
    )


def main() -> None:
    """Measure every file of dags/."""
    runner = sys.argv[1] if len(sys.argv) > 1 else "composer"
    images = {image: f"registry.example/{image}@sha256:{'0' * 64}" for image in ("ads", "identity", "learn", "mmm", "report")}
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "images.lock.json").write_text(json.dumps(images), encoding="utf-8")
        seconds = {file.stem: round(measure(file, folder, runner), 4) for file in sorted((ROOT / "dags").glob("*.py"))}
    sys.stdout.write(
        json.dumps({"runner": runner, "bar_s": 0.1, "is_met": max(seconds.values()) <= 0.1, "seconds": seconds}, indent=1) + "\n"
    )


if __name__ == "__main__":
    main()
