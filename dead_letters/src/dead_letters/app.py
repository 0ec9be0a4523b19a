"""The dead letters, put together."""

from dead_letters import intake
from dead_letters.api import browsing, records, repairing, streams
from dead_letters.consumers import consumer
from dead_letters.settings import Settings
from shared_runtime import create_app

ROUTERS = [streams.router, browsing.router, repairing.router, records.router]

app = create_app(consumer, Settings(), routers=ROUTERS, title="Dead letters", loops={intake.NAME: intake.run})
