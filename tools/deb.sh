#!/bin/sh
# tools/deb.sh [FOLDER]: a Debian package of this source tree in FOLDER (dist), for this Debian's own Python: torch and all.
set -eu
cd "$(dirname "$0")/.."
out=$(mkdir -p "${1:-dist}" && cd "${1:-dist}" && pwd)
stage=$(mktemp -d)
trap 'rm -rf "$stage"' EXIT
python=/usr/bin/python3
minor=$($python -c 'import sys; print(f"3.{sys.version_info.minor}")')
next=$($python -c 'import sys; print(f"3.{sys.version_info.minor + 1}")')
version=$(sed -n 's/^__version__ = "\(.*\)"$/\1/p' cxr_node/__init__.py)
arch=$(dpkg --print-architecture)

root=$stage/root
mkdir -p "$root"
DESTDIR=$root PACKAGING=1 PYTHON=$python tools/install.sh
# What was made below the stage will stand below /.
release=$(echo "$root"/opt/cxr-node/releases/*)
grep -rlI --exclude-dir=lib "$root" "$release" | xargs -r sed -i "s|$root||g"
find "$release" -name __pycache__ -prune -exec rm -rf {} +
rm -rf "$release"/lib/python*/site-packages/pip "$release"/lib/python*/site-packages/pip-*

mkdir -p "$root/DEBIAN"
cat > "$root/DEBIAN/control" <<CONTROL
Package: cxr-node
Version: $version
Architecture: $arch
Maintainer: cxr_node maintainers <root@localhost>
Depends: python3 (>= $minor), python3 (<< $next), systemd, libgomp1, adduser | passwd
Recommends: nvidia-persistenced
Section: science
Priority: optional
Installed-Size: $(du -sk "$root" | cut -f 1)
Description: chest film analysis beside the PACS
 A DICOM node that analyses chest radiographs as they are taken, writes a report
 and a heat map back into the study, and orders the reading worklist.
 For research and evaluation; not a medical device.
CONTROL
echo /etc/cxr-node/cxr-node.toml > "$root/DEBIAN/conffiles"
cat > "$root/DEBIAN/postinst" <<'POSTINST'
#!/bin/sh
set -e
systemd-sysusers cxr-node.conf
systemd-tmpfiles --create cxr-node.conf
chown root:cxr-node /etc/cxr-node/cxr-node.toml
chmod 640 /etc/cxr-node/cxr-node.toml
for each in /opt/cxr-node/releases/*; do "$each/bin/python" -m compileall -qq "$each/lib" || true; done
if [ -d /run/systemd/system ]; then
    systemctl daemon-reload
    systemctl try-restart cxr-node.service
fi
POSTINST
cat > "$root/DEBIAN/prerm" <<'PRERM'
#!/bin/sh
set -e
if [ "$1" = remove ] && [ -d /run/systemd/system ]; then systemctl disable --now cxr-node.service || true; fi
find /opt/cxr-node -name __pycache__ -prune -exec rm -rf {} + 2>/dev/null || true
PRERM
cat > "$root/DEBIAN/postrm" <<'POSTRM'
#!/bin/sh
set -e
if [ -d /run/systemd/system ]; then systemctl daemon-reload; fi
if [ "$1" = purge ]; then rm -rf /etc/cxr-node /var/lib/cxr-node /var/log/cxr-node; fi
POSTRM
chmod 755 "$root/DEBIAN/postinst" "$root/DEBIAN/prerm" "$root/DEBIAN/postrm"
dpkg-deb --root-owner-group -Zgzip -z1 --build "$root" "$out/cxr-node_${version}_$arch.deb"
