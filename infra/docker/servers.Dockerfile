# The other containers of docker-compose.yml, one target each, with their configuration inside: nothing is mounted from
# the checkout, so `docker compose up --build` notices every change, and the engine may be on another machine.

FROM python:3.13-slim AS secrets
# A volume that is new takes over owner and mode of the folder that it covers.
RUN for folder in \
      passwords postgres rabbitmq ingestion package_service drone_scheduler delivery dead_letters fleet_simulator demo; \
    do install -d -o 10001 -g 10001 -m 0750 "/secrets/$folder"; done
COPY --chmod=0444 infra/rabbitmq/definitions.json infra/docker/make_secrets.py /app/
USER 10001:10001
CMD ["python", "/app/make_secrets.py"]

FROM postgres:17 AS postgres
COPY --chmod=0555 infra/postgres/make_databases.sh infra/postgres/database.sql /app/
# A volume that is new takes over owner and mode of the folder that it covers, a file system in memory the mode only.
RUN install -d -o postgres -g postgres -m 1777 /var/lib/postgresql/data /run/postgresql
USER postgres

FROM rabbitmq:4-management AS rabbitmq
COPY --chmod=0444 infra/docker/rabbitmq.conf /etc/rabbitmq/conf.d/90-suite.conf
# Changes with the topology, so that the broker is started again and loads it.
COPY --chmod=0444 infra/rabbitmq/definitions.json /etc/rabbitmq/topology.json
RUN chmod 1777 /var/log/rabbitmq
USER rabbitmq

FROM nginx:stable AS gateway
COPY --chmod=0444 infra/gateway/nginx.conf /etc/nginx/nginx.conf
USER 10001:10001
EXPOSE 8080
ENTRYPOINT []
CMD ["nginx", "-e", "stderr", "-g", "daemon off;"]
