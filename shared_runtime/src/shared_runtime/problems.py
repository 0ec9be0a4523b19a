"""HTTP errors as problem details (RFC 9457) with a stable `type`."""

from typing import Any

from fastapi.encoders import jsonable_encoder
from pydantic import BaseModel, ConfigDict
from starlette.responses import JSONResponse

from shared_runtime.errors import PermanentError

TYPE_PREFIX = "https://drone-delivery.example/problems/"
MEDIA_TYPE = "application/problem+json"


class Problem(PermanentError):
    """A refusal that the HTTP client is told: raised by handlers of commands and by API functions.

    `slug` makes the stable type, `detail` is for people, `extensions` are further members of the answer.
    """

    def __init__(
        self, status: int, slug: str, detail: str, *, headers: dict[str, str] | None = None, **extensions: Any
    ) -> None:
        super().__init__(detail, reason=slug)
        self.status = status
        self.slug = slug
        self.headers = headers
        self.extensions = extensions

    def body(self, instance: str) -> dict[str, Any]:
        """The members of the answer for the request to `instance`."""
        return {
            "type": TYPE_PREFIX + self.slug,
            "title": self.slug.replace("-", " ").capitalize(),
            "status": self.status,
            "detail": self.description,
            "instance": instance,
            **self.extensions,
        }

    def response(self, instance: str) -> JSONResponse:
        """The answer to the request to `instance`. Extensions may be whatever FastAPI can turn into JSON."""
        body = jsonable_encoder(self.body(instance))
        return JSONResponse(body, self.status, media_type=MEDIA_TYPE, headers=self.headers)


class FieldProblem(BaseModel):
    """One field or parameter that is missing or invalid."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    field: str
    """Where it is, as in `body.package.weight_kg`."""
    message: str


class ProblemDetails(BaseModel):
    """A problem as its document describes it. By `type` it may have further members."""

    model_config = ConfigDict(extra="allow", use_attribute_docstrings=True)

    type: str
    """Stable; what programs compare."""
    title: str
    status: int
    detail: str
    """One sentence for people."""
    instance: str
    """The path that was asked."""
    errors: list[FieldProblem] | None = None
    """With `type` .../invalid-request."""
