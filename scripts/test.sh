#!/usr/bin/env bash
# Builds once, runs the unit suites and then tests/e2e, and checks the formatting beside them.
# The last line is "N passed, N failed, N skipped"; the exit code is 0 only when none failed.
# Words after it restrict the run to suites whose folder has one of these names: scripts/test.sh links e2e
set -uo pipefail
cd "$(dirname "$0")/.."
scripts/check-sdk.sh || exit 1
scripts/install-dependencies.sh test || exit 1

# Compilers and test hosts end before a profile pays: without it a build takes 12 % less CPU.
export DOTNET_TieredPGO=0
configuration=${CONFIGURATION:-Release}
results=$PWD/artifacts/test-results
passed=0 failed=0 skipped=0
started=$SECONDS
rm -rf "$results"
mkdir -p "$results"

closing() {
  echo
  echo "$passed passed, $failed failed, $skipped skipped"
  [ "$failed" = 0 ]
  exit
}
check() { # check NAME CMD...: one thing that passes or fails
  local name=$1 from=$SECONDS
  shift
  if "$@" >"$results/$name.log" 2>&1; then
    passed=$((passed + 1))
    echo "ok      $name ($((SECONDS - from)) s)"
  else
    failed=$((failed + 1))
    echo "FAILED  $name ($((SECONDS - from)) s)"
    grep -E '(error|warning) ' "$results/$name.log" | sort -u | head -n 40 || true
    [ -s "$results/$name.log" ] && tail -n 5 "$results/$name.log"
    return 1
  fi
}

# run NAME FOLDER LIMIT [FILTER]: runs tests of a project; what came of it is in files named NAME.
run() {
  local name=$1 folder=$2 limit=$3 filter=${4:-} from=$SECONDS
  timeout --kill-after=30 "$limit" dotnet test "$folder" -c "$configuration" --no-build --nologo ${filter:+--filter "$filter"} \
    --results-directory "$results" --logger "trx;LogFileName=$name.trx" --logger 'console;verbosity=quiet' >"$results/$name.log" 2>&1 </dev/null
  echo "$? $((SECONDS - from)) $limit" >"$results/$name.end"
}
# judge NAME: counts what a run came to, from its report. A run that dies or hangs counts as one failure more.
judge() {
  local name=$1 code seconds limit counters total=0 executed=0 ok=0 bad=0 trx=$results/$1.trx
  read -r code seconds limit <"$results/$name.end"
  if [ -s "$trx" ]; then
    counters=$(grep -o '<Counters [^>]*' "$trx" | head -n 1)
    total=$(sed -E 's/.* total="([0-9]+)".*/\1/' <<<"$counters")
    executed=$(sed -E 's/.* executed="([0-9]+)".*/\1/' <<<"$counters")
    ok=$(sed -E 's/.* passed="([0-9]+)".*/\1/' <<<"$counters")
    bad=$((executed - ok))
  fi
  if [ "$code" != 0 ] && [ $bad = 0 ]; then
    bad=1
    [ "$code" = 124 ] && echo "        $name was stopped after $limit s" || echo "        $name ended with code $code"
    tail -n 40 "$results/$name.log"
  fi
  passed=$((passed + ok)) failed=$((failed + bad)) skipped=$((skipped + total - executed))
  if [ $bad = 0 ]; then
    echo "ok      $name: $ok passed$([ "$total" = "$executed" ] || echo ", $((total - executed)) skipped") ($seconds s)"
  else
    echo "FAILED  $name: $ok passed, $bad failed ($seconds s)"
    grep -vE '^(Test run|VSTest|Starting test|A total of|Results File)' "$results/$name.log" | head -n 400
  fi
  # What tests measured without judging it: lines "measured: …" of their output.
  [ -s "$trx" ] && grep -oE 'measured: [^<]*' "$trx" | sort -u | sed 's/^/        /'
}
wanted() {
  [ ${#only[@]} = 0 ] && return
  local w
  for w in "${only[@]}"; do [ "$w" = "$1" ] && return; done
  return 1
}
only=("$@")

check build dotnet build Florete.sln -c "$configuration" --nologo -v quiet || closing
# The formatting is looked at by what the tests leave of the processors, and judged at the end: time is short.
formatting() { wait "$format" || { cat "$results/format-output.log"; return 1; }; }
if [ ${#only[@]} = 0 ]; then
  # Whatever else `dotnet format` looks at has failed the build already (EnforceCodeStyleInBuild): looked at again, it takes two processor minutes more.
  nice -n 19 bash -c 'dotnet format whitespace Florete.sln --verify-no-changes --no-restore &&
    dotnet format style Florete.sln --diagnostics IMPORTS --verify-no-changes --no-restore' >"$results/format-output.log" 2>&1 </dev/null &
  format=$!
fi
# Two suites at a time: each has moments when it waits.
suites=()
for project in tests/*/*.csproj; do
  name=${project#tests/}
  name=${name%%/*}
  if [ "$name" != e2e ] && wanted "$name"; then suites+=("$name"); fi
done
# The whole run ends within half an hour: the end-to-end suite gets what is left of it. Most of its tests have the machine for themselves; those that mostly
# wait, and judge no time, run side by side: the longest beside the unit suites, which yield to it, the others in two lanes (docs/testing.md).
left() { echo $((1780 - (SECONDS - started))); }
if wanted e2e; then
  run e2e-lane-0 tests/e2e "$(left)" Lane=0 &
  longest=$!
fi
export -f run
export configuration results
printf '%s\n' "${suites[@]}" | nice -n 10 xargs -r -P 2 -I '{}' bash -c 'run {} tests/{} 300'
for name in "${suites[@]}"; do judge "$name"; done
if wanted e2e; then
  run e2e-lane-1 tests/e2e "$(left)" 'Lane=1&Lane!=0' &
  first=$!
  run e2e-lane-2 tests/e2e "$(left)" 'Lane=2&Lane!=0'
  wait "$first" "$longest"
  judge e2e-lane-0
  judge e2e-lane-1
  judge e2e-lane-2
  run e2e tests/e2e "$(left)" 'Lane!=0&Lane!=1&Lane!=2'
  judge e2e
fi
[ ${#only[@]} -gt 0 ] || check format formatting
closing
