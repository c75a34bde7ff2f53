#!/usr/bin/env bash
# Where the CPU of all flor processes goes during bulk transfers over one and two hops: samples by function, in one table.
#   bench/profile.sh [-t SECONDS] [-H HARNESS]
# Needs perf (Debian: linux-perf), and what a run of bench/run.sh has published. The result: bench/out/DATE.profile.txt; raw samples: bench/out/perf.data.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
seconds=6 harness=${FLORETE_PEERS:-$root/../shared/peers}
while getopts t:H: o; do
  case $o in
  t) seconds=$OPTARG ;; H) harness=$OPTARG ;;
  *) sed -n 3p "$0" >&2; exit 2 ;;
  esac
done
command -v perf >/dev/null || { echo "perf is missing; on Debian: apt-get install linux-perf" >&2; exit 1; }
export FLORETE_BIN=${FLORETE_BIN:-$root/artifacts/bench/bin}
[ -x "$FLORETE_BIN/flor" ] || { echo "There is no flor in $FLORETE_BIN: run bench/run.sh -r 1 florete first." >&2; exit 1; }
mkdir -p "$root/bench/out"
out=$root/bench/out/$(date +%Y-%m-%d-%H%M).profile.txt
# Names of compiled methods for perf: the runtime writes them to /tmp/perf-PID.map, and perf finds them only where code is mapped once.
export DOTNET_PerfMapEnabled=1 DOTNET_EnableWriteXorExecute=0
perf record -q -a -g -F 499 -e cpu-clock -o "$root/bench/out/perf.data" -- \
  "$root/bench/run.sh" -r 1 -t "$seconds" -H "$harness" florete
report() { perf report -q -i "$root/bench/out/perf.data" --comm vertex,'.NET TP Worker','.NET Sockets',flor --percentage relative --no-children -g none "$@"; }
{
  echo "Samples of flor processes by module, per cent:"
  report --sort comm,dso --percent-limit 0.5
  echo
  echo "By function, per cent:"
  report --sort comm,symbol --percent-limit 0.4
} >"$out" 2>/dev/null
head -n 60 "$out"
echo "written: ${out#"$root/"}"
