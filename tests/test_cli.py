"""The CLI is the index of the system: every job is in it, says what it does, and touches exactly the tables it names."""

from __future__ import annotations

import ast
import importlib
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import click
import pytest
from click.testing import CliRunner
from sql.call_sites import functions, modules
from sql.job_tables import DYNAMIC_READS, DYNAMIC_WRITES, reached, touched

from tasks import cli
from tasks.cli import IDENTIFIED_TABLES, JOBS, NAMED_TABLES
from tasks.core.contracts import all_contracts
from tasks.core.errors import GateStop, JobError, NothingToDo, Refused, TryAgain

ROOT = Path(__file__).resolve().parents[1]
STAGES = ("ingest", "quality", "identity", "measure", "decide", "act", "govern", "lab")


def run(*arguments: str) -> tuple[int, str, str]:
    """(exit code, stdout, stderr) of ``aelp2`` in a process of its own."""
    code = "import sys; from tasks.cli import main; main(sys.argv[1:])"
    env = {key: value for key, value in os.environ.items() if not key.startswith("AELP2_")}
    done = subprocess.run([sys.executable, "-c", code, *arguments], env=env, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout, done.stderr


def ended(monkeypatch: pytest.MonkeyPatch, *arguments: str, **env: str) -> int:
    """Exit code of ``main`` in this process."""
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SystemExit) as stop:
        cli.main(list(arguments))
    assert isinstance(stop.value.code, int)
    return stop.value.code


@pytest.fixture
def job(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """A job ``try-it`` whose ``run`` each test sets; its option --days takes a number."""
    module = ModuleType("tasks.lab.try_it")
    module.ran = []  # type: ignore[attr-defined]
    module.run = lambda: None  # type: ignore[attr-defined]

    @click.command("try-it")
    @click.option("--days", type=int, default=1)
    def command(days: int) -> None:
        """Try it."""
        module.ran.append(days)
        module.run()

    module.command = command  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setitem(JOBS, "try-it", cli.Job(module.__name__, "Try it."))
    return module


# --- the index


def command_modules() -> set[str]:
    """Modules of the stages that define a ``command``."""
    found = set()
    for stage in STAGES:
        for file in sorted((ROOT / "tasks" / stage).rglob("*.py")):
            defined = [n.name for n in ast.parse(file.read_text(encoding="utf-8")).body if isinstance(n, ast.FunctionDef)]
            if "command" in defined:
                found.add(".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"))
    return found


def test_every_job_module_is_in_the_index_and_the_index_names_no_other() -> None:
    """A module of a stage with a command is a job of the CLI, and each job of the CLI is such a module."""
    assert command_modules() == {job.module for job in JOBS.values()}


@pytest.mark.parametrize("name", JOBS)
def test_one_name_end_to_end(name: str) -> None:
    """Module, command and name in the index are one name, the stage is one of the system's, and there are tests of it."""
    module = importlib.import_module(JOBS[name].module)
    assert (module.command.name, JOBS[name].module.split(".")[-1]) == (name, name.replace("-", "_"))
    assert JOBS[name].stage in STAGES


@pytest.mark.parametrize("name", JOBS)
def test_help_of_every_job(name: str) -> None:
    """--help works, begins with a sentence and explains every option and argument."""
    command = importlib.import_module(JOBS[name].module).command
    shown = CliRunner().invoke(cli.cli, [name, "--help"])
    assert shown.exit_code == 0, shown.output
    first = command.help.strip().split("\n\n")[0]
    assert first.endswith(".")
    assert [p.name for p in command.params if isinstance(p, click.Option) and not p.help] == []
    assert [p.name for p in command.params if isinstance(p, click.Argument) and p.name.upper() not in command.help] == []


@pytest.mark.parametrize("name", JOBS)
def test_every_job_shows_an_example_that_parses(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The help of a job shows how it is called, and each line of it is a call that its own options take."""
    command = importlib.import_module(JOBS[name].module).command
    text = re.sub(r"\n +--", " --", command.help)  # an example may go on in a further line
    lines = [re.sub(r"^(Example:|AELP2_\w+=\S+) ", "", line.strip()) for line in text.splitlines()]
    examples = [re.split(r" {2,}", line.removeprefix("aelp2 "))[0] for line in lines if line.startswith("aelp2 ")]
    assert any(example.split()[0] == name for example in examples)
    monkeypatch.setenv("AELP2_PARSE_ONLY", "1")
    for example in examples:
        cli.main([re.sub("[\"']", "", part) for part in re.findall(r'"[^"]*"|\S+', example)])


def test_a_job_takes_a_run_date_or_says_why_not() -> None:
    """Jobs never read the clock for logic: all take --run-date, but for the sandbox, the ledger's check and onboarding.

    People run that by hand, and what it does is of today.
    """
    without = [
        name
        for name, job in JOBS.items()
        if "run_date" not in {p.name for p in importlib.import_module(job.module).command.params}
    ]
    assert set(without) <= {"run-sandbox", "verify-ledger", "onboard"}


def test_the_help_of_the_group_lists_every_job_with_its_sentence() -> None:
    """`aelp2 --help` shows all jobs by stage, and the exit codes."""
    code, out, _ = run("--help")
    assert code == 0
    text = " ".join(out.split())
    for name, job in JOBS.items():
        assert f"{name} {job.help}" in text
    for number in ("0 done", "1 job error", "2 usage", "3 a gate", "4 refused", "75 try again", "99 nothing to do"):
        assert number in text


def test_jobs_lists_every_job_for_people_and_for_programs() -> None:
    """`aelp2 jobs` names all, marks those that mutate; --json carries the index whole."""
    code, out, _ = run("jobs")
    assert code == 0
    for name, job in JOBS.items():
        line = f"{name}  [{job.stage}]" + ("  MUTATES A LIVE ACCOUNT" if job.mutates else "")
        assert line in out.splitlines()
    code, out, _ = run("jobs", "--json")
    assert code == 0
    rows = json.loads(out)
    assert list(rows) == list(JOBS)
    for name, job in JOBS.items():
        facts = {"stage": job.stage, "help": job.help, "reads": list(job.reads), "writes": list(job.writes)}
        assert rows[name] == facts | {"mutates": job.mutates}


# --- what a job reads and writes


def test_jobs_name_real_tables() -> None:
    """Every table in the index has a contract; the two phrases instead of tables are those of gate and deletion."""
    known = {contract.name for contract in all_contracts(views=True)}
    named = {table: name for name, job in JOBS.items() for table in (*job.reads, *job.writes)}
    phrases = {table: name for table, name in named.items() if table not in known}
    assert phrases == {NAMED_TABLES: "validate-tables", IDENTIFIED_TABLES: "forget"}


@pytest.mark.parametrize("name", JOBS)
def test_a_job_reads_and_writes_what_it_says(name: str) -> None:
    """The index agrees with the SQL and the writes that the job's code can reach, no table more and none less."""
    job = JOBS[name]
    reads, writes = touched(job.module)
    phrases = {NAMED_TABLES, IDENTIFIED_TABLES}
    assert sorted(reads) == sorted(set(job.reads) - phrases)
    assert sorted(writes) == sorted(set(job.writes) - phrases)
    assert len(set(job.reads)) == len(job.reads)


def test_what_a_job_reaches_is_found_through_helpers_and_methods() -> None:
    """The search follows names over modules and into methods, and leaves out what a job does not call."""
    apply = reached("tasks.act.apply_changes")
    assert {"tasks.act.stored:load_set", "tasks.core.ledger:Ledger.append", "tasks.core.switches:read_switches"} <= apply
    assert "tasks.core.switches:flip" not in apply
    assert "tasks.core.switches:flip" in reached("tasks.govern.kill")
    assert "tasks.core.ledger:Ledger.append" not in reached("tasks.govern.verify_ledger")


def test_the_lists_of_unknown_arguments_are_those_of_the_code() -> None:
    """What is said of calls with unknown arguments is true: the loader's frames and the outcomes' two tables."""
    from tasks.ingest.outcomes_load import CONTROLS, OUTCOMES

    assert DYNAMIC_WRITES["tasks.ingest.outcomes_load:OutcomesLoad._load"] == (OUTCOMES, CONTROLS)
    folder = ROOT / "tasks" / "platforms"
    text = "\n".join(file.read_text(encoding="utf-8") for file in sorted(folder.rglob("*.py")))
    named = set(re.findall(r"\"(ads\.[a-z_]+)\"", text))
    assert named == set(DYNAMIC_WRITES["tasks.ingest.ads_load:Load._write"])
    assert DYNAMIC_READS["tasks.core.ledger:Ledger._select"] == ("control.canary_changes",)


def functions_that_mutate() -> set[str]:
    """Functions of the stages that call a mutate of the platforms and do not ask for validation only."""
    found = set()
    for module in modules():
        for name, function in functions(module):
            mutates = (".set_budgets", ".set_ad_statuses", ".create_skeleton")
            calls = [n for n in ast.walk(function) if isinstance(n, ast.Call) and ast.unparse(n.func).endswith(mutates)]
            asked = [ast.unparse(k.value) for n in calls for k in n.keywords if k.arg == "validate_only"]
            if len(asked) < len(calls) or set(asked) - {"True"}:
                found.add(f"{module}:{name}")
    return found


@pytest.mark.slow
def test_the_jobs_marked_as_mutating_are_those_that_can_change_an_account() -> None:
    """One function a kind changes accounts, called from one place; the jobs that reach it are the ones the index marks."""
    sets = {"tasks.act.kinds:AdStatuses.set_values", "tasks.act.kinds:Budgets.set_values"}
    mutating = functions_that_mutate()
    assert mutating == sets | {"tasks.ingest.onboard_skeleton:Skeletons.make"}
    callers = [f"{m}:{n}" for m in modules() for n, f in functions(m) if ".set_values(" in ast.unparse(f)]
    assert callers == ["tasks.act.mutation:Mutation.carry_out"]
    changing = [name for name, job in JOBS.items() if mutating & reached(job.module)]
    assert (
        changing
        == [name for name, job in JOBS.items() if job.mutates]
        == [
            "onboard",
            "apply-changes",
            "roll-back-changes",
        ]
    )


# --- exit codes


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (JobError("the file is cut off"), 1, "error: the file is cut off\n"),
        (GateStop("a day is missing"), 3, "error: a day is missing\n"),
        (Refused("no approval"), 4, "error: no approval\n"),
        (TryAgain("quota"), 75, "error: quota\n"),
        (NothingToDo("no change set"), 99, "nothing to do: no change set\n"),
    ],
)
def test_a_job_that_ends_badly_says_so_in_one_line(
    job: ModuleType,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    error: JobError,
    code: int,
    line: str,
) -> None:
    """Each kind of end has its exit code and one line on stderr, without a traceback."""

    def fail() -> None:
        raise error

    monkeypatch.setattr(job, "run", fail)
    assert ended(monkeypatch, "try-it") == code
    assert capsys.readouterr().err == line


def test_a_job_that_ends_well_exits_with_0(job: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a command returns is no exit code unless it is a number."""
    assert ended(monkeypatch, "try-it", "--days", "3") == 0
    assert job.ran == [3]


def test_a_defect_is_not_dressed_up(job: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    """An error that is no JobError keeps its traceback."""

    def fail() -> None:
        raise ZeroDivisionError("a defect")

    monkeypatch.setattr(job, "run", fail)
    with pytest.raises(ZeroDivisionError, match="a defect"):
        cli.main(["try-it"])


def test_an_error_hides_secrets(job: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """An e-mail address in a message does not reach the terminal (M14)."""

    def fail() -> None:
        raise JobError("account of jane.doe@example.com is closed")

    monkeypatch.setattr(job, "run", fail)
    assert ended(monkeypatch, "try-it") == 1
    assert "jane.doe" not in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments", [("no-such-job",), ("try-it", "--no-such-option"), ("try-it", "--days", "many"), ("--what",)]
)
def test_wrong_usage_exits_with_2(
    job: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...]
) -> None:
    """An unknown job or option and a wrong value are usage errors that name what is wrong; nothing runs."""
    assert ended(monkeypatch, *arguments) == 2
    assert arguments[-1].strip("-") in capsys.readouterr().err
    assert job.ran == []


def test_ctrl_c_exits_with_130(job: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    """A person who interrupts sees no traceback."""

    def interrupt() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(job, "run", interrupt)
    assert ended(monkeypatch, "try-it") == 130


# --- parse only


def test_parse_only_runs_nothing(job: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    """With AELP2_PARSE_ONLY=1 good arguments pass and the job does not run."""
    monkeypatch.setenv("AELP2_PARSE_ONLY", "1")
    cli.main(["try-it", "--days", "2"])
    assert job.ran == []


@pytest.mark.parametrize("arguments", [("try-it", "--days", "two"), ("try-it", "--dayz", "2"), ("tri-it",)])
def test_parse_only_finds_wrong_arguments(job: ModuleType, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...]) -> None:
    """With AELP2_PARSE_ONLY=1 a wrong value, option or job is a usage error as in a real run."""
    assert ended(monkeypatch, *arguments, AELP2_PARSE_ONLY="1") == 2


def test_any_other_value_of_parse_only_runs_the_job(job: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only 1 means parse only: a job must not silently do nothing because a variable holds something else."""
    assert ended(monkeypatch, "try-it", AELP2_PARSE_ONLY="0") == 0
    assert job.ran == [1]


# --- lazy


def loaded_after(statement: str) -> set[str]:
    """Top-level packages that a fresh interpreter has loaded after ``statement``."""
    code = f"import sys\n{statement}\nprint(chr(10).join(sorted({{name.split('.')[0] for name in sys.modules}})))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


HEAVY = {"polars", "duckdb", "pandas", "pandera", "numpy", "pymc", "google", "sqlglot", "grpc", "pyarrow", "jinja2", "altair"}


def test_help_of_the_group_loads_nothing_heavy() -> None:
    """`aelp2 --help` and `aelp2 jobs` import no job and no data library."""
    for arguments in (["--help"], ["jobs"], ["jobs", "--json"]):
        call = f"from tasks.cli import main\ntry:\n    main({arguments!r})\nexcept SystemExit:\n    pass"
        assert loaded_after(call) & HEAVY == set(), arguments
    jobs_loaded = "from tasks.cli import main\ntry:\n    main(['jobs'])\nexcept SystemExit:\n    pass\n"
    code = jobs_loaded + "print('LOADED', [n for n in sys.modules if n.startswith('tasks.') and n.split('.')[1] in STAGES])"
    done = subprocess.run(
        [sys.executable, "-c", f"import sys\nSTAGES = {STAGES!r}\n{code}"], capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "LOADED []"


@pytest.mark.slow
@pytest.mark.parametrize("name", JOBS)
def test_help_of_a_job_loads_nothing_heavy(name: str) -> None:
    """A job's --help is fast too: data libraries are imported when the job runs."""
    call = f"from tasks.cli import main\ntry:\n    main([{name!r}, '--help'])\nexcept SystemExit:\n    pass"
    assert loaded_after(call) & HEAVY == set()
