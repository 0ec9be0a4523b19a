"""Settings of the dead letters."""

from pydantic import Field

from dead_letters.domain.limits import BODY_BYTES_MAX
from shared_runtime import ServiceSettings


class Settings(ServiceSettings):
    """Where other services are asked what waits in them, beyond what every service has."""

    port: int = 8085
    # A mended body as base64, and what is around it.
    max_request_bytes: int = Field(default=BODY_BYTES_MAX * 3 // 2, gt=0)
    support_urls: dict[str, str] = Field(
        default={
            "ingestion": "http://127.0.0.1:8081",
            "package-service": "http://127.0.0.1:8082",
            "drone-scheduler": "http://127.0.0.1:8083",
            "delivery": "http://127.0.0.1:8084",
        }
    )
    """The HTTP interface of each service by its name, as JSON."""
    support_timeout_s: float = Field(default=2.0, gt=0)
    """How long they may take to tell what waits."""
