#!/bin/sh
# tools/install.sh [install | rollback | uninstall [--purge]]: cxr_node as a service of this machine (docs/operations.md).
# Run as root; again at any time: it does what is missing. DESTDIR=DIR: below another root, for packages and for tests.
# WHEEL=FILE: that wheel instead of this source tree. PYTHON=FILE: another interpreter than python3. PACKAGING=1: where a
# package has things, without what it does when it is installed (tools/deb.sh).
set -eu
here=$(cd "$(dirname "$0")/.." && pwd)
root=${DESTDIR:-}
python=${PYTHON:-python3}
opt=$root/opt/cxr-node
etc=$root/etc/cxr-node
state=$root/var/lib/cxr-node
if [ -n "${PACKAGING:-}" ]; then units=$root/usr/lib/systemd/system bin=$root/usr/bin; else units=$root/etc/systemd/system bin=$root/usr/local/bin; fi
doc=$root/usr/share/doc/cxr-node

say() { echo "== $*"; }
fail() { echo "install: $*" >&2; exit 1; }
with_systemd() { [ -z "$root" ] && [ -d /run/systemd/system ]; }
active() { with_systemd && systemctl is-active --quiet cxr-node; }

require() {
    [ -n "$root" ] || [ "$(id -u)" = 0 ] || fail "run it as root, or with DESTDIR=DIR for a root of your own"
    "$python" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null ||
        fail "cxr_node needs Python 3.11, 3.12 or 3.13; $python is $("$python" --version 2>&1 || true). Set PYTHON=/usr/bin/python3.11"
    "$python" -c 'import ensurepip, venv' 2>/dev/null || fail "python3-venv is missing: apt-get install python3-venv"
    for tool in systemd-sysusers systemd-tmpfiles; do
        command -v $tool >/dev/null || fail "$tool is missing: apt-get install systemd"
    done
}

# What is installed is known by what it is made from, so that the same again is nothing to do.
identity() {
    if [ -n "${WHEEL:-}" ]; then
        sha256sum "$WHEEL" "$here/constraints.txt" | sha256sum
    else
        (cd "$here" && find cxr_node training models config constraints.txt pyproject.toml -type f ! -name '*.pyc' -print0 |
            sort -z | xargs -0 sha256sum | sha256sum)
    fi | cut -c 1-12
}

release() {
    version=$(sed -n 's/^__version__ = "\(.*\)"$/\1/p' "$here/cxr_node/__init__.py")
    name=$version-$(identity)
    folder=$opt/releases/$name
    if [ -e "$folder/.complete" ]; then
        say "release $name is there"
        return 0
    fi
    say "release $name: making its environment (a few minutes)"
    rm -rf "$folder"
    mkdir -p "$opt/releases"
    trap 'rm -rf "$folder"' EXIT
    "$python" -m venv "$folder"
    # torch first and pinned: asked for without a pin, it brings gigabytes of CUDA libraries.
    "$folder/bin/pip" install --quiet --disable-pip-version-check --constraint "$here/constraints.txt" torch
    "$folder/bin/pip" install --quiet --disable-pip-version-check --constraint "$here/constraints.txt" "${WHEEL:-$here}"
    "$folder/bin/cxr-node" --version >/dev/null
    touch "$folder/.complete"
    trap - EXIT
}

# One name for who is in use; a node that runs goes on with the files of its own release.
use() {
    old=$(current)
    mkdir -p "$opt/bin"
    ln -s "../releases/$1/bin/cxr-node" "$opt/bin/cxr-node.new"
    mv -T "$opt/bin/cxr-node.new" "$opt/bin/cxr-node"
    [ "$old" = "$1" ] || [ -z "$old" ] || echo "$old" > "$opt/previous"
}

current() {
    link=$(readlink "$opt/bin/cxr-node" 2>/dev/null) || return 0
    echo "$link" | cut -d / -f 3
}

prune() {
    for each in "$opt"/releases/*; do
        name=${each##*/}
        [ "$name" = "$(current)" ] || [ "$name" = "$(cat "$opt/previous" 2>/dev/null)" ] || rm -rf "$each"
    done
}

user_and_folders() {
    install -D -m 644 "$here/systemd/cxr-node.sysusers" "$root/usr/lib/sysusers.d/cxr-node.conf"
    install -D -m 644 "$here/systemd/cxr-node.tmpfiles" "$root/usr/lib/tmpfiles.d/cxr-node.conf"
    [ -n "${PACKAGING:-}" ] && return 0  # the package does it where it is installed
    mkdir -p "$root/etc"
    systemd-sysusers "--root=${root:-/}" cxr-node.conf
    systemd-tmpfiles "--root=${root:-/}" --create cxr-node.conf
}

configuration() {
    install -d -m 755 "$doc/examples"
    install -m 644 "$here"/config/cxr-node.toml "$here"/docs/*.md "$here"/CHANGELOG.md "$doc"
    install -m 644 "$here"/config/examples/*.toml "$doc/examples"
    if [ -e "$etc/cxr-node.toml" ]; then
        say "/etc/cxr-node/cxr-node.toml stays as it is; every key of this release: /usr/share/doc/cxr-node/cxr-node.toml"
        return 0
    fi
    mkdir -p "$etc"
    sed 's|^data_dir = "var" |data_dir = "/var/lib/cxr-node" |' "$here/config/cxr-node.toml" > "$etc/cxr-node.toml.new"
    chmod 640 "$etc/cxr-node.toml.new"
    [ -n "${PACKAGING:-}" ] || chown --reference="$etc" "$etc/cxr-node.toml.new"
    mv "$etc/cxr-node.toml.new" "$etc/cxr-node.toml"
}

# Whoever gives a command as root gives it as the service, which alone may read the data.
command_for_people() {
    install -d -m 755 "$bin"
    cat > "$bin/cxr-node" <<'WRAPPER'
#!/bin/sh
export CXR_NODE_CONFIG="${CXR_NODE_CONFIG:-/etc/cxr-node/cxr-node.toml}"
if [ "$(id -u)" = 0 ]; then exec runuser -u cxr-node -- /opt/cxr-node/bin/cxr-node "$@"; fi
exec /opt/cxr-node/bin/cxr-node "$@"
WRAPPER
    chmod 755 "$bin/cxr-node"
}

service() {
    install -D -m 644 "$here/systemd/cxr-node.service" "$units/cxr-node.service"
    install -D -m 644 "$here/systemd/cxr-node.service.d/gpu.conf" "$doc/gpu.conf"
    if ! with_systemd; then
        say "no systemd runs here: the unit lies in ${units#"$root"}, and nothing was started"
        return 0
    fi
    systemctl daemon-reload
    if active; then
        say "restarting the service; if this release changes the database, it backs it up first"
        systemctl restart cxr-node
    fi
}

install_all() {
    require
    release
    user_and_folders
    configuration
    use "$name"
    command_for_people
    service
    prune
    if [ -n "$root" ]; then say "installed below $root"; return 0; fi
    say "looking it over: cxr-node check"
    cxr-node check --offline || true
    active || say "edit /etc/cxr-node/cxr-node.toml, look again (cxr-node check), then: systemctl enable --now cxr-node"
}

rollback() {
    [ -s "$opt/previous" ] || fail "there is no release before this one"
    before=$(cat "$opt/previous")
    [ -e "$opt/releases/$before/.complete" ] || fail "the release $before is gone"
    use "$before"
    say "release $before is in use. If the one after it had changed the database, this one does not start and says so:"
    say "then put the copy from /var/lib/cxr-node/backups in its place (docs/operations.md, Upgrade)"
    if active; then systemctl restart cxr-node; fi
}

uninstall() {
    if with_systemd; then systemctl disable --now cxr-node 2>/dev/null || true; fi
    rm -rf "$opt" "$doc" "$units/cxr-node.service" "$bin/cxr-node"
    if with_systemd; then systemctl daemon-reload; fi
    if [ "${1:-}" != --purge ]; then
        say "configuration and data stay: /etc/cxr-node, /var/lib/cxr-node (uninstall --purge removes them, films and all)"
        return 0
    fi
    rm -rf "$etc" "$state" "$root/var/log/cxr-node" "$units/cxr-node.service.d"
    rm -f "$root/usr/lib/sysusers.d/cxr-node.conf" "$root/usr/lib/tmpfiles.d/cxr-node.conf"
    if [ -z "$root" ] && getent passwd cxr-node >/dev/null; then userdel cxr-node; fi
    say "configuration and data are gone, too"
}

case ${1:-install} in
    install) install_all ;;
    rollback) rollback ;;
    uninstall) uninstall "${2:-}" ;;
    *) fail "unknown: $1 (install, rollback, uninstall [--purge])" ;;
esac
