# Installs a Chromium for the page tests, from the packages of the distribution, which most networks
# can reach.
set -eu

for name in chromium chromium-browser google-chrome google-chrome-stable; do
    if command -v "$name" >/dev/null; then exit 0; fi
done

warn() {
    printf '\n!! %s\n!! The tests of pages will be skipped, and only they.\n\n' "$1" >&2
    exit 0
}

command -v apt-get >/dev/null || warn 'No Chromium is on PATH; install one for the page tests.'
[ "$(id -u)" = 0 ] || warn 'No Chromium is on PATH; as root: apt-get install chromium'

started=$(date +%s)
log=$(mktemp)
trap 'rm -f "$log"' EXIT
echo 'Installing Chromium for the page tests'
export DEBIAN_FRONTEND=noninteractive
if apt-get update >"$log" 2>&1 &&
    apt-get install -y --no-install-recommends -o DPkg::Lock::Timeout=300 chromium >>"$log" 2>&1 &&
    chromium --version >>"$log" 2>&1; then
    echo "Installed in $(($(date +%s) - started)) s"
else
    tail -n 20 "$log" >&2
    warn 'Chromium could not be installed, see above.'
fi
