#!/usr/bin/env bash
# Check form, types and layers. Runs everything, then fails if anything failed.
set -uo pipefail
cd "$(dirname "$0")/.." || exit
readonly BIN=.venv/bin
failed=()

check() {
    local name=$1
    shift
    printf '== %s\n' "$name"
    "$@" || failed+=("$name")
}

check "ruff check" "$BIN/ruff" check --quiet .
check "ruff format" "$BIN/ruff" format --quiet --check .
# Folder by folder: test files of equal names in two folders would clash in one run.
for portion in */bistable; do
    check "mypy $portion" "$BIN/mypy" "$portion"
    check "mypy $portion, as of Python 3.14" "$BIN/mypy" --python-version 3.14 "$portion"
done
for tests in */tests qemu-tests; do
    check "mypy $tests" "$BIN/mypy" "$tests"
done
for script in tools/*.py; do
    check "mypy $script" "$BIN/mypy" "$script"
done
check "mypy meta-ota/lib" "$BIN/mypy" meta-ota/lib/metaota
check "mypy benchmarks" env MYPYPATH=benchmarks "$BIN/mypy" benchmarks/run.py
check "layers" "$BIN/lint-imports"
if command -v shellcheck >/dev/null; then
    # By their first line: what is installed on a device has names without an ending.
    mapfile -t scripts < <(grep -rlI '^#!.*\bsh$' tools benchmarks client/dist meta-ota/recipes-*; echo .ci/run)
    check "shellcheck" shellcheck "${scripts[@]}"
else
    echo "== shellcheck: skipped, not installed"
fi

if [ "${#failed[@]}" -gt 0 ]; then
    printf 'lint: failed: %s\n' "${failed[@]}" >&2
    exit 1
fi
