"""What a service is told by its environment, and by the files of a folder for what is secret."""

import os

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class DatabaseSettings(BaseSettings):
    """All that a migration needs to know.

    Read from environment variables of the same names in capitals, else from files of the same names in the folder that
    SECRETS_FOLDER names: what is in a file is not in the environment of every child process and diagnosis.
    """

    model_config = SettingsConfigDict(
        frozen=True,
        use_attribute_docstrings=True,
        secrets_dir=os.environ.get("SECRETS_FOLDER"),
        # URLs hold passwords.
        hide_input_in_errors=True,
    )

    database_url: str = Field(pattern="^postgres(ql)?://")
    """`postgresql://user:password@host:port/database`."""


class ServiceSettings(DatabaseSettings):
    """Settings that every service has."""

    broker_url: str = Field(pattern="^amqps?://")
    """`amqp://user:password@host:port/virtual-host`."""
    host: str = "127.0.0.1"
    """The address that HTTP listens on."""
    port: int = Field(default=8080, ge=0, le=65535)
    database_connections: int = Field(default=12, ge=2)
    """Connections for messages and commands. Reads through HTTP have as many again at most."""
    stop_timeout_s: float = Field(default=20.0, gt=0)
    """How long what is in hand may take when the service is told to stop."""
    max_request_bytes: int = Field(default=64 * 1024, gt=0)
    """Larger HTTP requests are refused with 413."""
    log_level: str = Field(default="INFO", pattern="^(DEBUG|INFO|WARNING|ERROR)$")
    log_format: str = Field(default="json", pattern="^(json|console)$")
    otlp_endpoint: str | None = None
    """Where traces go (OTLP over HTTP). Nowhere when it is not set."""
    traces_per_second: float = Field(default=10.0, ge=0, allow_inf_nan=False)
    """How many traces begin here per second at most, of each kind of request or message. A request that comes with a
    trace context keeps its own decision."""
    dead_letters_per_minute: int = Field(default=60, ge=1)
    """What each subscription of this process may dead-letter. When there would be more, it pauses."""
    inbox_retention_s: float = Field(default=7 * 24 * 3600, gt=0)
    """How long handled messages are remembered. A message delivered twice further apart than this is handled twice."""
