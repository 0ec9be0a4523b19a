"""Documents that are made from the running code: AsyncAPI, OpenAPI and a canvas per service."""
