#!/usr/bin/env bash
# The stack of docker-compose.yml with its fleet, in the background. The gateway listens where ingestion does without
# containers (PORT_BASE, 8081), unless GATEWAY_ADDRESS says otherwise.
set -eu

compose() { docker compose --profile demo "$@"; }

# Found taken before anything is built, unless it is this stack that took it.
require_port() {
  case $1 in *[!0-9]* | "" | ??????*) valid=no ;; *) valid=yes ;; esac
  if [ "$valid" = no ] || [ "$1" -lt 1 ] || [ "$1" -gt 65535 ]; then
    echo "PORT_BASE=$1 is no port number from 1 to 65535" >&2
    exit 1
  fi
  if [ -z "$(compose ps --quiet gateway)" ] && (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; then
    echo "port $1, wanted by the gateway, is taken; stop what listens there or choose another with PORT_BASE=..." >&2
    exit 1
  fi
}

if [ -z "${GATEWAY_ADDRESS:-}" ]; then
  port=${PORT_BASE:-8081}
  require_port "$port"
  export GATEWAY_ADDRESS="127.0.0.1:$port"
fi
compose up --detach --build --wait
