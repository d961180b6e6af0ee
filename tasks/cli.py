"""`aelp2`: the index of the whole system. Every job of every stage is listed here and loaded only when it is called."""

from __future__ import annotations

import importlib
import os
import sys
from dataclasses import dataclass
from typing import Any

import click

from tasks.core.errors import JobError


@dataclass(frozen=True)
class Job:
    """Where a command lives and what it touches: ``mutates`` is true only for commands that change a live ad account."""

    module: str
    help: str
    reads: tuple[str, ...] = ()
    writes: tuple[str, ...] = ()
    mutates: bool = False

    @property
    def stage(self) -> str:
        """Stage of the loop: the package under tasks/ that holds the job."""
        return self.module.split(".")[1]


NAMED_TABLES = "the tables named by --for"
IDENTIFIED_TABLES = "every table that holds an id of a person"
_SETS, _LEDGER, _ANCHORS, _SWITCH = (
    "control.change_sets",
    "control.canary_changes",
    "control.ledger_anchors",
    "control.kill_switch",
)
_READINESS = "control.readiness"
_APPEND = (_LEDGER, _ANCHORS)  # a row of the changefeed and where the chain ended with it
_SAFETY = "control.safety_events"
_FLAGS = "control.flag_exposures"
_SNAPSHOTS = ("control.canary_budgets_snapshot", "control.canary_ads_snapshot")
_EVENTS, _FORGOTTEN = "gaelp_users.server_events", "gaelp_users.forgotten_ids"
_NODES, _EDGES = "gaelp_users.identity_nodes", "gaelp_users.identity_edges"
_ASSIGNMENTS, _EXPERIMENTS = "gaelp_users.experiment_assignments", "gaelp_users.experiments"
_STATUSES = "ads.ad_statuses"
_SPEND, _OUTCOMES = "ads.ads_campaign_performance", "ads.business_outcomes"
_RATES, _BUSINESS_SPEND = "ads.fx_rates_daily", "ads.business_spend_daily"
_ADS, _CRITERIA = "ads.ads_ad_performance", "ads.ads_criterion_performance"
_DECISIONS = "models.bandit_decisions"
_LIVE_MMM = ("models.mmm_runs", "models.mmm_reviews")
_LOADED = (  # what a load of an ad platform writes
    "ads.ads_accounts",
    _SPEND,
    _ADS,
    _CRITERIA,
    "ads.ads_action_performance",
    "ads.ads_breakdown_performance",
    "ads.ads_conversion_action_stats",
    "ads.ads_change_events",
    "ads.ads_entities",
    "ads.campaign_budgets",
    _STATUSES,
    "control.ingest_runs",
    "control.quarantine",
)
_SKELETONS = "control.platform_skeletons"

# What a job reads and writes is exactly what its code can reach; tests/test_cli.py compares.
JOBS: dict[str, Job] = {
    "ingest-ads": Job(
        "tasks.ingest.ingest_ads",
        "Load the restatement window of every ad account of a platform.",
        reads=(_SPEND, "control.ingest_runs"),
        writes=_LOADED,
    ),
    "list-accounts": Job(
        "tasks.ingest.list_accounts",
        "Name every ad account that the stored credentials reach: one load each for Airflow to start.",
    ),
    "onboard": Job(
        "tasks.ingest.onboard",
        "Bring an ad platform in: check and store its credentials, make a paused skeleton campaign, load its history.",
        reads=("ads.ads_accounts", _SPEND, "control.ingest_runs", _SWITCH, _SKELETONS),
        writes=(*_LOADED, _SKELETONS),
        mutates=True,
    ),
    "ingest-outcomes": Job(
        "tasks.ingest.ingest_outcomes",
        "Load the business's own daily new customers and revenue.",
        reads=("control.ingest_runs",),
        writes=(_OUTCOMES, "ads.business_controls", "control.ingest_runs", "control.quarantine"),
    ),
    "ingest-fx": Job(
        "tasks.ingest.ingest_fx",
        "Load daily rates of the currencies that accounts and outcomes are in.",
        reads=("ads.ads_accounts", _OUTCOMES, _SPEND, _ADS, _RATES),
        writes=(_RATES,),
    ),
    "ingest-events": Job(
        "tasks.ingest.ingest_events",
        "Load server events and offline conversions; e-mail and phone are hashed at the door.",
        reads=(_EVENTS, _FORGOTTEN, "control.imported_files"),
        writes=(_EVENTS, "control.quarantine", "control.imported_files", "control.ingest_runs"),
    ),
    "ingest-ga4": Job(
        "tasks.ingest.ingest_ga4",
        "Load GA4's exported events and its day per channel; late days are read again.",
        reads=("ga4.ga4_events", "control.ingest_runs", _FORGOTTEN),
        writes=("ga4.ga4_events", "ga4.ga4_daily", "control.ingest_runs", "control.quarantine"),
    ),
    "import-csv": Job(
        "tasks.ingest.import_csv",
        "Bring your own numbers: a weekly or daily table of spend, outcome and controls.",
        reads=("ads.imported_media", _OUTCOMES, "ads.business_controls"),
        writes=("ads.imported_media", _OUTCOMES, "ads.business_controls"),
    ),
    "import-reports": Job(
        "tasks.ingest.import_reports",
        "Load ad reports that a connector already lands: Fivetran's tables of six ad platforms.",
        reads=(_SPEND, _ADS, _CRITERIA, "ads.ads_breakdown_performance", "ads.ads_action_performance"),
        writes=(
            "ads.ads_accounts",
            _SPEND,
            _ADS,
            _CRITERIA,
            "ads.ads_breakdown_performance",
            "ads.ads_action_performance",
            "ads.ads_entities",
            "control.quarantine",
        ),
    ),
    "import-assignments": Job(
        "tasks.ingest.import_assignments",
        "Load who was put into which arm of an experiment, and what the arms cost.",
        reads=(_ASSIGNMENTS, _FORGOTTEN, "control.imported_files"),
        writes=(_ASSIGNMENTS, _EXPERIMENTS, "control.imported_files", "control.ingest_runs"),
    ),
    "build-journeys": Job(
        "tasks.identity.build_journeys",
        "Make visits, journeys and counted paths from GA4's events and the stitched persons.",
        reads=(
            "ga4.ga4_events",
            "gaelp_users.identity_nodes",
            "gaelp_users.journey_sessions",
            "gaelp_users.persistent_touchpoints",
        ),
        writes=(
            "gaelp_users.journey_sessions",
            "gaelp_users.persistent_touchpoints",
            "models.journey_paths_daily",
            "models.journey_transitions_daily",
        ),
    ),
    "validate-tables": Job(
        "tasks.quality.validate_tables",
        "Gate: check the tables a job reads; a failing critical check stops the line.",
        reads=(NAMED_TABLES,),
        writes=("control.validation_results", "control.quarantine"),
    ),
    "check-drift": Job(
        "tasks.quality.check_drift",
        "Compare the last weeks of ads, journeys and the model's inputs and residuals with the weeks before.",
        reads=(
            _SPEND,
            _BUSINESS_SPEND,
            "ga4.conversion_maturity",
            "gaelp_users.journey_sessions",
            "ads.imported_media",
            _OUTCOMES,
            "ads.business_controls",
            "models.mmm_runs",
            "models.mmm_reviews",
            "models.mmm_fit_weekly",
            "control.drift_reports",
        ),
        writes=("control.drift_reports", "control.drift_acknowledgements", _SAFETY),
    ),
    "evaluate-fidelity": Job(
        "tasks.quality.evaluate_fidelity",
        "Hold predictions of the model and of applied change sets against what came; missing data blocks.",
        reads=(
            _BUSINESS_SPEND,
            "ads.imported_media",
            _OUTCOMES,
            "models.mmm_runs",
            "models.mmm_reviews",
            "models.mmm_fit_weekly",
            "models.mmm_draws",
            "control.budget_proposals",
            _LEDGER,
        ),
        writes=("control.fidelity_evaluations", "control.fidelity_periods"),
    ),
    "stitch-identities": Job(
        "tasks.identity.stitch_identities",
        "Work out which ids belong to one person, without gluing strangers together.",
        reads=("ga4.ga4_events", _EVENTS, _EDGES, _NODES, _FORGOTTEN),
        writes=(_EDGES, _NODES, "gaelp_users.identity_person_changes"),
    ),
    "forget": Job(
        "tasks.identity.forget",
        "Delete a person from every table, or what is too old; only counts without --delete.",
        reads=(_NODES, IDENTIFIED_TABLES),
        writes=(_FORGOTTEN, IDENTIFIED_TABLES),
    ),
    "fit-mmm": Job(
        "tasks.measure.fit_mmm",
        "Fit the Bayesian marketing-mix model and publish response curves.",
        reads=(
            _SPEND,
            _BUSINESS_SPEND,
            "ads.imported_media",
            _OUTCOMES,
            "ads.business_controls",
            "models.lift_tests",
            "models.mmm_runs",
        ),
        writes=(
            "models.mmm_runs",
            "models.mmm_curves",
            "models.mmm_allocations",
            "models.mmm_draws",
            "models.mmm_fit_weekly",
            "models.mmm_lift_tests",
        ),
    ),
    "review-mmm": Job(
        "tasks.measure.review_mmm",
        "Judge the newest MMM run by named checks; only PASS or REVIEW becomes live.",
        reads=(
            "models.mmm_runs",
            "models.mmm_fit_weekly",
            "models.mmm_allocations",
            "models.mmm_lift_tests",
            "models.mmm_reviews",
        ),
        writes=("models.mmm_reviews",),
    ),
    "estimate-maturity": Job(
        "tasks.measure.estimate_maturity",
        "Estimate which share of conversions has arrived by each lag, and what recent click days still miss.",
        reads=("ga4.ga4_events", "ads.ads_conversion_action_stats"),
        writes=("ga4.conversion_maturity", "ga4.ga4_lagged_daily"),
    ),
    "attribute-conversions": Job(
        "tasks.measure.attribute_conversions",
        "Credit conversions to channels by nine attribution methods; cross-check with the MMM.",
        reads=(
            "models.journey_paths_daily",
            "models.mmm_runs",
            "models.mmm_reviews",
            "models.mmm_draws",
            "models.mmm_allocations",
        ),
        writes=("models.attribution_weekly", "models.attribution_cross_check"),
    ),
    "fit-uplift": Job(
        "tasks.measure.fit_uplift",
        "Estimate what treatment adds, by segment and person; causal only where a lot decided.",
        reads=(_EXPERIMENTS, _ASSIGNMENTS, "gaelp_users.journey_sessions"),
        writes=(
            "models.uplift_segment_daily",
            "models.uplift_learners_daily",
            "models.uplift_deciles_daily",
            "models.uplift_curves",
            "models.segment_scores_daily",
            "models.lift_tests",
        ),
    ),
    "import-geo-experiment": Job(
        "tasks.measure.import_geo_experiment",
        "Measure what a change of spend in some regions brought, as a lift test of the MMM.",
        writes=("models.lift_tests",),
    ),
    "fit-bandits": Job(
        "tasks.measure.fit_bandits",
        "Estimate the rewards per spend of every ad, keyword and audience: delayed, decaying, shared; never clicks.",
        reads=(
            _ADS,
            _CRITERIA,
            "ga4.conversion_maturity",
            *_LIVE_MMM,
            "models.mmm_allocations",
            _DECISIONS,
            "models.bandit_rewards",
        ),
        writes=("models.bandit_posteriors", "models.bandit_rewards"),
    ),
    "judge-experiments": Job(
        "tasks.measure.judge_experiments",
        "Check the split of randomised experiments; a verdict that may be read on any day.",
        reads=(_ASSIGNMENTS, "gaelp_users.journey_sessions"),
        writes=("models.ab_experiments",),
    ),
    "plan-budgets": Job(
        "tasks.decide.plan_budgets",
        "Propose small daily budget steps towards the optimum, within every cap.",
        reads=(
            "models.mmm_runs",
            "models.mmm_draws",
            "models.mmm_reviews",
            "ads.campaign_budgets",
            _SPEND,
            _BUSINESS_SPEND,
            "ads.ads_change_events",
            _OUTCOMES,
            "ads.imported_media",
            _SETS,
            "control.approvals",
            _SWITCH,
            _LEDGER,
            "control.ingest_runs",
        ),
        writes=(_SETS, "control.budget_proposals", "control.plan_decisions", _FLAGS, *_APPEND),
    ),
    "choose-arms": Job(
        "tasks.decide.choose_arms",
        "Split each ad group's spend over its ads, its keywords, its audiences, with a reserve for exploration; log it.",
        reads=("models.bandit_posteriors", _DECISIONS, _ADS, _RATES),
        writes=(_DECISIONS,),
    ),
    "plan-ads": Job(
        "tasks.decide.plan_ads",
        "Propose enabling and pausing ads as the bandits decided, within every rule.",
        reads=(
            "models.bandit_decisions",
            _STATUSES,
            _ADS,
            "ads.ads_accounts",
            "ads.ads_change_events",
            _SETS,
            _SWITCH,
            _LEDGER,
            "control.drift_reports",
            "control.drift_acknowledgements",
        ),
        writes=(_SETS, "control.ad_decisions", _FLAGS, *_APPEND),
    ),
    "plan-audiences": Job(
        "tasks.decide.plan_audiences",
        "Plan audiences for Google, Meta and GA4 from causal scores; nothing is sent.",
        reads=("models.segment_scores_daily", "gaelp_users.identity_nodes"),
        writes=("control.audience_plans", "gaelp_users.audience_members"),
    ),
    "request-approval": Job(
        "tasks.act.request_approval",
        "Lay the undecided change sets out for a person: table of changes, why, risk, expiry.",
        reads=(
            _SETS,
            "control.budget_proposals",
            "control.plan_decisions",
            "control.ad_decisions",
            "models.mmm_reviews",
            "ads.ads_change_events",
            _STATUSES,
            _LEDGER,
        ),
    ),
    "record-approval": Job(
        "tasks.act.record_approval",
        "Record a person's decision on the exact hashes of change sets, each by itself.",
        reads=(_SETS, "control.approvals", _LEDGER),
        writes=("control.approvals", *_APPEND),
    ),
    "snapshot-budgets": Job(
        "tasks.act.snapshot_budgets",
        "Read the budgets (or ads) of the approved change set as they stand now.",
        reads=(_SETS, "control.approvals", _SWITCH, _READINESS, _LEDGER),
        writes=(*_SNAPSHOTS, *_APPEND, _SAFETY, _FLAGS),
    ),
    "validate-changes": Job(
        "tasks.act.validate_changes",
        "Ask the platform to check the changes without making them.",
        reads=(_SETS, "control.approvals", _SWITCH, _READINESS, _LEDGER),
        writes=(*_APPEND, _SAFETY, _FLAGS),
    ),
    "apply-changes": Job(
        "tasks.act.apply_changes",
        "Apply the approved change set, at most once, and read it back.",
        reads=(_SETS, "control.approvals", *_SNAPSHOTS, _SWITCH, _READINESS, *_APPEND),
        writes=(*_APPEND, _SAFETY, _FLAGS),
        mutates=True,
    ),
    "verify-changes": Job(
        "tasks.act.verify_changes",
        "Read budgets or ads back and compare them with what was approved.",
        reads=(_SETS, _LEDGER),
        writes=(*_APPEND, _SAFETY),
    ),
    "watch-canary": Job(
        "tasks.act.watch_canary",
        "Measure the guardrails of every open canary; freeze the account on a CAC breach.",
        reads=(_SPEND, _BUSINESS_SPEND, "ads.ads_ad_performance", _OUTCOMES, _SETS, _SWITCH, _LEDGER),
        writes=("control.canary_watch", _SAFETY, _SWITCH, *_APPEND),
    ),
    "promote-changes": Job(
        "tasks.act.promote_changes",
        "Close canaries whose watch ended well.",
        reads=(_SETS, "control.canary_watch", _LEDGER),
        writes=_APPEND,
    ),
    "roll-back-changes": Job(
        "tasks.act.roll_back_changes",
        "Restore the exact earlier budgets and ads of failed or breached canaries, by their receipts.",
        reads=(_SETS, "control.canary_watch", _SWITCH, _LEDGER),
        writes=(*_APPEND, _SAFETY),
        mutates=True,
    ),
    "verify-ledger": Job(
        "tasks.govern.verify_ledger",
        "Recompute the hash chain of the changefeed and check every transition.",
        reads=(*_APPEND, _SETS, "control.approvals"),
    ),
    "kill": Job(
        "tasks.govern.kill",
        "Stop all mutations now (or, with --off, allow them again).",
        reads=(_SWITCH, _SETS),
        writes=(_SWITCH, _SAFETY),
    ),
    "reconcile-changes": Job(
        "tasks.govern.reconcile_changes",
        "Say for each change of a budget or an ad whose it is; freeze an account in which somebody undoes ours.",
        reads=("ads.ads_change_events", _STATUSES, _LEDGER, _SWITCH, "control.change_reconciliation"),
        writes=("control.change_reconciliation", _SAFETY, _SWITCH),
    ),
    "assess-readiness": Job(
        "tasks.govern.assess_readiness",
        "Say for every account whether it may be changed today, and if not, why.",
        reads=(
            _SPEND,
            _OUTCOMES,
            "control.validation_results",
            "models.mmm_runs",
            "models.mmm_reviews",
            _SETS,
            _SWITCH,
            "control.drift_reports",
            "control.drift_acknowledgements",
            "control.fidelity_evaluations",
            "control.change_reconciliation",
            *_APPEND,
        ),
        writes=(_READINESS,),
    ),
    "measure-success": Job(
        "tasks.govern.measure_success",
        "Write the day's success metrics: customers, costs, hits of the model, exploration, decisions, safety.",
        reads=(
            _SPEND,
            _BUSINESS_SPEND,
            _OUTCOMES,
            *_LIVE_MMM,
            "models.mmm_draws",
            "models.mmm_allocations",
            "models.lift_tests",
            "control.fidelity_evaluations",
            "control.fidelity_periods",
            _DECISIONS,
            "models.bandit_rewards",
            _ADS,
            "control.approvals",
            "control.change_reconciliation",
            *_APPEND,
        ),
        writes=("control.success_metrics_daily",),
    ),
    "report": Job(
        "tasks.govern.report",
        "Write one self-contained HTML page about the run.",
        reads=(
            _BUSINESS_SPEND,
            _OUTCOMES,
            "models.mmm_runs",
            "models.mmm_reviews",
            "models.mmm_curves",
            "models.mmm_allocations",
            "models.mmm_fit_weekly",
            "models.attribution_weekly",
            "models.attribution_cross_check",
            "models.journey_paths_daily",
            "ga4.conversion_maturity",
            "models.uplift_curves",
            "models.uplift_learners_daily",
            "control.drift_reports",
            "control.drift_acknowledgements",
            "control.fidelity_evaluations",
            "control.fidelity_periods",
            "control.success_metrics_daily",
            "ads.ads_accounts",
            _READINESS,
            "models.bandit_posteriors",
            _DECISIONS,
            _ADS,
            _STATUSES,
            "control.ad_decisions",
            "control.canary_ads_snapshot",
            "control.change_reconciliation",
            "ads.ads_change_events",
            _SETS,
            "control.budget_proposals",
            "control.plan_decisions",
            "control.approvals",
            *_APPEND,
            "control.canary_watch",
            _SWITCH,
            _SAFETY,
            "control.ingest_runs",
            "control.validation_results",
        ),
    ),
    "check-deployment": Job(
        "tasks.govern.check_deployment",
        "Check that this machine or pod has what the jobs need; nothing is changed. The DAG smoke runs it after a release.",
        reads=(_SWITCH,),
    ),
    "run-sandbox": Job(
        "tasks.lab.run_sandbox",
        "Serve a simulated advertiser over the real Google Ads protocol on this machine.",
    ),
}


class LazyGroup(click.Group):
    """A group whose commands are imported when they are called, so that --help and light jobs start fast."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All commands in the order of the loop."""
        return [*JOBS, *super().list_commands(ctx)]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the module of ``cmd_name`` and return its ``command``."""
        if cmd_name not in JOBS:
            return super().get_command(ctx, cmd_name)
        command: click.Command = importlib.import_module(JOBS[cmd_name].module).command
        return command

    def format_commands(self, _ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the command list from the index, without importing any job."""
        stages: dict[str, list[tuple[str, str]]] = {}
        for name, job in JOBS.items():
            stages.setdefault(job.stage, []).append((name, job.help))
        for stage, rows in stages.items():
            with formatter.section(stage):
                formatter.write_dl(rows)
        with formatter.section("about the system"):
            formatter.write_dl([(n, c.get_short_help_str(200)) for n, c in sorted(self.commands.items())])


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120})
@click.option("--log-level", default="INFO", show_default=True, type=click.Choice(["DEBUG", "INFO", "WARNING", "ERROR"]))
def cli(log_level: str) -> None:
    """AELP2: ingest → check → measure → decide → approve → act → govern.

    Everything starts in shadow: proposals only. `aelp2 jobs` shows what each command reads and writes.

    Exit codes: 0 done, 1 job error, 2 usage, 3 a gate says stop, 4 refused by a guard, 75 try again, 99 nothing to do.
    """
    from tasks.core import log

    log.configure(log_level)


@cli.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
def jobs(as_json: bool) -> None:
    """List every job: stage, what it reads and writes, whether it changes a live ad account."""
    if as_json:
        import json

        rows = {
            name: {"stage": j.stage, "help": j.help, "reads": j.reads, "writes": j.writes, "mutates": j.mutates}
            for name, j in JOBS.items()
        }
        click.echo(json.dumps(rows, indent=2))
        return
    for name, job in JOBS.items():
        click.secho(f"{name}  [{job.stage}]{'  MUTATES A LIVE ACCOUNT' if job.mutates else ''}", bold=True)
        click.echo(f"  {job.help}")
        click.echo(f"  reads   {', '.join(job.reads) or '-'}")
        click.echo(f"  writes  {', '.join(job.writes) or '-'}")


def _check_arguments(arguments: list[str]) -> None:
    """Parse ``arguments`` as the real command would and stop before it runs; click raises on a wrong one."""
    with click.Context(cli, info_name="aelp2", **cli.context_settings) as context:
        rest = click.Command.parse_args(cli, context, list(arguments))
        name, command, rest = cli.resolve_command(context, rest)
        if command is None or name is None:
            raise click.UsageError(f"no such command: {arguments}")
        command.make_context(name, rest, parent=context)


def main(arguments: list[str] | None = None) -> None:
    """Run a command; a JobError ends as one clear line on stderr and its exit code.

    With AELP2_PARSE_ONLY=1 the arguments are parsed and nothing runs: the DAG tests prove each pod's arguments this way.
    """
    arguments = sys.argv[1:] if arguments is None else arguments
    try:
        if os.environ.get("AELP2_PARSE_ONLY") == "1":
            _check_arguments(arguments)
            return
        result: Any = cli.main(args=arguments, prog_name="aelp2", standalone_mode=False)
    except click.exceptions.Abort:
        sys.exit(130)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except click.exceptions.Exit as stop:
        sys.exit(stop.exit_code)
    except JobError as error:
        from tasks.core.log import redact

        prefix = "nothing to do" if error.exit_code == 99 else "error"
        click.echo(f"{prefix}: {redact(str(error))}", err=True)
        sys.exit(error.exit_code)
    sys.exit(result if isinstance(result, int) else 0)
