#!/usr/bin/env bash
# Compile all sources with every supported Python that is installed here, and import what needs no dependency.
set -euo pipefail
cd "$(dirname "$0")/.."
caches=$(mktemp -d)
trap 'rm -rf "$caches"' EXIT

find_python() {
    local candidate
    for candidate in "python$1" "${PYENV_ROOT:-$HOME/.pyenv}/versions/$1".*/bin/python3; do
        if "$candidate" -c '' 2>/dev/null; then
            echo "$candidate"
            return 0
        fi
    done
    return 1
}

for version in 3.11 3.12 3.13 3.14; do
    if ! python=$(find_python "$version"); then
        echo "check_pythons: $version is not installed, skipped"
        continue
    fi
    for portion in */bistable; do
        PYTHONPYCACHEPREFIX=$caches "$python" -W error -m compileall -q -f "$portion"
        package=$(basename "$(echo "$portion"/*/__init__.py | xargs -n1 dirname)")
        PYTHONPYCACHEPREFIX=$caches PYTHONPATH=${portion%/bistable} "$python" -W error -c "import bistable.$package"
    done
    echo "check_pythons: $version compiles and imports"
done
