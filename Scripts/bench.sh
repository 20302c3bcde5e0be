#!/usr/bin/env bash
# Release benchmarks, one line each: name, value and unit, reference, ratio. Scripts/bench.sh [NAME …]; all without a name.
# In process: fraud-preprocess window-count stream-table-join state score log formats functions. Against a running program: latency ready idle memory throughput pull (needs wrk), and its Kafka side:
# peer p99 connections recovery.
# MARTLET_BIN=FILE: that program instead of a fresh build, for those that run a program. ROWS=n: rows of fraud-preprocess and memory.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
in_process=" fraud-preprocess window-count stream-table-join state score log formats functions "
process=" latency ready idle memory throughput pull "
broker=" peer p99 connections recovery "
inner=() outer=() kafka=()
[ $# -gt 0 ] || set -- $in_process $process $broker
for name in "$@"; do
    if [[ $in_process == *" $name "* ]]; then inner+=("$name")
    elif [[ $process == *" $name "* ]]; then outer+=("$name")
    elif [[ $broker == *" $name "* ]]; then kafka+=("$name")
    else
        echo "error: no benchmark '$name'; there are$in_process${process# }${broker# }" >&2
        exit 1
    fi
done
needs_client=$([[ " ${kafka[*]:-} " == *" peer "* ]] && echo yes || true)
if [ ${#inner[@]} -gt 0 ] || [ -z "${MARTLET_BIN:-}" ] || [ -n "$needs_client" ]; then
    echo "==> building the release and its benchmarks; the first time takes some minutes" >&2
    log=$(mktemp)
    trap 'rm -f "$log"' EXIT
    for product in martlet martlet-bench martlet-bench-client; do
        [ $product = martlet ] && [ -n "${MARTLET_BIN:-}" ] && continue
        [ $product = martlet-bench ] && [ ${#inner[@]} -eq 0 ] && continue
        [ $product = martlet-bench-client ] && [ -z "$needs_client" ] && continue
        if ! MARTLET_BENCH=1 MARTLET_NO_TESTS=1 swift build -c release --product $product 2>&1 | Scripts/progress.sh "$log"; then
            { grep -E 'error:' "$log" | sort -u | head -40 || true; tail -20 "$log"; } >&2
            exit 1
        fi
    done
fi
[ ${#inner[@]} -eq 0 ] || .build/release/martlet-bench "${inner[@]}"
[ ${#outer[@]} -eq 0 ] || .venv/bin/python Benchmarks/process.py "${outer[@]}"
[ ${#kafka[@]} -eq 0 ] || .venv/bin/python Benchmarks/broker.py "${kafka[@]}"
