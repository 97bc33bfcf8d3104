#!/usr/bin/env bash
# Everything a machine with a GPU can tell, in one call: kernels against float64, the speed table, then training.
#   benchmarks/gpu.sh OUT [--minutes 9] [--wheels FOLDER] [--data FOLDER] [--train RECIPE... | --claims]
#                         [--profile RECIPE] [--dry]
# Needs Python with torch and triton; no network. Wheels or sdists of mamba-ssm and flash-linear-attention are taken
# from --wheels where given. OUT gets at most 8 files of at most 16 MiB.
set -euo pipefail
out=${1:?give the folder for the results}
shift
cd "$(dirname "$0")/.."
mkdir -p "$out"
wheels=""
for ((i = 1; i < $#; i++)); do
    if [ "${!i}" = --wheels ]; then next=$((i + 1)); wheels=${!next}; fi
done
if [ -n "$wheels" ]; then
    site=$(mktemp -d)
    for file in "$wheels"/*; do
        python3 -m pip install --quiet --no-index --no-deps --no-build-isolation --target "$site" "$file" ||
            echo "could not install $file; going on without it" >&2
    done
    export PYTHONPATH="$site:${PYTHONPATH:-}"
fi
exec python3 -u -m benchmarks.gpu --out "$out" "$@"
