#!/bin/sh
# tools/systemd.sh [PYTEST ARGUMENT...]: the service under a systemd of its own, from its installation to its removal
# (tests/systemd/service.py), in a Debian 12 that systemd-nspawn boots without a network. Needs root, debootstrap and
# systemd-container, and make .venv/.test before. The Debian and the wheels stay in build/systemd for the next time.
# OLD=COMMIT: the release that is upgraded.
set -eu
cd "$(dirname "$0")/.."
old=${OLD:-28d2b7a}  # the first that installs itself; its database has three migrations less
cache=$PWD/build/systemd
root=$cache/machine
packages=systemd-sysv,dbus,libpam-systemd,python3-venv,python3-pytest,dcmtk,iproute2,openssl,procps

fail() { echo "systemd: $*" >&2; exit 1; }
[ "$(id -u)" = 0 ] || fail "run it as root"
for tool in debootstrap systemd-nspawn; do
    command -v $tool >/dev/null || fail "$tool is missing: apt-get install debootstrap systemd-container"
done
[ -x .venv/bin/pip ] || fail ".venv is missing: make .venv/.test"

debian() {
    [ -e "$cache/debian.complete" ] && return 0
    echo "== a Debian to boot (some minutes)"
    rm -rf "$cache/debian"
    debootstrap --variant=minbase --include="$packages" bookworm "$cache/debian" > "$cache/debootstrap.log"
    rm -rf "$cache"/debian/var/cache/apt/archives/*.deb
    touch "$cache/debian.complete"
}

# unpack NAME: a release from a tar archive, with its wheel in it; what the wheel needs goes to the wheels of both.
unpack() {
    echo "== the $1 release and what it needs"
    rm -rf "${cache:?}/$1"
    mkdir "$cache/$1"
    tar -x -C "$cache/$1"
    .venv/bin/pip wheel --quiet --wheel-dir "$cache/wheels" --find-links "$cache/wheels" \
        --constraint "$cache/$1/constraints.txt" torch "$cache/$1" </dev/null
    mv "$cache"/wheels/cxr_node-*.whl "$cache/$1"
}

mkdir -p "$cache/wheels"
debian
git archive "$old" | unpack old
git ls-files -z --cached --others --exclude-standard | tar -c --null -T - | unpack new

rm -rf "$root"
cp -a --reflink=auto "$cache/debian" "$root"
cp -r "$cache/old" "$cache/new" "$cache/wheels" tests/systemd/service.py "$root/srv"
.venv/bin/python - "$root/srv" <<'PYTHON'
import sys
from tests.films import chest
for number in range(1, 7):
    chest(number).save_as(f"{sys.argv[1]}/film{number}.dcm", enforce_file_format=True)
PYTHON
cat > "$root/etc/systemd/system/acceptance.service" <<UNIT
[Unit]
After=multi-user.target
[Service]
Type=oneshot
WorkingDirectory=/srv
Environment=PYTHONUNBUFFERED=1
ExecStart=/bin/sh -c 'python3 -m pytest -vsx --color=no -p no:cacheprovider $* service.py >/dev/console 2>&1; systemctl exit \$?'
[Install]
WantedBy=multi-user.target
UNIT
mkdir -p "$root/etc/systemd/system.conf.d"
printf '[Manager]\nShowStatus=no\n' > "$root/etc/systemd/system.conf.d/quiet.conf"
ln -s /dev/null "$root/etc/systemd/system/console-getty.service"
ln -s /etc/systemd/system/acceptance.service "$root/etc/systemd/system/multi-user.target.wants/"

echo "== booting"
# The cgroup hierarchy of Debian 12, also where the machine itself still has the older one.
SYSTEMD_NSPAWN_UNIFIED_HIERARCHY=1 systemd-nspawn --quiet --register=no --keep-unit --private-network --console=read-only \
    --hostname=node --machine=cxr-node-test --directory="$root" --boot </dev/null
