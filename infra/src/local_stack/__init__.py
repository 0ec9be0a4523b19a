"""The suite as local processes: real PostgreSQL, real RabbitMQ and the services, for machines without Docker.

- `local_stack.servers.LocalServers`: the two servers, for component tests;
- `local_stack.stack.LocalStack`: servers and services;
- `python -m local_stack up|down|status|logs|run`: the command behind `make up`.
"""
