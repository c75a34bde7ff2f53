#!/usr/bin/env bash
# Three nodes a-b-c on this machine, a sample web service on c, and commands to paste. Ctrl-C ends it all.
set -euo pipefail
cd "$(dirname "$0")/.."
florctl=artifacts/programs/florctl
[ -x "$florctl" ] || {
  echo "florctl is not built: run 'make build'." >&2
  exit 1
}
exec "$florctl" local up --nodes 3 --topology line "$@"
