#!/bin/sh
# Import an image that holds a few of this host's own programs, so that the test needs no registry.
set -eu
programs='/usr/bin/sh /usr/bin/sleep /usr/bin/seq'
# shellcheck disable=SC2086  # a list of paths without blanks
libraries=$(ldd $programs | grep -o '/[^ :]*\.so[^ :]*' | sort -u)
# Dereferenced: the image needs no links to find them.
# shellcheck disable=SC2086
tar --create --dereference --absolute-names $programs $libraries | docker import --change 'ENV PATH=/usr/bin' - davit-test
