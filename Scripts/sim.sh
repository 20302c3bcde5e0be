#!/usr/bin/env bash
# Plays simulated histories of a node: Scripts/sim.sh [seed] [seconds]. With a seed that one, else new ones for so many seconds.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
if [ -n "${1:-}" ]; then export SEED=$1; else export SIM_SECONDS=${2:-60}; fi
export MARTLET_ONLY=Log SWIFT_DETERMINISTIC_HASHING=1
log=$(mktemp)
trap 'rm -f "$log"' EXIT
swift build --build-tests >"$log" 2>&1 || { grep -E 'error:' "$log" | sort -u >&2; exit 1; }
status=0
swift test --skip-build --filter SimulationTests >"$log" 2>&1 || status=$?
grep -E 'simulation:|recorded an issue|Fatal error|Test run with' "$log" | head -50
exit "$status"
