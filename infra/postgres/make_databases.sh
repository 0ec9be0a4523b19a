#!/bin/sh
# A database and a role for each service whose password is in /run/secrets. Repeated at each start, so that a service that
# joins later gets its own without touching the data of the others.
set -eu

export PGHOST=postgres PGUSER=postgres PGDATABASE=postgres
PGPASSWORD=$(cat /run/secrets/postgres)
# The statements hold passwords: keep them out of the server's log.
PGOPTIONS="-c log_min_error_statement=panic -c client_min_messages=warning"
export PGPASSWORD PGOPTIONS

run() { psql --no-psqlrc --quiet --set ON_ERROR_STOP=1 "$@"; }

run --command 'REVOKE ALL ON DATABASE postgres, template1 FROM PUBLIC'
for file in /run/secrets/*; do
  service=${file##*/}
  [ "$service" = postgres ] || run --set service="$service" --file /app/database.sql
done
