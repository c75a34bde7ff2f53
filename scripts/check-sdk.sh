#!/usr/bin/env bash
# Says plainly that the .NET 10 SDK is missing, before a build says it in its own way.
set -euo pipefail
if ! command -v dotnet >/dev/null; then
  echo "Florete is built with the .NET 10 SDK, and the command 'dotnet' is not there. Install the SDK (package dotnet-sdk-10.0, or https://dot.net) and run this again." >&2
  exit 1
fi
cd "$(dirname "$0")/.."
if ! version=$(dotnet --version 2>/dev/null); then
  echo "Florete is built with the .NET 10 SDK (global.json); this machine has: $(cd / && dotnet --list-sdks | tr '\n' ' '). Install version 10 beside it and run this again." >&2
  exit 1
fi
[ "${version%%.*}" -ge 10 ] || {
  echo "Florete is built with the .NET 10 SDK; this machine has $version." >&2
  exit 1
}
