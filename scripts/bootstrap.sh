#!/usr/bin/env bash
# Makes the two environments from uv.lock: .venv (jobs, tests) and .venv-airflow (what Composer runs). Safe to repeat: done
# work is skipped. Needs Python 3.12 on PATH or under pyenv, and nothing else.
set -euo pipefail
cd "$(dirname "$0")/.."

find_python() {
  local candidate
  for candidate in "${PYTHON:-}" python3.12 python3 "$(pyenv root 2>/dev/null)"/versions/3.12*/bin/python3.12; do
    [ -n "$candidate" ] || continue
    if "$candidate" -c 'import sys; raise SystemExit(sys.version_info[:2] != (3, 12))' >/dev/null 2>&1; then
      echo "$candidate"; return
    fi
  done
  echo "Python 3.12 was not found. Install it (for example: pyenv install 3.12), or name it: make PYTHON=/path/to/python3.12" >&2
  exit 1
}

uv_version=0.13.9
python=$(find_python)
if [ "$(.tools/bin/uv --version 2>/dev/null | cut -d' ' -f2)" != "$uv_version" ]; then
  "$python" -m venv .tools
  .tools/bin/pip install --quiet --disable-pip-version-check "uv==$uv_version"
fi
uv() { UV_PYTHON="$("$python" -c 'import sys; print(sys.executable)')" UV_PYTHON_DOWNLOADS=never .tools/bin/uv "$@"; }

stamp=$(cat uv.lock pyproject.toml scripts/bootstrap.sh | sha256sum | cut -d' ' -f1)
if [ "$(cat .venv/.stamp 2>/dev/null)" != "$stamp" ]; then
  echo "Setting up .venv (jobs and tests) …"
  uv sync --quiet --locked --extra ads --extra mmm --extra learn --extra report --extra lab --extra identity --extra flags
  echo "$stamp" >.venv/.stamp
fi
if [ "$(cat .venv-airflow/.stamp 2>/dev/null)" != "$stamp" ]; then
  echo "Setting up .venv-airflow (Airflow, as Composer carries it) …"
  UV_PROJECT_ENVIRONMENT=.venv-airflow uv sync --quiet --locked --only-group airflow
  echo "$stamp" >.venv-airflow/.stamp
fi
