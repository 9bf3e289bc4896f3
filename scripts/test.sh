#!/usr/bin/env bash
# Everything that `npm test` does: sets up what the tests need, runs them, and checks the code beside them.
# Further words go to Vitest: `npm test -- test/keys` runs one folder.
set -euo pipefail
cd "$(dirname "$0")/.."

PROGRAM="npm test"
# Debian keeps mosquitto where only root's PATH leads.
export PATH="$PATH:/usr/sbin"
. scripts/system-packages.sh

failures=()
step() {
  local name=$1
  shift
  say "$name"
  "$@" || failures+=("$name")
}

require_node
wanted=(socat tar openssl valgrind mosquitto btvirt "$POSTGRES" "${MICROCONTROLLER[@]}" "${COMPILERS[@]}")
if has_to_fetch_bitcoind; then wanted+=("$KEYRING"); fi
require_commands "${wanted[@]}"
require_modules
require_native_modules better-sqlite3 serialport secp256k1
step "setup" node_modules/.bin/tsx scripts/setup.ts

if [ $# -eq 0 ]; then
  # Beside a whole run the code is checked, and so many simulated worlds live, from seed 1 on, as far as there is time.
  export PICOBOLT_CHECK=1 PICOBOLT_WORLDS=${PICOBOLT_WORLDS:-2000}
else
  step "check" npm run --silent check
fi
# The reporter counts the steps that failed before it, so that its last line speaks for the whole run.
export PICOBOLT_FAILED_STEPS="${failures[*]-}"

say "tests"
status=0
node_modules/.bin/vitest run "$@" || status=1
[ ${#failures[@]} -eq 0 ] || status=1
exit $status
