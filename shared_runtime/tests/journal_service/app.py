"""The service, put together."""

from journal_service.api import router
from journal_service.consumers import consumer
from shared_runtime import ServiceSettings, create_app

app = create_app(consumer, ServiceSettings(), routers=[router], title="Journals")
