#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Every linter; the first complaint fails.
set -euo pipefail
cd "$(dirname "$0")/.."

echo "lint: ruff"
ruff check -q .
ruff format -q --check .
echo "lint: mypy"
(cd python && mypy --no-error-summary)
mypy --no-error-summary --strict library/*.py
mypy --no-error-summary --strict kernel/tests/*.py kernel/memlimit/tests/*.py
(cd benchmarks/host && MYPYPATH=guest mypy --no-error-summary --strict --explicit-package-bases ./*.py guest/*.py)
MYPYPATH=. mypy --no-error-summary --strict --explicit-package-bases scripts lab/*.py molecule/default/files/*.py \
    roles/*/files/*.py
MYPYPATH=.:python/src:grafana:library mypy --config-file python/pyproject.toml --no-error-summary \
    --explicit-package-bases -p tests -p benchmarks.fleet -p benchmarks.dashboards -p benchmarks.replay -p benchmarks.tick -p generator
echo "lint: shellcheck"
git ls-files -z '*.sh' '.ci/run' | xargs -0 shellcheck
echo "lint: yamllint"
yamllint --strict .
echo "lint: ansible-lint"
# The scenario `fleet` names what the collection has.
collections=$(mktemp -d)
python -m scripts.collection --install "$collections" >/dev/null
ANSIBLE_COLLECTIONS_PATH=$collections ansible-lint -q --offline --profile production
rm -rf "$collections"
echo "lint: ansible-test sanity"
sanity=$(python -m scripts.sanity) || { echo "$sanity"; exit 1; }
echo "lint: clang-format"
git ls-files -z '*.[ch]' | xargs -0 clang-format --dry-run --Werror
for headers in /lib/modules/*-cloud-amd64/build; do
    for modules in procinfo memlimit; do
        echo "lint: $modules, W=1 and sparse against $headers"
        work=$(mktemp -d)
        cp -L kernel/$modules/*.[ch] kernel/$modules/{Kbuild,Makefile} "$work"
        if make -s -C "$work" KDIR="$headers" W=1 C=2 2>&1 | grep -E 'warning|error'; then
            exit 1
        fi
        [ -n "$(find "$work" -name '*.ko')" ] || { echo "lint: $modules was not built" >&2; exit 1; }
        rm -rf "$work"
    done
done
