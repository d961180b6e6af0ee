"""What Google Ads refuses on account of the credentials is told apart; a label cannot smuggle a condition into a query."""

import pytest

from tasks.core.errors import JobError
from tasks.platforms.calls import Kind
from tasks.platforms.google_ads.failures import Problem, _kind
from tasks.platforms.google_ads.skeletons import find


@pytest.mark.parametrize(
    ("status", "code", "detail", "kind"),
    [
        ("UNAUTHENTICATED", "authentication_error.DEVELOPER_TOKEN_INVALID", "", Kind.SIGN_IN),
        ("UNAUTHENTICATED", "authentication_error.OAUTH_TOKEN_EXPIRED", "", Kind.EXPIRED),
        ("PERMISSION_DENIED", "authorization_error.USER_PERMISSION_DENIED", "", Kind.PERMISSION),
        ("PERMISSION_DENIED", None, "", Kind.PERMISSION),
        ("UNAVAILABLE", None, "metadata from plugin failed: invalid_grant: Token has been expired or revoked.", Kind.EXPIRED),
        ("UNAVAILABLE", None, "metadata from plugin failed: invalid_grant: Invalid JWT Signature.", Kind.SIGN_IN),
        ("UNAVAILABLE", None, "metadata from plugin failed: invalid_client: no such client", Kind.SIGN_IN),
        ("UNAVAILABLE", None, "metadata from plugin failed: connection reset", Kind.PASSING),
    ],
)
def test_a_refusal_says_whether_credentials_are_wrong_run_out_or_too_weak(
    status: str, code: str | None, detail: str, kind: Kind
) -> None:
    """Three classes with three remedies; a token server that cannot be reached is a passing fault."""
    problems = (Problem(code, "", None),) if code else ()
    assert _kind(status, problems, detail) is kind


@pytest.mark.parametrize("label", ["", "a'b", "a OR 1", "x" * 101, "a\n"])
def test_a_label_that_could_change_the_query_is_refused_before_it_is_asked(label: str) -> None:
    """Letters, digits and dashes alone; nothing is sent."""

    def ask(_: str) -> list[object]:
        raise AssertionError("asked")

    with pytest.raises(JobError, match="letters, digits and dashes"):
        find(ask, label)
