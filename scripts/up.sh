#!/usr/bin/env bash
# Three nodes a-b-c on this machine, a sample web service on c, and commands to paste. Ctrl-C ends it all.
set -euo pipefail
cd "$(dirname "$0")/.."
florctl=$(ls artifacts/bin/*/release/florctl 2>/dev/null | head -n 1)
[ -n "$florctl" ] || {
  echo "florctl is not built: run 'make build'." >&2
  exit 1
}
exec "$florctl" local up --nodes 3 --topology line "$@"
