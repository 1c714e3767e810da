#!/usr/bin/env bash
# Compile all sources with every other supported Python that is installed here, and import what needs no dependency.
set -euo pipefail
cd "$(dirname "$0")/.."
caches=$(mktemp -d)
trap 'rm -rf "$caches"' EXIT

for version in 3.11 3.12 3.13 3.14; do
    python=python$version
    if ! "$python" -c '' 2>/dev/null; then
        echo "check_pythons: $version is not installed, skipped"
        continue
    fi
    for portion in */bistable; do
        PYTHONPYCACHEPREFIX=$caches "$python" -W error -m compileall -q -f "$portion"
        PYTHONPYCACHEPREFIX=$caches PYTHONPATH=${portion%/bistable} "$python" -W error -c "import bistable.${portion%/bistable}"
    done
    echo "check_pythons: $version compiles and imports"
done
