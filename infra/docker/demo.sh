#!/bin/sh
# The demo on containers of its own, beside any others: built, started, shown, and removed whatever happens. Ends with the
# demo's exit status.
set -u

project=drone-delivery-demo
logs=.stack/demo-compose.log
# A free port: whoever calls this gateway is inside.
export GATEWAY_ADDRESS=127.0.0.1:0

compose() { docker compose --project-name "$project" --profile check "$@"; }

remove() {
  status=$?
  trap '' INT TERM
  if [ "$status" -ne 0 ] && [ "$status" -ne 130 ]; then
    mkdir -p "${logs%/*}" && compose logs --no-color >"$logs" 2>&1
    echo "The logs are in $logs."
  fi
  compose --progress quiet down --volumes --remove-orphans --rmi local --timeout 5
  exit "$status"
}

if [ -n "$(docker ps --quiet --filter "label=com.docker.compose.project=$project")" ]; then
  echo "A demo runs already. If not: docker compose -p $project --profile check down --volumes" >&2
  exit 1
fi
trap 'exit 130' INT TERM
trap remove EXIT
compose build && compose run --rm demo
