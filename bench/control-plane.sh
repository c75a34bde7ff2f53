#!/usr/bin/env bash
# What the control plane costs at rest: starts a local cluster of three nodes as `make up` does, and prints how long it takes until all is ready, then
# each program's CPU over so many seconds, and its memory (resident; of it mapped files; private). Usage: bench/control-plane.sh [seconds to settle] [seconds]
set -euo pipefail
cd "$(dirname "$0")/.."
settle=${1:-60} seconds=${2:-60}
florctl=$PWD/artifacts/programs/florctl
[ -x "$florctl" ] || { echo "Build first: make build" >&2; exit 1; }
folder=$(mktemp -d /tmp/florete-rest-XXXXXX)
"$florctl" local up --dir "$folder/c" --base-port 17431 --proxy-port 11080 >"$folder/up.log" 2>&1 &
up=$!
trap 'kill -TERM $up 2>/dev/null; wait $up 2>/dev/null; rm -rf "$folder"' EXIT
began=$(date +%s%N)
until grep -q '^Ready' "$folder/up.log"; do
  kill -0 $up 2>/dev/null || { cat "$folder/up.log" >&2; exit 1; }
  sleep 0.1
done
echo "ready after $(awk -v n=$(($(date +%s%N) - began)) 'BEGIN { printf "%.1f", n / 1e9 }') s"
sleep "$settle"

# pid and program of everything that runs from this build for that cluster: children of the agents, and the agents.
programs() {
  local agent
  for agent in $(pgrep -P $up); do
    echo "$agent florete-agent"
    ps -o pid=,args= --ppid "$agent" | awk '{ n = split($2, part, "/"); print $1, part[n] }'
  done
}
ticks() { awk '{ sub(/^.*\) /, ""); print $12 + $13 }' "/proc/$1/stat"; }
memory() { awk '/^(Rss|Pss|Private_Clean|Private_Dirty):/ { k[$1] += $2 } END { printf "%.0f %.0f", k["Rss:"] / 1000, (k["Private_Clean:"] + k["Private_Dirty:"]) / 1000 }' "/proc/$1/smaps_rollup"; }
declare -A before
mapfile -t all < <(programs)
for one in "${all[@]}"; do before[${one% *}]=$(ticks "${one% *}"); done
sleep "$seconds"
for one in "${all[@]}"; do
  pid=${one% *} name=${one#* }
  echo "$name $(($(ticks "$pid") - before[$pid])) $(memory "$pid")"
done | awk -v s="$seconds" '
  { n[$1]++; cpu[$1] += $2; if ($3 > rss[$1]) rss[$1] = $3; if ($4 > own[$1]) own[$1] = $4; total += $2 }
  END {
    printf "%-22s %5s %14s %14s %14s\n", "program", "count", "% of a core", "resident MB", "private MB"
    for (p in n) printf "%-22s %5d %14.2f %14d %14d\n", p, n[p], cpu[p] / n[p] / s, rss[p], own[p]
    printf "%-22s %5s %14.2f\n", "a node, on average", "", total / 3 / s
  }'
