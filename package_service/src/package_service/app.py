"""The package service, put together."""

from package_service.api import router
from package_service.consumers import consumer
from package_service.settings import Settings
from shared_runtime import create_app

app = create_app(consumer, Settings(), routers=[router], title="Package service")
