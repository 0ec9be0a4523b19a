"""The delivery service, put together."""

from delivery.api import router
from delivery.consumers import consumer
from delivery.settings import Settings
from shared_runtime import create_app

app = create_app(consumer, Settings(), routers=[router], title="Delivery")
