"""Runs in a child process: one `aelp2` command after another, so that imports and compiled models are paid for once."""

import io
import os
from collections.abc import Mapping
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass


@dataclass(frozen=True)
class Ended:
    """How a command ended and what it said."""

    code: int
    out: str
    err: str


def run(arguments: list[str], env: Mapping[str, str]) -> Ended:
    """``aelp2 ARGUMENTS`` with ``env`` as its only AELP2 settings; gRPC keeps the first call's trust root (sandbox.md)."""
    from tasks.cli import main

    for name in [name for name in os.environ if name.startswith("AELP2_")]:
        del os.environ[name]
    os.environ.update(env)
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        try:
            main(arguments)
        except SystemExit as ended:
            code = int(ended.code or 0)
    return Ended(code, out.getvalue(), err.getvalue())
