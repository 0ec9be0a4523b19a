"""The composition root."""

from ingestion.api import routers
from ingestion.consumers import consumer
from ingestion.settings import Settings
from shared_runtime import create_app

app = create_app(consumer, Settings(), routers=routers, title="Ingestion")
