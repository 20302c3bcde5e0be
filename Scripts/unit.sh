#!/usr/bin/env bash
# Unit tests: Scripts/unit.sh [module] [test]. A module name, e.g. Log, builds only that module and what it needs.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
module=${1:-} test=${2:-}
arguments=()
[ -n "$test" ] && arguments+=(--filter "$test")
[ -n "$module" ] && export MARTLET_ONLY=$module
# A seed of a simulation says everything only if dictionaries have the same order each time.
export SWIFT_DETERMINISTIC_HASHING=1
log=$(mktemp)
trap 'rm -f "$log"' EXIT
echo "==> unit tests${module:+ of $module}" >&2
if ! swift build --build-tests 2>&1 | Scripts/progress.sh "$log"; then
    grep -E 'error:' "$log" | sort -u | head -40 >&2 || true
    tail -20 "$log" >&2
    exit 1
fi
# Tests that type at a pseudo terminal come last: on two cores a hundred tests at once starve the person at the keyboard.
status=0
if [ -z "$module$test" ]; then
    for turn in "--skip MartletShellTests" "--filter MartletShellTests"; do
        # shellcheck disable=SC2086
        timeout 900 swift test --skip-build $turn >>"$log" 2>&1 || status=$?
    done
else
    swift test --skip-build "${arguments[@]}" >"$log" 2>&1 || status=$?
fi
grep -E '✘|skipped|recorded an issue|Fatal error|Test run with|error:' "$log" | grep -v ' started\.$' | head -200 || true
if [ "$status" -ne 0 ]; then tail -60 "$log" >&2; fi
exit "$status"
