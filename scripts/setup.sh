# make setup: .venv holds exactly what requirements-dev.lock says. A second run finds the stamp.
set -eu

uv_version=$1
lock=requirements-dev.lock
stamp=.venv/.set-up
started=$(date +%s)

give_up() { # what happened, what to do
    printf 'error: %s\n  %s\n' "$1" "$2" >&2
    exit 1
}

# A name on PATH may be a version manager's with nothing behind it, so each is asked to run.
find_python() {
    for name in ${PYTHON:-python3.13 python3.12 python3.11 python3}; do
        if "$name" -c "$1" >/dev/null 2>&1; then
            echo "$name"
            return
        fi
    done
}

# The folder is part of it, because a virtual environment that was moved does not work.
wanted="$(cksum <"$lock") $(cksum <"$0") uv $uv_version $PWD ${PYTHON:-}"
if [ "$(cat "$stamp" 2>/dev/null)" = "$wanted" ] && .venv/bin/python -c '' 2>/dev/null; then
    exit 0
fi

new_enough='import sys; sys.exit(sys.version_info < (3, 11))'
python=$(find_python "$new_enough; import ensurepip, venv")
if [ -z "$python" ]; then
    python=$(find_python "$new_enough")
    [ -n "$python" ] || give_up 'no Python 3.11 or newer was found.' \
        'Install one, or name it: make setup PYTHON=/path/to/python3.12'
    version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
    give_up "$python cannot make virtual environments: its venv or ensurepip module is missing." \
        "On Debian and Ubuntu: apt-get install python$version-venv"
fi

rm -f "$stamp"
if [ -n "${PYTHON:-}" ] || ! grep -qsF "$PWD/.venv/" .venv/bin/pip ||
    ! .venv/bin/python -c "$new_enough" 2>/dev/null; then
    echo "Making .venv with $("$python" --version)"
    rm -rf .venv
    "$python" -m venv .venv
fi
echo "Installing what $lock says into .venv"
.venv/bin/python -m pip install -qq --disable-pip-version-check "uv==$uv_version" ||
    give_up 'pip could not install uv, see above.' 'Is the package index within reach?'
.venv/bin/uv pip sync --quiet --require-hashes --python .venv/bin/python "$lock" ||
    give_up 'uv could not install the locked packages, see above.' \
        'Is the package index within reach?'
# The first lines are shell, so that a folder with a space in its name works; Python takes them
# for a string.
cat >.venv/bin/moor <<SCRIPT
#!/bin/sh
'''exec' "$PWD/.venv/bin/python" "\$0" "\$@"
' '''
import sys

sys.path[0] = "$PWD"
from scripts.cli import main

sys.exit(main())
SCRIPT
chmod +x .venv/bin/moor
echo "$wanted" >"$stamp"
echo "Set up in $(($(date +%s) - started)) s"
