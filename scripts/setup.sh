#!/usr/bin/env bash
# Installs what a build or a test run needs and this machine lacks, says what it does, and does nothing when nothing
# is missing. With apt-get and root (or sudo that asks for no password) it installs; elsewhere it names the packages.
#   scripts/setup.sh build     cargo (only checked), cmake, a C compiler
#   scripts/setup.sh stores    redis-server, PostgreSQL, and a PostgreSQL with pgvector in .tools/pgvector; tests start them
#   scripts/setup.sh models    python3 and pip, by which scripts/models.sh downloads
#   scripts/setup.sh clients   what the SDK tests need: .tools/venv and tests/clients/node/node_modules
#   scripts/setup.sh deny      .tools/bin/cargo-deny
# Everything but system packages goes into .tools/, with pinned versions.
set -euo pipefail
cd "$(dirname "$0")/.."

CARGO_DENY_VERSION=0.20.2
# A wheel of PyPI that is nothing but PostgreSQL 16.2 with pgvector 0.6.2, for tests only.
PGVECTOR_WHEEL=pgserver-0.1.4-cp311-cp311-manylinux_2_17_x86_64.manylinux2014_x86_64.whl
PGVECTOR_SHA256=d595789b47624a3d963aa9aa6359da9be31beb7e61f1a45541953242068b8813
RUST_MINIMUM=$(sed -n 's/^rust-version *= *"\(.*\)"/\1/p' Cargo.toml)

say() { printf 'setup: %s\n' "$*"; }
die() { printf 'setup: %s\n' "$*" >&2; exit 1; }
have() { command -v "$1" >/dev/null 2>&1; }

apt_refreshed=
# install PACKAGE... : Debian package names; the message for other systems uses the same words.
install() {
    local as_root=()
    if [ "$(id -u)" -ne 0 ]; then
        if have sudo && sudo -n true 2>/dev/null; then as_root=(sudo -n)
        else die "missing: $*. Install with: sudo apt-get install -y $*   (or your system's equivalent), then run this again"; fi
    fi
    have apt-get || die "missing: $*. There is no apt-get here; install the equivalent packages, then run this again"
    say "installing $*"
    if [ -z "$apt_refreshed" ]; then
        "${as_root[@]}" apt-get update -qq >/dev/null 2>&1 || true
        apt_refreshed=yes
    fi
    # RUNLEVEL=1: what is installed is not started as a service of the machine.
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 apt-get install -y -qq --no-install-recommends "$@" >/dev/null \
        || die "apt-get could not install: $*"
}

# older A B: is version A less than version B?
older() { [ "$1" != "$2" ] && [ "$(printf '%s\n%s\n' "$1" "$2" | sort -V | head -n 1)" = "$1" ]; }

setup_build() {
    have cargo || die "cargo is not installed. Get Rust $RUST_MINIMUM or newer from https://rustup.rs, then run this again"
    local rust
    rust=$(rustc --version | cut -d' ' -f2)
    ! older "$rust" "$RUST_MINIMUM" || die "rustc $rust is too old, $RUST_MINIMUM is needed: rustup update"
    local missing=()
    have cmake || missing+=(cmake)
    have make || missing+=(make)
    have cc || missing+=(gcc libc6-dev)
    [ ${#missing[@]} -eq 0 ] || install "${missing[@]}"
}

# Servers for tests. PostgreSQL's package would make a database cluster of the machine: it is told not to.
setup_stores() {
    have redis-server || install redis-server
    if ! have initdb && ! compgen -G "/usr/lib/postgresql/*/bin/initdb" >/dev/null; then
        if have apt-get && [ "$(id -u)" -eq 0 ] && [ ! -e /etc/postgresql-common/createcluster.conf ]; then
            mkdir -p /etc/postgresql-common
            echo "create_main_cluster = false" >/etc/postgresql-common/createcluster.conf
        fi
        install postgresql
    fi
    setup_pgvector
}

# pgvector is no package of every Debian release, and none that fits every PostgreSQL. Where it cannot be had, its tests say so
# and are skipped.
setup_pgvector() {
    local to=.tools/pgvector stamp=.tools/pgvector/.wheel wheel=
    if compgen -G "/usr/share/postgresql/*/extension/vector.control" >/dev/null || [ "$(cat "$stamp" 2>/dev/null)" = "$PGVECTOR_SHA256" ]; then
        return 0
    fi
    if [ "$(uname -sm)" != "Linux x86_64" ]; then
        say "there is no pgvector for $(uname -sm): its tests will be skipped"
        return 0
    fi
    setup_pip
    say "PostgreSQL with pgvector into $to, for tests"
    wheel=$(mktemp -d)
    # Not installed, only taken apart: which Python it was made for does not matter.
    if ! python3 -m pip download --quiet --disable-pip-version-check --no-deps --only-binary=:all: --implementation cp \
        --python-version 3.11 --abi cp311 --platform manylinux2014_x86_64 --dest "$wheel" pgserver==0.1.4; then
        say "pgserver 0.1.4 cannot be downloaded from PyPI: the tests of pgvector will be skipped"
        rm -rf "$wheel"
        return 0
    fi
    echo "$PGVECTOR_SHA256  $wheel/$PGVECTOR_WHEEL" | sha256sum --check --quiet \
        || die "$PGVECTOR_WHEEL is not the file that was pinned"
    python3 -m zipfile --extract "$wheel/$PGVECTOR_WHEEL" "$wheel/all"
    rm -rf "$to"
    # As it was in the wheel: its programs look for their libraries in ../../../pgserver.libs.
    mkdir -p "$to/pgserver/pginstall/bin"
    (cd "$wheel/all/pgserver/pginstall" && chmod 755 bin/* && mv lib share "$OLDPWD/$to/pgserver/pginstall/" \
        && mv bin/postgres bin/initdb bin/pg_ctl "$OLDPWD/$to/pgserver/pginstall/bin/")
    mv "$wheel/all/pgserver.libs" "$to/"
    rm -rf "$to"/pgserver/pginstall/lib/{*.a,pkgconfig,postgresql/pgxs}
    rm -rf "$wheel"
    echo "$PGVECTOR_SHA256" >"$stamp"
}

# Of the system, to download with: where pip may not install beside the system's packages, it may still download.
setup_pip() {
    have python3 || install python3
    python3 -m pip --version >/dev/null 2>&1 || install python3-pip
}

setup_clients() {
    have python3 || install python3
    python3 -c 'import sys; sys.exit(sys.version_info < (3, 10))' || die "Python 3.10 or newer is needed for the SDK tests"
    local wanted=tests/clients/python/requirements.txt stamp=.tools/venv/.requirements
    if ! cmp -s "$wanted" "$stamp"; then
        say "Python SDKs into .tools/venv"
        rm -rf .tools/venv
        # Debian ships venv apart from python3; a venv without pip is what its absence looks like.
        if ! python3 -m venv .tools/venv >/dev/null 2>&1; then
            rm -rf .tools/venv
            install python3-venv python3-pip
            python3 -m venv .tools/venv
        fi
        .tools/venv/bin/python -m pip install --quiet --disable-pip-version-check -r "$wanted"
        cp "$wanted" "$stamp"
    fi
    if ! have node || ! have npm; then
        say "node or npm is missing: the Node SDK tests will be skipped (apt-get install nodejs npm, Node 20 or newer)"
        return 0
    fi
    local lock=tests/clients/node/package-lock.json installed=tests/clients/node/node_modules/.lock
    if ! cmp -s "$lock" "$installed"; then
        say "Node SDKs into tests/clients/node/node_modules"
        (cd tests/clients/node && npm ci --no-audit --no-fund --loglevel=error)
        cp "$lock" "$installed"
    fi
}

setup_deny() {
    local binary=.tools/bin/cargo-deny
    if [ -x "$binary" ] && [ "$("$binary" --version 2>/dev/null)" = "cargo-deny $CARGO_DENY_VERSION" ]; then return 0; fi
    # Built for a short compile, not for speed: the check takes under a second either way.
    say "building cargo-deny $CARGO_DENY_VERSION into .tools/bin (once, about two minutes on two cores)"
    mkdir -p .tools
    CARGO_PROFILE_RELEASE_OPT_LEVEL=1 CARGO_PROFILE_RELEASE_LTO=off CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16 \
        CARGO_PROFILE_RELEASE_DEBUG=0 CARGO_PROFILE_RELEASE_STRIP=symbols CARGO_TARGET_DIR=.tools/target \
        cargo install --locked --quiet --no-default-features --no-track --force --root .tools \
        --version "$CARGO_DENY_VERSION" cargo-deny
    rm -rf .tools/target
}

for part in "${@:-build}"; do
    case "$part" in
        build) setup_build ;;
        stores) setup_stores ;;
        models) setup_pip ;;
        clients) setup_clients ;;
        deny) setup_deny ;;
        *) die "unknown part: $part (build, stores, models, clients, deny)" ;;
    esac
done
