#!/usr/bin/env bash
# Every test that needs a GPU and the benchmarks on it, under ten minutes on one GPU; the results
# go to benchmarks/results/ and benchmarks/RESULTS.md.
#
#     bash benchmarks/gpu.sh [arguments of benchmarks/gpu.py]
#
# The Python that it finds (PYTHON=…) must have torch for CUDA. Its packages are used as they are:
# what is missing is installed into an environment of its own (VENV=…), where there is an index.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
venv=${VENV:-$root/.venv-gpu}
cd "$root"

base=${PYTHON:-python3}
site='import sysconfig; print(sysconfig.get_path("purelib"))'
if ! "$base" -c 'import torch' 2> /dev/null; then
    echo "gpu.sh: $base has no torch; name a Python that has it: PYTHON=/path/to/python3" >&2
    exit 1
fi
if [ ! -x "$venv/bin/python" ]; then
    "$base" -m venv --system-site-packages "$venv"
    # Where the Python is itself that of an environment, only a path file shows its packages.
    "$base" -c "$site" > "$("$venv/bin/python" -c "$site")/base.pth"
fi
python=$venv/bin/python
pip() { "$python" -m pip --disable-pip-version-check --quiet "$@"; }

# Requirements that the environment does not meet, one a line.
missing() { "$python" benchmarks/harness/requirements.py; }

wanted=$(missing)
if [ -n "$wanted" ]; then
    echo "installing: $(echo "$wanted" | tr '\n' ' ')"
    # What is there already stays as it is, torch above all.
    pip freeze --exclude-editable | grep -E '^(torch|triton|transformers|numpy|numba)==' \
        > "$venv/kept.txt" || true
    echo "$wanted" > "$venv/wanted.txt"
    pip install --constraint "$venv/kept.txt" --requirement "$venv/wanted.txt" || true
    wanted=$(missing)
fi
if [ -n "$wanted" ]; then
    echo "gpu.sh: cannot go on without: $(echo "$wanted" | tr '\n' ' ')" >&2
    echo "gpu.sh: install them for $python, from an index or from wheels" >&2
    exit 1
fi

# The package as its install would lay it out, by links: that needs neither setuptools nor an index.
links=$venv/links/guided
mkdir -p "$links"
ln -sfn "$root"/guided/* "$links"
for part in grammars rewards search kernels; do ln -sfn "$root/$part" "$links/$part"; done
echo "$venv/links" > "$("$python" -c "$site")/guided.pth"
exec "$python" benchmarks/gpu.py "$@"
