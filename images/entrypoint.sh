#!/usr/bin/env bash
# What every container of the image begins with: entrypoint.sh [COMMAND ARGUMENTS...]
#
# Reads ~/.bashrc, installs the packages of EXTRA_PIP_PACKAGES, and becomes the command; without one, a login shell.
# Needs nothing writable unless there is something to install, which goes to $HOME/.local. A user whom the system does
# not know gets a name where a temporary file can be written.
set -e

if [ -r "${HOME:-/nowhere}/.bashrc" ]; then
    # shellcheck source=/dev/null
    . "$HOME/.bashrc"
fi

# Commands that packages bring are found, but never instead of ours.
export PATH="$PATH:${HOME:-/nowhere}/.local/bin"

introduce_user() {
    # The system's own list is root's, so programs are shown another one. initdb of the embedded Postgres refuses to run
    # for nobody in particular, and so does ssh.
    for library in /usr/lib/*/libnss_wrapper.so; do
        if [ -r "$library" ] && users="$(mktemp 2>/dev/null)"; then
            { cat /etc/passwd && echo "user:x:$(id -u):$(id -g)::${HOME:-/}:/bin/bash"; } >"$users"
            export NSS_WRAPPER_PASSWD="$users" NSS_WRAPPER_GROUP=/etc/group
            export LD_PRELOAD="$library${LD_PRELOAD:+:$LD_PRELOAD}"
        fi
    done
}

if ! id -un >/dev/null 2>&1; then
    introduce_user
fi

report_to_run() {
    # Inside of a flow run its logs are where somebody will look.
    run="${SEMPRE__FLOW_RUN_ID:-${PREFECT__FLOW_RUN_ID:-}}"
    [ -n "$run" ] || return 0
    python3 - "$run" "$1" <<'PYTHON' | timeout 30 sempre api POST /logs/ --data @- >/dev/null || true
import json, sys, time
now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
print(json.dumps([{"name": "sempre.entrypoint", "level": 40, "message": sys.argv[2], "timestamp": now,
                   "flow_run_id": sys.argv[1]}]))
PYTHON
}

if [ -n "${EXTRA_PIP_PACKAGES:-}" ]; then
    echo "Installing EXTRA_PIP_PACKAGES: $EXTRA_PIP_PACKAGES" >&2
    constraints="$(dirname "$(readlink -f "$0")")/constraints.txt"
    arguments=(--user --no-cache-dir --no-warn-script-location)
    if [ -r "$constraints" ]; then
        # What is in the image stays as it is: packages that want other versions of it cannot be installed.
        arguments+=(--constraint "$constraints")
    fi
    code=0
    # The list is split at its spaces, as it is meant to be.
    # shellcheck disable=SC2086
    python3 -m pip install "${arguments[@]}" $EXTRA_PIP_PACKAGES >&2 || code=$?
    if [ "$code" -ne 0 ]; then
        message="The packages of EXTRA_PIP_PACKAGES could not be installed ($EXTRA_PIP_PACKAGES): pip ended with $code."
        message="$message Its output in the container's log says why; \$HOME must be writable."
        echo "$message" >&2
        report_to_run "$message"
        exit "$code"
    fi
fi

if [ $# -eq 0 ]; then
    echo "Sempre $(sempre --version). Start with: sempre server start"
    exec bash --login
fi
exec "$@"
