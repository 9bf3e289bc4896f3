# shellcheck shell=bash
# Sourced by the programs that people start: makes a fresh machine able to run them, or says exactly what is missing.
# Everything here prints for people; a caller whose standard output is data sends it to standard error.

say() { printf '\n== %s\n' "$*"; }
# $PROGRAM is what the person typed, $HINT what can be done instead.
die() {
  printf '%s: %s\n' "$PROGRAM" "$*${HINT:+; $HINT}" >&2
  exit 1
}

require_node() {
  command -v node >/dev/null || die "needs Node 20.19 or newer (https://nodejs.org)"
  local check='const [a, b] = process.versions.node.split(".").map(Number); process.exit(a > 20 || (a === 20 && b >= 19) ? 0 : 1)'
  node -e "$check" || die "needs Node 20.19 or newer, this is $(node --version)"
  command -v npm >/dev/null || die "needs npm, which comes with Node (Debian packages it apart: apt-get install npm)"
}

COMPILERS=(make cc g++ python3)

# The Debian packages of those commands (or files) that are missing here.
missing_packages() {
  local wanted
  for wanted in "$@"; do
    case $wanted in
      /*) [ -e "$wanted" ] || package_of "$wanted" ;;
      *) command -v "$wanted" >/dev/null || package_of "$wanted" ;;
    esac
    # A compiler without the C library's headers is no use; Debian only recommends them.
    if [ "$wanted" = cc ] && [ "$(uname -s)" = Linux ] && [ ! -e /usr/include/stdlib.h ]; then echo libc6-dev; fi
  done
}

package_of() {
  case $1 in
    cc) echo gcc ;;
    "$KEYRING") echo debian-archive-keyring ;;
    qemu-system-riscv32) echo qemu-system-misc ;;
    riscv64-unknown-elf-gcc) echo gcc-riscv64-unknown-elf ;;
    "$MULTILIB") echo gcc-multilib ;;
    "$PICOLIBC") echo picolibc-riscv64-unknown-elf ;;
    btvirt) package_of_btvirt ;;
    "$POSTGRES") echo postgresql ;;
    *) echo "$1" ;;
  esac
}

# Debian and Ubuntu put it into packages of different names.
package_of_btvirt() {
  if command -v apt-cache >/dev/null && [ -z "$(apt-cache search '^bluez-test-tools$')" ] && [ -n "$(apt-cache search '^bluez-tests$')" ]; then
    echo bluez-tests
  else
    echo bluez-test-tools
  fi
}

# The server: Debian keeps it where no PATH leads, in a folder of its version.
for POSTGRES in /usr/lib/postgresql/*/bin/postgres; do :; done
if [ ! -e "$POSTGRES" ] && command -v postgres >/dev/null; then POSTGRES=$(command -v postgres); fi

# The microcontroller: what its image is built with, and what it runs in.
PICOLIBC=/usr/lib/picolibc/riscv64-unknown-elf/picolibc.specs
# Its bytecode is made by a program of 32 bits.
MULTILIB=/usr/include/x86_64-linux-gnu/gnu/stubs-32.h
MICROCONTROLLER=(patch "$MULTILIB" qemu-system-riscv32 riscv64-unknown-elf-gcc "$PICOLIBC")

# Installs what is missing of the named commands: as root or by sudo, on Debian and its like.
require_commands() {
  local missing
  missing=$(missing_packages "$@" | sort -u | tr '\n' ' ')
  missing=${missing% }
  [ -n "$missing" ] || return 0
  command -v apt-get >/dev/null || die "missing: $missing (names as in Debian); install them and run again"
  local as_root=()
  if [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null || die "missing: $missing; as root: apt-get install $missing"
    as_root=(sudo)
    [ -t 0 ] || as_root=(sudo -n)
  fi
  say "installing $missing"
  # Errors alone are shown. An empty array is an error under `set -u` in old versions of bash.
  ${as_root[@]+"${as_root[@]}"} apt-get update -qq >/dev/null || die "apt-get update failed; missing: $missing"
  # Under the names that they have here: apt knows them now.
  missing=$(missing_packages "$@" | sort -u | tr '\n' ' ')
  # shellcheck disable=SC2086 # one word for each package
  ${as_root[@]+"${as_root[@]}"} env DEBIAN_FRONTEND=noninteractive \
    apt-get install -qq -y --no-install-recommends $missing >/dev/null || die "missing: $missing; apt-get install failed"
}

# Where there is no bitcoind one is fetched by apt, which checks it with Debian's keys: Ubuntu packages them apart.
KEYRING=/usr/share/keyrings/debian-archive-keyring.gpg
has_to_fetch_bitcoind() {
  [ -z "${BITCOIND-}${PICOBOLT_NO_BITCOIND-}" ] && ! command -v bitcoind >/dev/null &&
    [ ! -e .cache/bitcoind/root ] && command -v apt-get >/dev/null
}

# npm's packages as package-lock.json has them.
require_modules() {
  node scripts/is-installed.mjs && return 0
  say "npm ci"
  npm_ci
}

# Packages that are compiled where no prebuilt binary could be had. Where that failed npm left them out.
require_native_modules() {
  local failing
  failing=$(node scripts/native-modules.mjs "$@")
  [ -n "$failing" ] || return 0
  require_commands "${COMPILERS[@]}"
  say "building $failing"
  npm_ci
  failing=$(node scripts/native-modules.mjs --why "$@")
  [ -z "$failing" ] || die "could not build these npm packages: $failing"
}

npm_ci() {
  # Node's own headers, where its distribution brings them: else they are fetched from nodejs.org for each build.
  local prefix
  prefix=$(node -p 'require("node:path").dirname(require("node:path").dirname(process.execPath))')
  if [ -e "$prefix/include/node/node.h" ]; then export npm_config_nodedir=$prefix; fi
  npm ci --no-audit --no-fund || die "npm ci failed"
}
