"""What ingestion is told by its environment, and where it differs from other services."""

from pydantic import Field

from ingestion.domain import limits
from shared_runtime import ServiceSettings


class Settings(ServiceSettings):
    """Settings of ingestion."""

    port: int = Field(default=8081, ge=0, le=65535)
    max_request_bytes: int = Field(default=limits.BODY_BYTES_MAX, gt=0)
    """Larger HTTP requests are refused with 413."""
