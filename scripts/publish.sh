#!/usr/bin/env bash
# Publishes flor, florctl, florete-agent and the services for this kind of machine into one folder, compiled ahead: they start in half the time. The compiler
# for that is a package of its own; where it is not to be had, the programs are published without, and only start slower.
#   publish.sh FOLDER [PROJECT...]    all programs unless told
set -euo pipefail
out=$(realpath -m "${1:?usage: publish.sh FOLDER [PROJECT...]}")
shift
cd "$(dirname "$0")/.."
# A service's executable is its folder program or host.
[ $# -gt 0 ] || set -- edge/proxy edge/agent cli services/*/program services/*/host
for project; do
  publish=(dotnet publish "$project" -c Release -o "$out" -p:NuGetAudit=false --nologo -v quiet)
  "${publish[@]}" --use-current-runtime --self-contained false -p:PublishReadyToRun=true || {
    echo "$project: publishing it without compiling it ahead." >&2
    "${publish[@]}"
  }
done
