"""Known ways this has gone wrong elsewhere (DESIGN §6), and the tests that would catch each of them.

| what went wrong | caught by |
| --- | --- |
| the cap's query was invalid, its error swallowed | tests/act/test_guard.py::test_what_cannot_be_read_stops_everything |
| | tests/act/test_apply_changes.py::test_a_ledger_that_cannot_be_read_stops_everything |
| | tests/act/test_known_failures.py::test_no_error_is_swallowed_on_the_way_of_money |
| the cap summed signed deltas: +10 % and −10 % made 0 | tests/core/test_caps.py::test_up_and_down_do_not_cancel |
| | tests/act/test_guard.py::test_ten_percent_up_and_down_again_is_twenty |
| rollback crashed on every call | tests/act/test_roll_back_changes.py::test_the_exact_earlier_amounts_come_back |
| | tests/act/test_crashes.py::test_kill_9_at_every_step |
| rollback was not logged | tests/act/test_roll_back_changes.py::test_the_exact_earlier_amounts_come_back |
| | tests/act/test_roll_back_changes.py::test_the_safety_event_is_written_before_the_set_is_closed |
| rollback overwrote somebody's later edit | tests/act/test_roll_back_changes.py::test_an_edit_between_check_and_restore_is_seen |
| | tests/act/test_roll_back_changes.py::test_somebodys_edit_is_left_alone_and_the_others_are_restored |
| rollback rows for changes never applied | tests/act/test_roll_back_changes.py::test_changes_never_applied_get_no_rollback_rows |
| a rollback fired because a gate failed | tests/act/test_roll_back_changes.py::test_without_receipts_it_is_no_work |
| the direction came from a default, not the model | tests/decide/test_market_truth.py |
| | tests/decide/test_plan_budgets.py::test_m4_decides_on_both_sides_of_the_target |
| a CAC guard printed "down" and passed "up" | tests/act/test_watch_canary.py::test_cac_that_goes_down_is_no_breach |
| | tests/act/test_watch_canary.py::test_a_cac_breach_freezes_the_account_and_asks_for_the_rollback |
| the bandit's reward was CTR | tests/measure/test_fit_bandits.py::test_clicks_are_not_the_reward |
| uplift was exposed against unexposed | tests/decide/test_plan_audiences.py::test_observational_scores_never_make_an_audience |
| brand detection ran on hashed names | tests/platforms/google_ads/test_labels.py::test_brand_is_a_whole_word_and_a_denial_wins |
| a reader used columns its writer never wrote | tests/sql/test_sql_files.py::test_every_statement_runs_on_duckdb |
| | tests/sql/test_sql_files.py::test_every_statement_is_valid_bigquery |
| literal sample values written as if real | tests/act/test_known_failures.py::test_no_sample_value_stands_in_the_code |
| model fallbacks chosen silently | tests/measure/test_review_mmm.py::test_the_fallback_goes_live_only_as_review |
| e-mail and phone hashed without normalising | tests/core/test_personal.py::test_an_address_has_one_normal_form |
| | tests/core/test_personal.py::test_a_number_has_one_normal_form |
| append-only loads that duplicate on re-run | tests/ingest/test_ads_load.py::test_running_twice_changes_nothing |
| | tests/decide/test_plan_budgets.py::test_planning_twice_changes_nothing |
| average spend that counts today's partial day | tests/act/test_watch_canary.py::test_the_partial_day_of_today_does_not_count |
| | tests/decide/test_plan_budgets.py::test_the_day_under_way_counts_nowhere |

Found in this code while these tests were written, each with its test: a change made twice after half a rollback, after half a
failure and after half a block (test_guard.py); half a rollback promoted (test_promote_changes.py); a row whose fate was not known
taken for refused (test_guard.py); customers counted against spend that had not landed (test_watch_canary.py).
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
MONEY = [p for d in ("act", "core", "decide", "govern", "platforms") for p in sorted((ROOT / "tasks" / d).rglob("*.py"))]


def test_the_table_names_tests_that_exist() -> None:
    """A test that is renamed or deleted must not leave a line of the table without cover."""
    named = re.findall(r"(tests/[\w/]+\.py)(?:::(test_\w+))?", __doc__ or "")
    assert len(named) > 20
    for file, test in named:
        assert f"def {test or 'test_'}" in (ROOT / file).read_text(encoding="utf-8"), (file, test)


def docstrings() -> Iterator[tuple[str, str]]:
    for file in sorted((ROOT / "tests").rglob("test_*.py")):
        tree = ast.parse(file.read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                yield f"{file.name}::{node.name}", ast.get_docstring(node) or ""


def test_each_invariant_of_money_is_named_by_a_test() -> None:
    """M1 to M14 stand in docstrings of tests (grep "M7")."""
    cover: dict[int, list[str]] = {}
    for name, text in docstrings():
        for number in re.findall(r"\bM(\d+)\b", text):
            if name != "test_known_failures.py::test_each_invariant_of_money_is_named_by_a_test":
                cover.setdefault(int(number), []).append(name)
    assert sorted(cover) == list(range(1, 15))


def _catches_everything(handler: ast.ExceptHandler) -> bool:
    names = [handler.type] if not isinstance(handler.type, ast.Tuple) else handler.type.elts
    return any(n is None or (isinstance(n, ast.Name) and n.id in ("Exception", "BaseException")) for n in names)


@pytest.mark.parametrize("file", MONEY, ids=lambda p: p.relative_to(ROOT / "tasks").as_posix())
def test_no_error_is_swallowed_on_the_way_of_money(file: Path) -> None:
    """M3: an invalid query must end the job. A handler for everything has to raise, or hand the error on by name."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ExceptHandler) and _catches_everything(node):
            used = {n.id for n in ast.walk(ast.Module(node.body, [])) if isinstance(n, ast.Name)}
            raises = any(isinstance(n, ast.Raise) for n in ast.walk(ast.Module(node.body, [])))
            assert raises or (node.name is not None and node.name in used), f"{file.name}:{node.lineno} swallows every error"


@pytest.mark.parametrize("file", MONEY, ids=lambda p: p.relative_to(ROOT / "tasks").as_posix())
def test_no_sample_value_stands_in_the_code(file: Path) -> None:
    """A made-up identifier or a stand-in for data has no place in what writes tables."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            assert not re.search(
                r"(?i)\b(?!bandit_min_)\w+_sample\b|\bsample_\w+|placeholder|lorem|dummy|foo@|123-45", node.value
            ), node.value
