# make setup: makes .venv with exactly the packages of requirements-dev.lock. If nothing has changed
# since the last run, the stamp of that run ends this one at once.
set -eu

# Unset variables that would change Python's behaviour or install elsewhere. Those of pip and uv
# about package indexes stay; dev/index_settings.py reads pip's files.
for name in $(env | sed -n 's/^\([A-Za-z_][A-Za-z0-9_]*\)=.*/\1/p'); do
    case "$name" in
    PYTHON) ;; # names the interpreter to take
    PIP_CONFIG_FILE | PIP_INDEX_URL | PIP_EXTRA_INDEX_URL | PIP_FIND_LINKS | PIP_NO_INDEX) ;;
    PIP_TRUSTED_HOST | PIP_CERT | PIP_CLIENT_CERT | PIP_PROXY | PIP_TIMEOUT | PIP_RETRIES) ;;
    PIP_DEFAULT_TIMEOUT | PIP_KEYRING_PROVIDER | PIP_CACHE_DIR | PIP_NO_CACHE_DIR) ;;
    UV_DEFAULT_INDEX | UV_INDEX* | UV_EXTRA_INDEX_URL | UV_FIND_LINKS | UV_NO_INDEX) ;;
    UV_INSECURE_HOST | UV_NATIVE_TLS | UV_SYSTEM_CERTS | UV_KEYRING_PROVIDER | UV_OFFLINE) ;;
    UV_CACHE_DIR | UV_NO_CACHE | UV_LINK_MODE | UV_HTTP_* | UV_CONCURRENT_* | UV_CONFIG_FILE) ;;
    PIP_* | UV_* | PYTHON* | VIRTUAL_ENV* | CONDA_* | __PYVENV_LAUNCHER__) unset "$name" ;;
    CDPATH | GREP_OPTIONS | LD_PRELOAD | POSIXLY_CORRECT) unset "$name" ;;
    esac
done
umask go-w # other users must not change the programs that this user runs
[ -d "${TMPDIR:-/tmp}" ] && [ -w "${TMPDIR:-/tmp}" ] || unset TMPDIR

lock=requirements-dev.lock
uv_lock=requirements-uv.lock
stamp=.venv/.set-up
started=$(date +%s)

give_up() { # what happened, what to do
    printf 'error: %s\n  %s\n' "$1" "$2" >&2
    exit 1
}

# A program on PATH may be a version manager's stub that fails, so each is run once.
find_python() {
    set -- "$1" python3.13 python3.12 python3.11 python3
    [ -z "${PYTHON:-}" ] || set -- "$1" "$PYTHON"
    code=$1
    shift
    for name; do
        if "$name" -c "$code" >/dev/null 2>&1; then
            echo "$name"
            return
        fi
    done
}

# Contains the folder, because a virtual environment that was moved does not work.
wanted="$(cat "$lock" "$uv_lock" "$0" | cksum) $PWD ${PYTHON:-}"
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
settings=$(.venv/bin/python -I dev/index_settings.py) ||
    give_up 'pip cannot read its settings, see above.' 'Mend the file that it names.'
eval "$settings"
.venv/bin/python -I -m pip install -qq --disable-pip-version-check --only-binary :all: \
    --require-hashes -r "$uv_lock" ||
    give_up 'pip could not install uv, see above.' 'Can the package index be reached?'
# Each package has a wheel, except on a Mac with an Intel processor. So nothing is built, and
# nothing without a hash is downloaded for a build.
[ "$(uname -sm)" = 'Darwin x86_64' ] || build=--no-build
.venv/bin/uv pip sync --quiet --require-hashes --index-strategy unsafe-best-match ${build:-} \
    --python .venv/bin/python "$lock" ||
    give_up 'uv could not install the locked packages, see above.' \
        'Can the package index be reached?'
# The first lines are shell, so that a folder with a space in its name works; to Python they are a
# string.
cat >.venv/bin/moor <<SCRIPT
#!/bin/sh
'''exec' "$PWD/.venv/bin/python" -I "\$0" "\$@"
' '''
import os
import sys

# -I makes this process ignore PYTHON… variables; deleted here, its children ignore them too.
for name in [each for each in os.environ if each.startswith("PYTHON")]:
    del os.environ[name]
sys.path.insert(0, "$PWD")
from scripts.cli import main

sys.exit(main())
SCRIPT
chmod +x .venv/bin/moor
echo "$wanted" >"$stamp"
echo "Set up in $(($(date +%s) - started)) s"
