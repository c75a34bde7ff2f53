#!/usr/bin/env bash
# What the control plane costs at rest: starts a local cluster of three nodes as `make up` does, and prints how long it takes until all is ready, then
# each program's CPU over so many seconds, how often its threads woke, and its memory (resident; its share of what programs have in common; private). Usage: bench/control-plane.sh [seconds to settle] [seconds]
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
wakes() { awk '/^voluntary/ { n += $2 } END { print n }' /proc/"$1"/task/*/status; }
memory() { awk '/^(Rss|Pss|Private_Clean|Private_Dirty):/ { k[$1] += $2 } END { printf "%.0f %.0f %.0f", k["Rss:"] / 1000, k["Pss:"] / 1000, (k["Private_Clean:"] + k["Private_Dirty:"]) / 1000 }' "/proc/$1/smaps_rollup"; }
declare -A before woken
mapfile -t all < <(programs)
for one in "${all[@]}"; do before[${one% *}]=$(ticks "${one% *}") woken[${one% *}]=$(wakes "${one% *}"); done
sleep "$seconds"
for one in "${all[@]}"; do
  pid=${one% *} name=${one#* }
  echo "$name $(($(ticks "$pid") - before[$pid])) $(($(wakes "$pid") - woken[$pid])) $(memory "$pid")"
done | awk -v s="$seconds" '
  { n[$1]++; cpu[$1] += $2; wake[$1] += $3; if ($4 > rss[$1]) rss[$1] = $4; if ($5 > share[$1]) share[$1] = $5; if ($6 > own[$1]) own[$1] = $6; total += $2; totalWakes += $3 }
  END {
    printf "%-22s %5s %12s %10s %12s %10s %11s\n", "program", "count", "% of a core", "wakes/s", "resident MB", "share MB", "private MB"
    for (p in n) printf "%-22s %5d %12.2f %10.0f %12d %10d %11d\n", p, n[p], cpu[p] / n[p] / s, wake[p] / n[p] / s, rss[p], share[p], own[p]
    printf "%-22s %5s %12.2f %10.0f\n", "a node, on average", "", total / 3 / s, totalWakes / 3 / s
  }'
