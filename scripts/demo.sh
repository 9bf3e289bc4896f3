#!/usr/bin/env bash
# Everything that `npm run demo` does: sets up what the chosen chain needs, and runs the demo with the words given.
# Standard output is the demo's alone (--json: lines of JSON and nothing else).
set -euo pipefail
cd "$(dirname "$0")/.."
PROGRAM="npm run demo"
. scripts/system-packages.sh

NATIVE=(better-sqlite3 serialport)

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
  HINT="\`npm run demo -- --chain sim\` needs nothing but Node"
  local wanted=(socat)
  if has_to_fetch_bitcoind; then wanted+=("$KEYRING"); fi
  [ -z "$(node scripts/native-modules.mjs "${NATIVE[@]}")" ] || wanted+=("${COMPILERS[@]}")
  require_commands "${wanted[@]}"
  require_native_modules "${NATIVE[@]}"
}

# Who reads JSON lines is told on standard output too.
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
exec node scripts/run.mjs host-sim/demo/main.ts "$@" 3>&-
