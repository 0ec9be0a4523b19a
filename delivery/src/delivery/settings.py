"""What this service is told by its environment."""

from datetime import timedelta

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from delivery.domain.delivery import Rules
from shared_runtime import ServiceSettings


class Settings(ServiceSettings):
    """The settings of every service, with room for 500 telemetry reports in one request."""

    max_request_bytes: int = Field(default=256 * 1024, gt=0)


class RuleSettings(BaseSettings):
    """How long delivery waits, and how much of a flight it remembers: variables that begin with `DELIVERY_`."""

    model_config = SettingsConfigDict(env_prefix="DELIVERY_", frozen=True, use_attribute_docstrings=True)

    package_answer_timeout_s: float = Field(default=900, gt=0)
    """How long a booked drone is held for a package that has not been registered yet."""
    drone_answer_grace_s: float = Field(default=30, ge=0)
    """How long after a request's deadline the scheduler's own answer may still arrive."""
    position_interval_s: float = Field(default=10, ge=0)
    """The shortest time between two positions in the history, apart from those of stage changes."""

    @property
    def rules(self) -> Rules:
        return Rules(
            package_answer_timeout=timedelta(seconds=self.package_answer_timeout_s),
            drone_answer_grace=timedelta(seconds=self.drone_answer_grace_s),
            position_interval=timedelta(seconds=self.position_interval_s),
        )
