"""Where the suite is: its interfaces, and what an operator may look into."""

import os
from collections.abc import Mapping
from typing import Self

from pydantic_settings import BaseSettings, SettingsConfigDict

from fleet_simulator.assembly import FleetEndpoints
from local_stack.broker_definitions import ADMIN_USER, FLEET_USER
from local_stack.stack import LocalStack


class StackEndpoints(BaseSettings):
    """Addresses of one stack.

    Read from environment variables of the same names in capitals, or from files of the same names in the folder that
    SECRETS_FOLDER names.
    """

    model_config = SettingsConfigDict(
        frozen=True, use_attribute_docstrings=True, secrets_dir=os.environ.get("SECRETS_FOLDER")
    )

    ingestion_url: str = "http://127.0.0.1:8081"
    drone_scheduler_url: str = "http://127.0.0.1:8083"
    delivery_url: str = "http://127.0.0.1:8084"
    fleet_broker_url: str
    """The broker, for the user `fleet`, who sends telemetry and reads notifications."""
    admin_broker_url: str
    """The broker, for a user who may add a queue and look at all of them."""
    ingestion_database_url: str
    package_service_database_url: str
    drone_scheduler_database_url: str
    delivery_database_url: str
    dead_letters_database_url: str

    @classmethod
    def of(cls, stack: LocalStack) -> Self:
        """The addresses of a stack of local processes."""
        return cls(
            ingestion_url=stack.base_url("ingestion"),
            drone_scheduler_url=stack.base_url("drone_scheduler"),
            delivery_url=stack.base_url("delivery"),
            fleet_broker_url=stack.broker_url(FLEET_USER),
            admin_broker_url=stack.broker_url(ADMIN_USER),
            ingestion_database_url=stack.database_url("ingestion"),
            package_service_database_url=stack.database_url("package_service"),
            drone_scheduler_database_url=stack.database_url("drone_scheduler"),
            delivery_database_url=stack.database_url("delivery"),
            dead_letters_database_url=stack.database_url("dead_letters"),
        )

    @property
    def databases(self) -> Mapping[str, str]:
        """The databases' URLs by service."""
        return {
            "ingestion": self.ingestion_database_url,
            "package_service": self.package_service_database_url,
            "drone_scheduler": self.drone_scheduler_database_url,
            "delivery": self.delivery_database_url,
            "dead_letters": self.dead_letters_database_url,
        }

    @property
    def fleet(self) -> FleetEndpoints:
        """What the fleet simulator has to know."""
        return FleetEndpoints(self.drone_scheduler_url, self.delivery_url, self.fleet_broker_url)
