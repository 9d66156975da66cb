#!/bin/sh
# ansible-test sanity on a copy of the working tree, laid out as the collection that it becomes: ansible-test
# refuses symlinks, and the self-link is one. Uncommitted files belong to what is tested.
#
# Left out: pep8, pylint, yamllint, shellcheck and changelog, which `make lint` answers with newer tools (pep8 contradicts
# ruff's formatter), and what concerns PowerShell, of which there is none.
set -eu
cd "$(dirname "$0")/../.."
cache=$PWD/.cache/sanity
# Outside of the checkout, whose .gitignore ansible-test would obey.
copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT
trap 'exit 130' INT TERM HUP
tree=$copy/ansible_collections/davit/ec2

rm -rf "${cache:?}/bin"
mkdir -p "$tree/tests/sanity" "$cache/bin" "$cache/home/.ansible/test/cache"
# A file that is deleted but not yet committed is still listed, hence --ignore-failed-read.
git ls-files -z --cached --others --exclude-standard -- galaxy.yml meta plugins roles tests/sanity |
    tar --create --null --files-from - --ignore-failed-read | tar --extract --directory "$tree"

# What runs on the controller stands on it, and takes the documentation of its options from there.
mkdir "$copy/ansible_collections/amazon"
ln -s "$PWD/.ansible/collections/ansible_collections/amazon/aws" "$copy/ansible_collections/amazon/aws"

# Davit is under the MIT licence; ansible-test asks for GPLv3 in the head of modules and callbacks. The only thing ignored.
(cd "$tree" && for module in plugins/modules/*.py plugins/callback/*.py; do
    [ ! -e "$module" ] || printf '%s validate-modules:missing-gplv3-license\n' "$module"
done) >"$tree/tests/sanity/ignore-2.21.txt"

# Modules promise Python 3.9, so every interpreter from there on that really runs takes part. Version managers put
# shims on PATH that may refuse to run, and ansible-test would take those: it only gets what is linked here.
for version in 3.9 3.10 3.11 3.12 3.13 3.14; do
    for candidate in "$(command -v "python$version")" "$HOME"/.pyenv/versions/"$version".*/bin/"python$version"; do
        "${candidate:-false}" -c '' 2>/dev/null || continue
        ln -s "$candidate" "$cache/bin/python$version"
        break
    done
done

# ansible-test keeps its venvs below HOME and would fetch a pip installer; Python brings one.
pip_version=$(.venv/bin/python -c '
from types import SimpleNamespace
from ansible_test._internal.python_requirements import get_venv_packages
print(get_venv_packages(SimpleNamespace(version="3.12"))["pip"].replace(".", "_"))')
printf 'import ensurepip\n\nensurepip.bootstrap()\n' >"$cache/home/.ansible/test/cache/get_pip_$pip_version.py"

run=$PWD/.venv/bin/ansible-test
cd "$tree"
# Its one remark on any machine without en_US.UTF-8 is about the locale, which none of these tests depends on.
HOME=$cache/home PATH=$cache/bin:/usr/bin:/bin "$run" sanity --local \
    --skip-test pep8 --skip-test pylint --skip-test yamllint --skip-test shellcheck \
    --skip-test pslint --skip-test changelog "$@"
