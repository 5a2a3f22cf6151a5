# make image: builds with docker, podman or finch, the first that works. Arguments go to `build`.
set -eu

python=.venv/bin/python # any Python works: the check of the platform needs no packages
[ -x "$python" ] || python=python3

for tool in docker podman finch; do
    # `info` needs the daemon, as `build` does.
    "$tool" info >/dev/null 2>&1 || continue
    previous=
    for argument; do
        case "$previous $argument" in
        "--platform "*) wanted=$argument ;;
        *" --platform="*) wanted=${argument#*=} ;;
        esac
        previous=$argument
    done
    for each in $(echo "${wanted:-}" | tr , ' '); do # os/architecture/variant
        CDK_DOCKER=$tool "$python" -m scripts.preflight.image_platform "$(echo "$each" | cut -d/ -f2)"
    done
    echo "Building moorage:local with $tool"
    started=$(date +%s)
    "$tool" build -f service/Dockerfile -t moorage:local "$@" . || {
        printf 'error: %s\n  %s\n' "$tool could not build it, see above." \
            'If docker.io does not answer, name a base: ARGS="--build-arg PYTHON_IMAGE=..."' >&2
        exit 1
    }
    bytes=$("$tool" image inspect --format '{{.Size}}' moorage:local)
    echo "Built moorage:local in $(($(date +%s) - started)) s: $((bytes / 1000000)) MB uncompressed"
    exit
done
printf 'error: %s\n  %s\n' 'none of docker, podman and finch works here.' \
    'Install one, or start its daemon (`docker info` says what is wrong).' >&2
exit 1
