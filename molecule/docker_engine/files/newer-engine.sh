#!/bin/sh
# Offer this host's own engine and containerd once more under a newer version, and copy the lock of the app while they are
# installed.
set -eu
place=/var/tmp/newer-engine
rm -rf "$place"
mkdir -p "$place"
cd "$place"
for package in docker.io containerd; do
    apt-get download "$package"
    dpkg-deb --raw-extract "$package"_*.deb tree
    rm "$package"_*.deb
    sed -i 's/^Version: .*/&+davit1/' tree/DEBIAN/control
    dpkg-deb -Znone --build tree "$package.deb"
    rm -r tree
    {
        dpkg-deb --field "$package.deb"
        echo "Filename: ./$package.deb"
        echo "Size: $(stat --format %s "$package.deb")"
        echo "SHA256: $(sha256sum "$package.deb" | cut -d ' ' -f 1)"
        echo
    } >>Packages
done
chmod -R a+rX "$place"
echo "deb [trusted=yes] file:$place ./" >/etc/apt/sources.list.d/newer-engine.list
apt-get update -o Dir::Etc::sourcelist=sources.list.d/newer-engine.list -o Dir::Etc::sourceparts=- -o APT::Get::List-Cleanup=0
echo 'DPkg::Pre-Invoke {"cp /opt/davit/apps/shop/deploy.json /run/molecule-lock.json";};' >/etc/apt/apt.conf.d/99molecule
