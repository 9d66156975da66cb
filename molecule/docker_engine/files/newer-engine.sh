#!/bin/sh
# Offer this host's own engine once more under a newer version, and copy the lock of the app while it is installed.
set -eu
place=/var/tmp/newer-engine
rm -rf "$place"
mkdir -p "$place"
cd "$place"
apt-get download docker.io
dpkg-deb --raw-extract docker.io_*.deb tree
rm docker.io_*.deb
sed -i 's/^Version: .*/&+davit1/' tree/DEBIAN/control
dpkg-deb -Znone --build tree docker.io.deb
rm -r tree
{
    dpkg-deb --field docker.io.deb
    echo "Filename: ./docker.io.deb"
    echo "Size: $(stat --format %s docker.io.deb)"
    echo "SHA256: $(sha256sum docker.io.deb | cut -d ' ' -f 1)"
} >Packages
chmod -R a+rX "$place"
echo "deb [trusted=yes] file:$place ./" >/etc/apt/sources.list.d/newer-engine.list
apt-get update -o Dir::Etc::sourcelist=sources.list.d/newer-engine.list -o Dir::Etc::sourceparts=- -o APT::Get::List-Cleanup=0
echo 'DPkg::Pre-Invoke {"cp /opt/davit/apps/shop/deploy.json /run/molecule-lock.json";};' >/etc/apt/apt.conf.d/99molecule
