#!/usr/bin/env bash
# Everything that `npm run demo` does: sets up what the chosen chain needs, and runs the demo with the words given.
# Standard output is the demo's alone (--json: lines of JSON and nothing else).
set -euo pipefail
cd "$(dirname "$0")/.."
PROGRAM="npm run demo"
. scripts/system-packages.sh

KEYRING=/usr/share/keyrings/debian-archive-keyring.gpg

# Only for a real node; the simulated chain needs nothing but Node, and mistakes are the program's to explain.
is_on_a_node() {
  local chain=bitcoind
  while [ $# -gt 0 ]; do
    case $1 in
      --chain) chain=${2-} && shift ;;
      --chain=*) chain=${1#*=} ;;
      --json) ;;
      *) return 1 ;;
    esac
    [ $# -eq 0 ] || shift
  done
  [ "$chain" = bitcoind ]
}

prepare() {
  require_node
  require_modules
  is_on_a_node "$@" || return 0
  require_commands socat
  # A bitcoind has to be fetched, and apt checks it with Debian's keys.
  if [ -z "${BITCOIND-}" ] && ! command -v bitcoind >/dev/null && [ ! -e .cache/bitcoind/root ] &&
    command -v apt-get >/dev/null; then
    require_commands "$KEYRING"
  fi
  require_native_modules better-sqlite3 serialport
}

exec 3>&1
words=" $* "
tell_failure() {
  case $words in
    *" --json "*) echo '{"result":"failed","reason":"this machine could not be set up; standard error says why"}' >&3 ;;
  esac
}
trap tell_failure EXIT
prepare "$@" >&2
trap - EXIT
exec node_modules/.bin/tsx host-sim/demo/main.ts "$@" 3>&-
