# make check: runs every check, even if one fails, and shows the output of those that fail.
set -u

failed=0
check() {
    name=$1
    shift
    started=$(date +%s)
    if output=$("$@" 2>&1); then
        echo "$name: passed ($(($(date +%s) - started)) s)"
    else
        printf '%s\n%s: failed\n' "$output" "$name"
        failed=1
    fi
}

check "ruff" .venv/bin/ruff check --output-format=concise .
check "ruff format" .venv/bin/ruff format --check .
check "mypy --strict" .venv/bin/mypy
check "import-linter" .venv/bin/lint-imports --no-logo
exit "$failed"
