"""The drone scheduler: `python -m shared_runtime.serve drone_scheduler`."""

from drone_scheduler.api import bookings, fleet
from drone_scheduler.consumers import consumer
from drone_scheduler.settings import Settings
from shared_runtime import create_app

app = create_app(consumer, Settings(), routers=[fleet.router, bookings.router], title="Drone scheduler")
