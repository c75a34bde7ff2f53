#!/usr/bin/env bash
# Publishes flor, florete-agent and florctl for this kind of machine into a folder, compiled ahead: they start in half the time. The compiler for that is a
# package of its own; where it is not to be had, the programs are published without, and only start slower.
set -euo pipefail
out=$(realpath -m "${1:?usage: publish.sh FOLDER}")
cd "$(dirname "$0")/.."
for project in edge/proxy edge/agent cli; do
  publish=(dotnet publish "$project" -c Release -o "$out" -p:NuGetAudit=false --nologo -v quiet)
  "${publish[@]}" --use-current-runtime --self-contained false -p:PublishReadyToRun=true || {
    echo "$project: publishing it without compiling it ahead." >&2
    "${publish[@]}"
  }
done
