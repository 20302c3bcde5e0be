#!/usr/bin/env bash
# Builds the program: Scripts/build.sh release|debug. Shows progress while it builds, and the errors when it fails.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
configuration=${1:-debug}
command -v swift >/dev/null || { echo "error: there is no swift on the PATH; Swift 6.3 is needed (https://swift.org/install)" >&2; exit 1; }
# Nothing newer than the program: a second run starts at once. A folder is newer when a file came or went.
binary=.build/$configuration/martlet
if [ -x "$binary" ] && [ -z "$(find Sources Package.swift -newer "$binary" -print -quit)" ]; then exit 0; fi
log=$(mktemp)
trap 'rm -f "$log"' EXIT
# Ends by the signal itself, so that make says nothing of an error.
trap 'rm -f "$log"; echo >&2; trap - INT EXIT; kill -INT $$' INT
first=
[ -x "$binary" ] || first='; the first time takes three to ten minutes on two cores'
echo "==> building martlet ($configuration)$first" >&2
began=$SECONDS
MARTLET_NO_TESTS=1 swift build -c "$configuration" --product martlet 2>&1 | Scripts/progress.sh "$log" && status=0 || status=$?
if [ "$status" -ne 0 ]; then
    grep -E 'error:' "$log" | sort -u | head -40 >&2 || true
    tail -20 "$log" >&2
    exit "$status"
fi
touch "$binary"
echo "==> built in $((SECONDS - began)) s" >&2
