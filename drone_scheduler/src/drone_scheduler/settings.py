"""What the scheduler is told by its environment."""

from shared_runtime import ServiceSettings


class Settings(ServiceSettings):
    """The settings of every service; the scheduler needs no others."""

    port: int = 8083
