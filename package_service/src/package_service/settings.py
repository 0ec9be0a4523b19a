"""Settings of the package service."""

from shared_runtime import ServiceSettings


class Settings(ServiceSettings):
    """Nothing beyond what every service has."""

    port: int = 8082
