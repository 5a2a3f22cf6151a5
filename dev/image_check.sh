# make image-check: builds the image and runs it hardened, on a Debian without a Docker daemon. The
# base image is made of Debian's packages, because the real one is in an image registry.
#
# It fails if the image is wrong. It is skipped, with exit 0, if this machine cannot run it.
set -eu

folder=.moorage/image # the list of parts and the logs stay here
base=localhost/python-standin
image=localhost/moorage:check
started=$(date +%s)
step() { echo "[$(($(date +%s) - started)) s] $1"; }

mkdir -p "$folder"
rm -f "$folder"/*
.venv/bin/hadolint service/Dockerfile
step 'hadolint has nothing to say about service/Dockerfile'
# The versions come from the lock; `--pyproject` names the project that they are parts of.
.venv/bin/cyclonedx-py requirements --pyproject pyproject.toml --output-reproducible \
    --output-file "$folder/sbom.cdx.json" requirements.lock 2>"$folder/sbom.log" ||
    { cat "$folder/sbom.log" >&2 && exit 1; }
step "the CycloneDX list of the lock's parts is $folder/sbom.cdx.json"

skip() {
    printf '\n!! %s\n!! SKIPPED: the image was neither built nor run.\n\n' "$1" >&2
    exit 0
}
[ "$(id -u)" = 0 ] || skip 'Only root can do this.'
grep -qs 'VERSION_CODENAME=bookworm' /etc/os-release || skip 'The stand-in is made of Debian 12.'
export DEBIAN_FRONTEND=noninteractive
# Updates the index too, because the base is made of current packages.
{ apt-get update && apt-get install -y --no-install-recommends -o DPkg::Lock::Timeout=300 \
    podman runc; } >"$folder/apt.log" 2>&1 ||
    { tail -n 20 "$folder/apt.log" >&2 && skip 'podman and runc could not be installed.'; }
step 'podman and runc are installed'

# A store only for this run, so that no other image or container of the machine is touched.
work=$(mktemp -d)
clean_up() {
    for container in $(podman ps --all --quiet 2>/dev/null); do
        podman rm --force --time 0 "$container" >/dev/null || true
    done
    # podman leaves its store mounted, and an interrupted build leaves its mounts.
    awk -v work="$work/" 'index($2, work) == 1 { print $2 }' /proc/mounts | sort -r |
        xargs -r umount && rm -rf "$work"
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

export CONTAINERS_STORAGE_CONF="$work/storage.conf" CONTAINERS_CONF="$work/containers.conf"
export TMPDIR="$work"
cat >"$CONTAINERS_STORAGE_CONF" <<CONF
[storage]
driver = "overlay"
graphroot = "$work/store"
runroot = "$work/run"
CONF
# runc, because crun refuses hybrid cgroups. The container gets the limits of this shell: podman's
# own limit, a million open files, needs a capability.
cat >"$CONTAINERS_CONF" <<CONF
[containers]
default_ulimits = ["nofile=$(ulimit -Hn):$(ulimit -Hn)", "nproc=4096:4096"]
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
lock_type = "file"
runtime = "runc"
tmp_dir = "$work/libpod"
CONF

# This fails if the index of apt is old and the network does not work.
sh dev/standin.sh "$work/base.tar" 2>"$folder/standin.log" || {
    status=$?
    tail -n 3 "$folder/standin.log" >&2
    [ $status = 75 ] && skip "Debian's packages could not be downloaded."
    exit $status
}
podman import --quiet --change 'ENV PATH=/usr/local/bin:/usr/bin:/usr/sbin LANG=C.UTF-8' \
    --change 'ENV PIP_CERT=/etc/ssl/certs/ca-certificates.crt' "$work/base.tar" "$base" >/dev/null
rm "$work/base.tar"
step 'the stand-in for the base image is made'

# The machine's root certificates are mounted, for networks that intercept TLS. `--network host`,
# because podman's bridge needs iptables.
roots="${SSL_CERT_FILE:-/etc/ssl/certs/ca-certificates.crt}:/etc/ssl/certs/ca-certificates.crt:ro"
in_base() { # checks what this machine can do without our image
    podman run --rm --network host --volume "$roots" "$@" >"$folder/machine.log" 2>&1 ||
        { tail -n 5 "$folder/machine.log" >&2 && false; }
}
in_base --pids-limit 256 --memory 512m "$base" python -c '' || skip 'podman runs no container here.'

podman build --network host --pull-never --layers=false --build-arg "PYTHON_IMAGE=$base" \
    --volume "$roots" -f service/Dockerfile -t "$image" . >"$folder/build.log" 2>&1 || {
    tail -n 30 "$folder/build.log" >&2
    in_base "$base" python -m pip download --quiet --no-deps --dest /tmp/pip tzdata ||
        skip 'The package index is out of reach.'
    exit 1
}
step 'the image is built'

.venv/bin/python -m tests.image "$image" "$folder" || {
    for log in migrate api worker; do
        [ ! -s "$folder/$log.log" ] || { echo "== $log"; tail -n 10 "$folder/$log.log"; } >&2
    done
    exit 1
}
step 'the image keeps its promises'
