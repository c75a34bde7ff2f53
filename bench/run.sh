#!/usr/bin/env bash
# Measures Florete beside other systems, in namespaces a - b - c, with a harness that lies outside this repository.
#   bench/run.sh [-r ROUNDS] [-t SECONDS] [-H HARNESS] [PEER...]
# HARNESS is the folder of peers.sh (unless told, ../shared/peers beside this repository); peers: raw yggdrasil ssh and florete unless told.
# Results: bench/out/DATE.jsonl, and beside it the same as a table.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
rounds=5 seconds=3 harness=${FLORETE_PEERS:-$root/../shared/peers}
while getopts r:t:H: o; do
  case $o in
  r) rounds=$OPTARG ;; t) seconds=$OPTARG ;; H) harness=$OPTARG ;;
  *) sed -n 3,5p "$0" >&2; exit 2 ;;
  esac
done
shift $((OPTIND - 1))
[ $# -gt 0 ] || set -- raw yggdrasil ssh florete
"$root/scripts/check-sdk.sh"
"$root/scripts/install-dependencies.sh" bench
[ -x "$harness/peers.sh" ] || {
  echo "There is no peers.sh in $harness: say where the harness is with -H, or in FLORETE_PEERS." >&2
  exit 1
}

# As it is shipped: compiled ahead, so that no measurement pays for the compiler. FLORETE_BIN in the environment: that build, as it is.
if [ -z "${FLORETE_BIN:-}" ]; then
  dotnet build "$root/programs" -c Release --nologo -v quiet
  export FLORETE_BIN=$root/artifacts/programs
fi

mkdir -p "$root/bench/out"
out=$root/bench/out/$(date +%Y-%m-%d-%H%M)
run=(env FLORETE_BIN="$FLORETE_BIN" "$harness/peers.sh" -r "$rounds" -t "$seconds" -p "$root/bench/peers/florete.sh" "$@")
[ "$(id -u)" = 0 ] || run=(sudo "${run[@]}")
"${run[@]}" >"$out.jsonl"
python3 "$harness/probe.py" table "$out.jsonl" | tee "$out.md"
echo "written: ${out#"$root/"}.jsonl and .md"
