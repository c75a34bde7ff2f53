#!/usr/bin/env bash
# Where the CPU of all flor processes goes during bulk transfers over one and two hops: samples by function, in one table.
#   bench/profile.sh [-t SECONDS] [-H HARNESS]
# Needs perf (Debian: linux-perf). The result: bench/out/DATE.profile.txt; the raw samples stay in bench/out/perf.data.
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
mkdir -p "$root/bench/out"
out=$root/bench/out/$(date +%Y-%m-%d-%H%M).profile.txt
# Names of compiled methods for perf: the runtime writes them to /tmp/perf-PID.map.
export DOTNET_PerfMapEnabled=1
perf record -q -a -g -F 499 -e cpu-clock -o "$root/bench/out/perf.data" -- \
  "$root/bench/run.sh" -r 1 -t "$seconds" -H "$harness" florete
{
  echo "Samples of flor processes by module:"
  perf report -q -i "$root/bench/out/perf.data" --comm vertex,'.NET TP Worker','.NET Sockets',flor --no-children -g none --sort comm,dso --percent-limit 0.5
  echo
  echo "By function:"
  perf report -q -i "$root/bench/out/perf.data" --comm vertex,'.NET TP Worker','.NET Sockets',flor --no-children -g none --sort comm,symbol --percent-limit 0.4
} >"$out" 2>/dev/null
head -n 60 "$out"
echo "written: ${out#"$root/"}"
