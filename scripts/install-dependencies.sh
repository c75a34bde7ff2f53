#!/usr/bin/env bash
# Installs what a purpose lacks, and nothing when all is there (then it takes milliseconds and asks no server).
#   install-dependencies.sh [run|test|bench|image]
# run:   the QUIC library, SQLite and iproute2  test, bench: their tools besides
# image: the QUIC library, SQLite and OpenSSL (used by the Dockerfile)
# Debian and Ubuntu: by apt-get, with sudo when not root. Elsewhere: one line that names what to install.
set -euo pipefail

purpose=${1:-run}
case $purpose in run | test | bench | image) ;; *)
  echo "usage: $0 [run|test|bench|image]" >&2
  exit 2
  ;;
esac

PATH=$PATH:/usr/sbin:/sbin
missing=()

command_from() { command -v "$1" >/dev/null || missing+=("$2"); } # command_from COMMAND PACKAGE
file_from() { compgen -G "$1" >/dev/null || missing+=("$2"); }    # file_from PATTERN PACKAGE
library_from() {                                                  # library_from SONAME PACKAGE: with its least version, where dpkg knows it
  local version
  if ! ldconfig -p | grep -qF "$1"; then
    missing+=("$2")
  elif version=$(dpkg-query -W -f '${Version}' "$2" 2>/dev/null) && dpkg --compare-versions "$version" lt 1.11~; then
    missing+=("$2")
  fi
}

library_from libngtcp2.so.16 libngtcp2-16
library_from libngtcp2_crypto_gnutls.so.8 libngtcp2-crypto-gnutls8
ldconfig -p | grep -qF libsqlite3.so.0 || missing+=(libsqlite3-0)
case $purpose in image) command_from openssl openssl ;; *) command_from ip iproute2 ;; esac
case $purpose in
test)
  file_from '/usr/include/ngtcp2/ngtcp2.h' libngtcp2-dev
  file_from '/usr/include/ngtcp2/ngtcp2_crypto_gnutls.h' libngtcp2-crypto-gnutls-dev
  file_from '/usr/include/stdio.h' libc6-dev
  file_from '/usr/lib/postgresql/*/bin/postgres' postgresql
  file_from '/usr/lib/*/faketime/libfaketime.so.1' libfaketime
  command_from gcc gcc
  command_from curl curl
  command_from ssh openssh-client
  command_from sshd openssh-server
  command_from pgbench postgresql-client
  command_from iptables iptables
  command_from python3 python3
  command_from openssl openssl
  command_from jq jq
  command_from debootstrap debootstrap
  command_from dockerd docker.io
  command_from docker docker.io
  command_from docker-compose docker-compose
  ;;
bench)
  command_from iperf3 iperf3
  command_from jq jq
  command_from ping iputils-ping
  command_from nsenter util-linux
  command_from python3 python3
  command_from openssl openssl
  command_from ssh openssh-client
  command_from sshd openssh-server
  command_from yggdrasil yggdrasil
  ;;
esac
[ ${#missing[@]} -gt 0 ] || exit 0

# shellcheck source=/dev/null
[ ! -r /etc/os-release ] || . /etc/os-release
if ! command -v apt-get >/dev/null || ! command -v dpkg >/dev/null; then
  echo "Florete needs, by their Debian names: ${missing[*]} (ngtcp2 1.11 or newer, built for GnuTLS). Install them with your package manager and run the command again." >&2
  exit 1
fi

as_root() {
  if [ "$(id -u)" = 0 ]; then "$@"; else
    command -v sudo >/dev/null || {
      echo "Florete needs: ${missing[*]}. Run this as root, or install sudo." >&2
      exit 1
    }
    sudo "$@"
  fi
}

# The address and the key of the suite $1 in this machine's own apt sources, as two lines of a deb822 stanza.
origin_of() {
  local f
  for f in /etc/apt/sources.list.d/*.sources; do
    [ -r "$f" ] || continue
    awk -v suite="$1" '
      function done_stanza(   i, n, w, hit) {
        n = split(field["suites"], w, " "); hit = 0
        for (i = 1; i <= n; i++) if (w[i] == suite) hit = 1
        if (hit && field["types"] ~ /(^| )deb( |$)/ && field["enabled"] !~ /^no/ && !found) {
          found = 1; split(field["uris"], w, " "); print "URIs: " w[1]
          if (field["signed-by"] != "") print "Signed-By: " field["signed-by"]
        }
        delete field; key = ""
      }
      /^#/ { next }
      /^[ \t]*$/ { done_stanza(); next }
      /^[ \t]/ { if (key != "") field[key] = field[key] "\n" $0; next }
      { key = tolower(substr($0, 1, index($0, ":") - 1)); value = substr($0, index($0, ":") + 1); sub(/^[ \t]+/, "", value); field[key] = value }
      END { done_stanza() }' "$f"
  done
  for f in /etc/apt/sources.list /etc/apt/sources.list.d/*.list; do
    [ -r "$f" ] || continue
    awk -v suite="$1" '
      $1 != "deb" { next }
      {
        options = ""; line = $0
        if (match(line, /\[[^]]*\]/)) { options = substr(line, RSTART + 1, RLENGTH - 2); sub(/\[[^]]*\]/, "", line) }
        split(line, w, " ")
        if (w[3] != suite) next
        print "URIs: " w[2]
        if (match(options, /signed-by=[^ ]+/)) print "Signed-By: " substr(options, RSTART + 10, RLENGTH - 10)
        exit
      }' "$f"
  done
}

if printf '%s\n' "${missing[@]}" | grep -q '^libngtcp2' && [ "${VERSION_CODENAME:-}" = bookworm ]; then
  # bookworm itself has ngtcp2 0.12; its backports have 1.11, from the same mirror and under the same key.
  # Only these come from there: the rest stays with the release.
  missing=($(printf '%s\n' "${missing[@]}" | sed '/^libngtcp2/s,$,/bookworm-backports,'))
  if [ -z "$(origin_of bookworm-backports)" ]; then
    origin=$(origin_of bookworm)
    # One stanza is enough when several files name the suite.
    origin=$(awk '/^URIs:/ { if (seen++) exit } { print }' <<<"$origin")
    [ -n "$origin" ] || {
      echo "No apt source for the suite bookworm was found: add bookworm-backports to /etc/apt/sources.list.d yourself, then run the command again." >&2
      exit 1
    }
    printf 'Types: deb\nSuites: bookworm-backports\nComponents: main\n%s\n' "$origin" |
      as_root tee /etc/apt/sources.list.d/florete-backports.sources >/dev/null
  fi
fi

echo "installing ${missing[*]}" >&2
as_root apt-get update -q >&2 || echo "apt-get update failed for some source; going on with what is known" >&2

# From trixie on the client of Docker is a package of its own.
if [ "$purpose" = test ] && ! command -v docker >/dev/null && apt-cache show docker-cli >/dev/null 2>&1; then missing+=(docker-cli); fi

# Tools are wanted, not the services that some of them would start on this machine.
policy=/usr/sbin/policy-rc.d
if [ ! -e $policy ]; then
  printf '#!/bin/sh\nexit 101\n' | as_root tee $policy >/dev/null
  as_root chmod 755 $policy
  trap 'as_root rm -f "$policy"' EXIT
fi
as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "${missing[@]}" >&2
