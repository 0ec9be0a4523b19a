"""Asks the service in this container whether it is ready; the engine keeps what is printed (`docker inspect`)."""

import http.client
import os
import sys

# Not urllib: it would ask a proxy that the environment names.
connection = http.client.HTTPConnection("127.0.0.1", int(os.environ["PORT"]), timeout=4)
connection.request("GET", "/health/ready")
response = connection.getresponse()
print(response.read().decode())
sys.exit(response.status != http.HTTPStatus.OK)
