#!/usr/bin/env bash
# Writes the two images that the Dockerfile begins from as tar files into a folder, for a machine that can pull none:
#   debian.tar  Debian by debootstrap, with the packages that the runtime stage asks for
#   sdk.tar     the same, with this machine's .NET SDK and the NuGet packages that it has restored
# Done once: debian.tar is kept as long as its list of packages is the same, sdk.tar as long as SDK and packages are.
# Prints nothing when both are there. Needs root.
set -euo pipefail
cd "$(dirname "$0")/.."
folder=${1:?usage: base-images.sh FOLDER}
suite=trixie
packages=ca-certificates,curl,libngtcp2-16,libngtcp2-crypto-gnutls8,openssl
dotnet=$(dirname "$(readlink -f "$(command -v dotnet)")")
nuget=${NUGET_PACKAGES:-$HOME/.nuget/packages}
mkdir -p "$folder"
exec 9>"$folder/lock"
flock 9

fresh() { [ -s "$folder/$1.tar" ] && [ "$(cat "$folder/$1.made-of" 2>/dev/null)" = "$2" ]; } # fresh NAME PARTS
finish() { mv "$work/$1.tar" "$folder/$1.tar" && printf '%s\n' "$2" >"$folder/$1.made-of"; }  # finish NAME PARTS
work=$(mktemp -d "$folder/work.XXXXXX")
trap 'rm -rf "$work"' EXIT

# Where this machine itself gets Debian from; elsewhere debootstrap knows where.
mirror=$(grep -hsE '^(deb|URIs:) ' /etc/apt/sources.list /etc/apt/sources.list.d/*.list /etc/apt/sources.list.d/*.sources |
  grep -oE 'https?://[^ ]+/debian/?( |$)' | head -n 1 | tr -d ' ' || true)

if ! fresh debian "$suite $packages"; then
  echo "making the image debian:$suite-slim" >&2
  debootstrap --variant=minbase --include="$packages" "$suite" "$work/root" $mirror >"$work/log" 2>&1 || {
    tail -n 20 "$work/log" >&2
    exit 1
  }
  rm -rf "$work/root/var/cache/apt/archives"/*.deb "$work/root/usr/share/doc" "$work/root/usr/share/man"
  tar -C "$work/root" -cf "$work/debian.tar" .
  finish debian "$suite $packages"
fi

parts=$({ cat "$folder/debian.made-of"; dotnet --version; (cd "$nuget" && ls -d ./*/*); } | sha256sum)
if ! fresh sdk "$parts"; then
  echo "making the image of the .NET SDK" >&2
  cp "$folder/debian.tar" "$work/sdk.tar"
  tar -rf "$work/sdk.tar" --transform "s,^\.,./usr/share/dotnet,S" -C "$dotnet" .
  tar -rf "$work/sdk.tar" --transform "s,^\.,./root/.nuget/packages,S" -C "$nuget" .
  mkdir -p "$work/links/usr/bin"
  ln -s ../share/dotnet/dotnet "$work/links/usr/bin/dotnet"
  tar -rf "$work/sdk.tar" -C "$work/links" ./usr/bin/dotnet
  finish sdk "$parts"
fi
