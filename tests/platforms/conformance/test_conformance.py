"""Every adapter passes every case, and an adapter that is wrong does not."""

from collections.abc import Callable

import pytest
from broken import SEEN_BY
from conformance_bench import Bench
from conformance_cases import CASES

from tasks.platforms import ADAPTERS

pytestmark = pytest.mark.slow
BenchOf = Callable[[str, str], Bench]
# What a case needs that a platform's own protocol does not have.
NOT_THERE: dict[tuple[str, str], str] = {
    ("x", "the_status_of_ads_is_read_and_set"): (
        "X's API has no update of a promoted tweet; that each row is refused: tests/platforms/test_x.py"
    ),
    ("x", "a_lost_answer_of_a_mutation_is_ambiguous"): (
        "its mutation is the status of an ad, which X cannot set; the same of a skeleton's parts: tests/platforms/test_x.py"
    ),
    ("tiktok", "throttling_is_waited_out_as_long_as_told"): (
        "TikTok's limit code 40100 names no seconds; how long is waited then: tests/platforms/test_tiktok.py"
    ),
}


@pytest.mark.parametrize("platform", ADAPTERS)
@pytest.mark.parametrize("name", CASES)
def test_the_adapter_passes(platform: str, name: str, bench_of: BenchOf) -> None:
    """See the case."""
    if why := NOT_THERE.get((platform, name)):
        pytest.skip(why)
    CASES[name](bench_of(ADAPTERS[platform], platform))


@pytest.mark.parametrize("defect", SEEN_BY, ids=lambda d: d.__name__)
def test_the_case_made_for_a_defect_sees_it(defect: type, bench_of: BenchOf) -> None:
    """One thing wrong and nothing else: its case goes red."""
    bench = bench_of(f"broken:{defect.__name__}", "reddit")
    assert _fails(CASES[SEEN_BY[defect]], bench), defect.__doc__


def test_a_broken_adapter_fails_at_least_eight_cases(bench_of: BenchOf) -> None:
    """All defects at once."""
    bench = bench_of("broken:BrokenPlatform", "reddit")
    failed = {name for name, case in CASES.items() if _fails(case, bench)}
    assert len(failed) >= 8, sorted(failed)


def _fails(case: Callable[[Bench], None], bench: Bench) -> bool:
    try:
        case(bench)
    except AssertionError:
        return True
    finally:
        bench.running.admin.clear_faults()
    return False
