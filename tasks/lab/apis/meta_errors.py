"""What the Graph API refuses, in its words."""

from typing import Any

from tasks.lab.apis.server import Response


class GraphError(Exception):
    """A refusal; ``headers`` go with it."""

    def __init__(
        self,
        code: int,
        message: str,
        *,
        subcode: int = 0,
        type_: str = "OAuthException",
        status: int = 400,
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.code, self.subcode, self.type, self.status = code, subcode, type_, status
        self.headers = headers or {}

    def response(self, trace_id: str) -> Response:
        """As it is sent."""
        error: dict[str, Any] = {"message": str(self), "type": self.type, "code": self.code}
        if self.subcode:
            error["error_subcode"] = self.subcode
        error["fbtrace_id"] = trace_id
        return Response(self.status, {"error": error}, {"X-FB-Trace-ID": trace_id, **self.headers})


def not_found(what: str, node: str) -> GraphError:
    """Of an object that is not there or that the token does not reach: Meta does not say which."""
    message = (
        f"Unsupported {what} request. Object with ID '{node}' does not exist, cannot be loaded due to missing permissions, or "
        "does not support this operation"
    )
    return GraphError(100, message, subcode=33, type_="GraphMethodException")
