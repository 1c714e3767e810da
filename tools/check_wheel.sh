#!/usr/bin/env bash
# Build wheel and source distribution as a packager would, install the wheel into empty environments, and use it there.
set -euo pipefail
cd "$(dirname "$0")/.."
readonly PYTHON=$PWD/.venv/bin/python3
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# The default of `build` makes the wheel from the unpacked source distribution, which so proves to be complete.
"$PYTHON" -m build --no-isolation --outdir "$work/dist" . >"$work/log" 2>&1 || { cat "$work/log" >&2; exit 1; }
"$PYTHON" -m build --no-isolation --wheel --outdir "$work/direct" . >"$work/log" 2>&1 || { cat "$work/log" >&2; exit 1; }
cmp "$work"/dist/*.whl "$work"/direct/*.whl

cd "$work"
"$PYTHON" -m venv library
library/bin/pip install --quiet dist/*.whl
library/bin/python -c 'import bistable.artifact'
if library/bin/python -c 'import click' 2>/dev/null; then
    echo "check_wheel: the library brings click along" >&2
    exit 1
fi

# What a device needs is in the library: the device's command must not want more.
library/bin/bistablectl --version
library/bin/bistablectl install --help >/dev/null

"$PYTHON" -m venv command
command/bin/pip install --quiet "$(echo dist/*.whl)[cli]"
command/bin/bistable --version
command/bin/bistable artifact --help >/dev/null
echo "check_wheel: $(basename dist/*.whl) installs and runs"
