#!/usr/bin/env bash
# Sets up what Martlet needs on Debian besides Swift, and does nothing when it is there already.
#
#   Scripts/bootstrap.sh system     Debian packages: compression libraries, RocksDB, time zones, kcat, curl, Python's venv
#   Scripts/bootstrap.sh runtime    ... and .venv with ONNX Runtime's shared library: all that `make run` needs
#   Scripts/bootstrap.sh full       ... and .venv with Keras, pandas, Jupyter, Kafka clients and the Python package, for tests and notebooks
#   Scripts/bootstrap.sh clients    ... and what the Java and Go clients' tests need: a JDK, kafka-clients, Go, Sarama, kafka-go (150 MB to fetch; the JDK, if missing, 115)
#
# .venv/.martlet-STAGE holds the hash of what was installed. PYTHON=/path/to/python3 chooses the interpreter.
set -euo pipefail

stage=${1:-runtime}
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
venv=$root/.venv
packages=(zlib1g-dev liblz4-dev libzstd-dev libsnappy-dev librocksdb7.8 tzdata kcat curl)

say() { printf '==> %s\n' "$*" >&2; }
die() { printf 'error: %s\n' "$*" >&2; exit 1; }
# What went wrong, out of a log: its complaints, or where it ended.
complaints() { { grep -E '^(E:|ERROR|sudo:)|[Ee]rror:' "$1" || tail -5 "$1"; } | uniq | tail -5 >&2; }
log=$(mktemp)
trap 'rm -f "$log"' EXIT

case $stage in system | runtime | full | clients) ;; *) die "no stage '$stage': system, runtime, full or clients" ;; esac

# One at a time: `make -j` and two terminals must not build .venv twice.
exec 9<"${BASH_SOURCE[0]}"
if command -v flock >/dev/null; then
    flock -n 9 || { say "waiting for another bootstrap.sh"; flock 9; }
fi

find_python() {
    local candidate
    for candidate in ${PYTHON:-} python3 python3.13 python3.12 python3.11 /usr/bin/python3; do
        if command -v "$candidate" >/dev/null && "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            command -v "$candidate"
            return
        fi
    done
    return 1
}

install_system_packages() {
    local wanted=("${packages[@]}") missing=() package python
    if ! command -v dpkg-query >/dev/null; then
        say "not a Debian system: please see to it that these are there: ${packages[*]}"
        return
    fi
    python=$(find_python) || wanted+=(python3)
    if [ -z "$python" ] || ! "$python" -c 'import venv, ensurepip' 2>/dev/null; then
        wanted+=(python3-venv)
    fi
    local present
    present=$(dpkg-query -W -f='${Package} ${db:Status-Status}\n' "${wanted[@]}" 2>/dev/null || true)
    for package in "${wanted[@]}"; do
        grep -qx "$package installed" <<<"$present" || missing+=("$package")
    done
    [ ${#missing[@]} -eq 0 ] && return
    local admin=()
    if [ "$(id -u)" -ne 0 ]; then
        # A password is asked for here, in sight, not in the middle of apt's output.
        command -v sudo >/dev/null && { sudo -n true 2>/dev/null || sudo -v; } ||
            die "these Debian packages are missing, and installing them needs root: apt-get install ${missing[*]}"
        admin=(sudo)
    fi
    say "Debian packages: ${missing[*]}"
    if ! { "${admin[@]}" apt-get update -q && "${admin[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "${missing[@]}"; } \
        2>&1 </dev/null | "$root/Scripts/progress.sh" "$log"; then
        complaints "$log"
        die "could not install ${missing[*]}: is there a network? By hand: apt-get install ${missing[*]}"
    fi
}

make_venv() {
    if [ -x "$venv/bin/python" ] && "$venv/bin/python" -m pip --version >/dev/null 2>&1; then
        return
    fi
    local python
    python=$(find_python) || die "Python 3.11 or later is needed; set PYTHON to one"
    say "Python environment in .venv ($("$python" --version))"
    rm -rf "$venv"
    "$python" -m venv "$venv" || die "$python -m venv failed: on Debian, apt-get install python3-venv"
}

pip_install() {
    if ! "$venv/bin/python" -m pip install --disable-pip-version-check --no-input --progress-bar off --retries 2 "$@" 2>&1 </dev/null |
        "$root/Scripts/progress.sh" "$log"; then
        complaints "$log"
        die "pip could not install $*: is there a network? What was installed stays; run this again when there is"
    fi
}

# stamp FILE...: what a stage depends on.
stamp() { cat "$@" | sha256sum | cut -d' ' -f1; }
is_done() { [ -x "$venv/bin/python" ] && [ "$(cat "$venv/.martlet-$1" 2>/dev/null)" = "$2" ]; }

install_runtime() {
    local hash
    hash=$(stamp "$root/python/requirements-runtime.txt")
    is_done runtime "$hash" && return
    make_venv
    say "ONNX Runtime (about 24 MB)"
    pip_install --no-deps -r "$root/python/requirements-runtime.txt"
    compgen -G "$venv/lib/python*/site-packages/onnxruntime/capi/libonnxruntime.so.*" >/dev/null || die "onnxruntime's wheel holds no libonnxruntime.so"
    echo "$hash" >"$venv/.martlet-runtime"
}

install_full() {
    local hash
    hash=$(stamp "$root/python/requirements-runtime.txt" "$root/python/requirements-full.txt" "$root/python/pyproject.toml")
    is_done full "$hash" && return
    make_venv
    say "Keras, pandas, Jupyter and the Kafka clients (about 350 MB, a minute or two)"
    pip_install -r "$root/python/requirements-full.txt"
    pip_install --no-deps --no-build-isolation -e "$root/python"
    stamp "$root/python/requirements-runtime.txt" >"$venv/.martlet-runtime"
    echo "$hash" >"$venv/.martlet-full"
}

# Their tests are skipped where this cannot be had: it is no reason to fail.
install_clients() {
    packages+=(libslf4j-java libzstd-jni-java libsnappy-java)
    command -v javac >/dev/null || packages+=(openjdk-17-jdk-headless)
    (install_system_packages && "$root/Compatibility/kafka-clients/java/fetch.sh" >/dev/null) || say "no Java client: its tests are skipped"
    "$root/Compatibility/kafka-clients/go/build.sh" >/dev/null || say "no Go clients: their tests are skipped"
}

install_system_packages
[ "$stage" = system ] && exit 0
[ "$stage" = runtime ] && { install_runtime; exit 0; }
install_full
[ "$stage" != clients ] || install_clients
