#!/usr/bin/env bash
# Everything that `npm test` does: sets up what the tests need, checks the code, runs the tests.
# Further words go to Vitest: `npm test -- test/keys` runs one folder.
set -euo pipefail
cd "$(dirname "$0")/.."

say() { printf '\n== %s\n' "$*"; }
die() {
  printf 'npm test: %s\n' "$*" >&2
  exit 1
}

require_node() {
  command -v node >/dev/null || die "needs Node 20.19 or newer (https://nodejs.org)"
  local check='const [a, b] = process.versions.node.split(".").map(Number); process.exit(a > 20 || (a === 20 && b >= 19) ? 0 : 1)'
  node -e "$check" || die "needs Node 20.19 or newer, this is $(node --version)"
}

# Debian packages of the commands that are missing here.
missing_packages() {
  local command package
  while read -r command package; do
    command -v "$command" >/dev/null || echo "$package"
  done <<'LIST'
socat socat
make make
cc gcc
g++ g++
python3 python3
tar tar
LIST
  if [ "$(uname -s)" = Linux ] && [ ! -e /usr/include/stdlib.h ]; then echo libc6-dev; fi
}

install_packages() {
  local missing
  missing=$(missing_packages | sort -u | tr '\n' ' ')
  [ -n "${missing// /}" ] || return 0
  say "installing $missing"
  command -v apt-get >/dev/null || die "missing: $missing(names as in Debian); install them and run again"
  local as_root=()
  if [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null || die "missing: $missing; as root: apt-get install $missing"
    as_root=(sudo)
    [ -t 0 ] || as_root=(sudo -n)
  fi
  # An empty array is an error under `set -u` in old versions of bash.
  ${as_root[@]+"${as_root[@]}"} apt-get update -q || die "apt-get update failed; missing: $missing"
  # shellcheck disable=SC2086 # one word for each package
  ${as_root[@]+"${as_root[@]}"} env DEBIAN_FRONTEND=noninteractive \
    apt-get install -q -y --no-install-recommends $missing || die "missing: $missing; apt-get install failed"
}

install_modules() {
  node scripts/is-installed.mjs && return 0
  say "npm ci"
  npm ci --no-audit --no-fund
}

failures=()
step() {
  local name=$1
  shift
  say "$name"
  "$@" || failures+=("$name")
}

require_node
install_packages
install_modules
step "setup" node_modules/.bin/tsx scripts/setup.ts
step "check" npm run --silent check

say "tests"
# The reporter counts the steps that failed before it, so that its last line speaks for the whole run.
export PICOBOLT_FAILED_STEPS="${failures[*]-}"
status=0
node_modules/.bin/vitest run "$@" || status=1
[ ${#failures[@]} -eq 0 ] || status=1
exit $status
