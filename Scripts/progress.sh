#!/usr/bin/env bash
# Shows what a long command is at: COMMAND 2>&1 | Scripts/progress.sh LOG. The output itself goes to LOG.
# On a terminal one line with the time so far, which the next one replaces; elsewhere a line every half minute.
set -euo pipefail
log=$1
began=$SECONDS last=$SECONDS step='starting' partial= line=
columns=80
if [ -t 2 ]; then columns=$(tput cols 2>/dev/null || echo 80); fi

show() {
    local elapsed=$((SECONDS - began)) text
    printf -v text '    %d:%02d  %s' $((elapsed / 60)) $((elapsed % 60)) "${step:0:100}"
    if [ -t 2 ]; then
        printf '\r%s\e[K' "${text:0:columns-1}" >&2
    elif [ $((SECONDS - last)) -ge 30 ]; then
        last=$SECONDS
        printf '%s\n' "$text" >&2
    fi
}

: >"$log"
while true; do
    status=0
    IFS= read -r -t 1 line || status=$?
    if [ "$status" -eq 0 ]; then
        line=$partial$line partial=
        printf '%s\n' "$line" >>"$log"
        case $line in
        *warning:* | *note:* | *'] Write '* | ' '* | '') ;;
        *) step=$line ;;
        esac
        show
    elif [ "$status" -gt 128 ]; then
        # A second without a whole line: what came of it is kept for the rest of it.
        partial+=$line
        show
    else
        [ -z "$partial$line" ] || printf '%s\n' "$partial$line" >>"$log"
        break
    fi
done
if [ -t 2 ]; then printf '\r\e[K' >&2; fi
