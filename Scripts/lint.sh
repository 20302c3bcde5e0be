#!/usr/bin/env bash
# House rules that a machine can check, each with what to do instead.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
failed=0
complain() { printf 'lint: %s\n' "$1" >&2; failed=1; }
found() { grep -rnE "$1" --include='*.swift' "${@:2}" 2>/dev/null | grep -vE '^[^:]+:[0-9]+:\s*//' || true; }

hits=$(found '\btry!' Sources); [ -z "$hits" ] || complain $'no try!: throw or handle the error\n'"$hits"
hits=$(found '\bfatalError\(' Sources); [ -z "$hits" ] || complain $'no fatalError: throw for what comes from outside, precondition for our own bugs\n'"$hits"
hits=$(found '\bimport Foundation\b' Sources); [ -z "$hits" ] || complain $'no Foundation: it costs start-up time and memory\n'"$hits"
hits=$(found '(^|[^.a-zA-Z])print\("' Sources); [ -z "$hits" ] || complain $'no print: log, or write through Output\n'"$hits"
hits=$(found '\.socketOption\(\.tcp_' Sources); [ -z "$hits" ] || complain $'.tcpOption: at the level of sockets the number of TCP_NODELAY is SO_DEBUG, for which users who are not root lose their connection\n'"$hits"
hits=$(find Sources Tests -name '*Utils*' -o -name '*Helpers*' -o -name '*Common*' -o -name '*Misc*'); [ -z "$hits" ] || complain $'say what it is, not that it helps\n'"$hits"
for module in Sources/Martlet* Sources/martlet; do [ -f "$module/README.md" ] || complain "$module has no README.md"; done
hits=$(git ls-files -z | xargs -0 -r du -k 2>/dev/null | awk '$1 > 1024'); [ -z "$hits" ] || complain $'no blob over 1 MB\n'"$hits"
for target in $(grep -ohE '`make [a-z]+`' README.md CONTRIBUTING.md 2>/dev/null | tr -d '`' | awk '{print $2}' | sort -u); do
    grep -qE "^$target:" Makefile || complain "README or CONTRIBUTING names 'make $target', which is not there"
done
exit "$failed"
