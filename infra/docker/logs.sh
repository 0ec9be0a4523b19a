#!/bin/sh
# The ends of the containers' logs: logs.sh [service ...]. LINES (10) says how much of each; with FOLLOW=1 it goes on.
set -eu

compose() { docker compose --profile demo "$@"; }

lines=${LINES:-10}
case $lines in *[!0-9]*)
  echo "LINES=$lines is no number of lines" >&2
  exit 1
  ;;
esac
known=$(compose config --services | sort)
for service in "$@"; do
  if ! printf '%s\n' "$known" | grep -qxF -e "$service"; then
    echo "no service $service; there are:" $known >&2
    exit 1
  fi
done
compose logs --tail "$lines" ${FOLLOW:+--follow} "$@"
