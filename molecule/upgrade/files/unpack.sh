#!/bin/sh
# Put the collection as it was at a commit into a folder, where Ansible finds it as davit.ec2: unpack.sh COMMIT FOLDER
set -eu
commit=$1
place=$2/ansible_collections/davit/ec2
# A shallow clone, as CI's, has no history.
git cat-file -e "$commit^{commit}" 2>/dev/null || git fetch --quiet --depth 1 origin "$commit" || {
    echo "davit: the commit $commit is neither here nor at origin; fetch this repository's history (git fetch --unshallow)." >&2
    exit 1
}
rm -rf "$place"
mkdir -p "$place"
git archive "$commit" galaxy.yml meta plugins roles | tar --extract --directory "$place"
