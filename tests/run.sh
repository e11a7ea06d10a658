#!/bin/sh
# tests/run.sh [PART...]: the tests, part by part, each timed. Parts: lint unit peers browser faults training docs; default:
# all.
set -eu
cd "$(dirname "$0")/.."
bin=.venv/bin
peers="dcmtk dicom3tools gcc haproxy iproute2 keepalived libc6-dev openssl orthanc orthanc-dicomweb pixelmed-apps systemd"
browser="chromium chromium-driver"
plain="not peers and not browser and not fault and not training"
failed=

have_peers() {
    for tool in cc dciodvfy openssl storescu systemd-analyze; do [ -x "/usr/bin/$tool" ] || return 1; done
    for tool in Orthanc haproxy keepalived; do [ -x /usr/sbin/$tool ] || return 1; done
    [ -e /usr/share/orthanc/plugins/libOrthancDicomWeb.so ] || return 1
    [ -e /usr/share/java/pixelmed.jar ]
}

have_browser() { [ -x /usr/bin/chromium ] && [ -x /usr/bin/chromedriver ]; }

# install PACKAGES: sets `missing` to why they could not be installed; what just failed is not tried again.
install() {
    [ "$1" = "$failed" ] && { missing=$why; return 0; }
    try_to_install "$1"
    [ -z "$missing" ] || { failed=$1 why=$missing; }
}

become_root() {
    if [ "$(id -u)" = 0 ]; then as=; elif sudo -n true 2>/dev/null; then as=sudo; else missing="no root and no sudo"; fi
}

try_to_install() {
    become_root
    [ -z "$missing" ] || return 0
    echo "== installing $1"
    $as apt-get update -qq && $as env DEBIAN_FRONTEND=noninteractive \
        apt-get install -y -qq --no-install-recommends $1 >/dev/null || missing="apt-get failed"
}

have_prometheus() { [ -x $bin/prometheus ] && [ -x $bin/promtool ]; }

# Debian's package would start a service on this machine: only its two programs are wanted, and only beside the tests.
unpack_prometheus() {
    folder=$(mktemp -d)
    (cd "$folder" && apt-get download -qq prometheus && dpkg-deb -x prometheus_*.deb .) &&
        cp "$folder/usr/bin/prometheus" "$folder/usr/bin/promtool" $bin
    rm -rf "$folder"
    have_prometheus
}

get_prometheus() {
    echo "== unpacking prometheus"
    unpack_prometheus 2>/dev/null && return 0
    become_root
    [ -n "$missing" ] || { $as apt-get update -qq && unpack_prometheus; } || missing="apt-get download failed"
}

# needs PART: sets `packages` to what a part needs from Debian, and `missing` to why it is not there.
needs() {
    packages= missing=
    case $1 in
        browser) packages=$browser; have_browser || install "$browser" ;;
        *) packages=$peers; have_peers || install "$peers" ;;  # openssl is for the others, too
    esac
    case $1 in
        unit | peers) packages="$packages prometheus"; [ -n "$missing" ] || have_prometheus || get_prometheus ;;
    esac
}

run() {
    part=$1; shift
    echo "== $part"
    began=$(date +%s)
    "$@" || { echo "== $part: FAILED" >&2; exit 1; }
    echo "== $part: $(($(date +%s) - began)) s"
}

pytest() { $bin/python -m pytest -q --durations 12 "$@"; }

# side_by_side COUNT: so many at a time, each file by one: nodes start and wait for most of these parts.
side_by_side() { count=$1; shift; pytest tests -n "$count" --dist loadfile "$@"; }

part() {
    case $1 in
        lint)
            run format $bin/ruff format --check .
            run lint $bin/ruff check .
            run types $bin/mypy
            run layers $bin/lint-imports --no-logo
            ;;
        unit) run unit side_by_side 3 -m "$plain" --ignore tests/docs --ignore tests/acceptance ;;
        peers) run peers side_by_side 2 -m "peers and not fault and not training" ;;
        browser) run browser pytest tests -m browser ;;
        faults) run faults side_by_side 3 --no-loadscope-reorder -m fault ;;  # files of one long test are not kept for the end
        training) run training side_by_side 2 -m training ;;  # each computes with one thread
        docs) run docs pytest tests/docs tests/acceptance -m "$plain" ;;  # commands, too, do as they are described
        *) echo "unknown part: $1 (lint unit peers browser faults training docs)" >&2; exit 2 ;;
    esac
}

[ $# -gt 0 ] || set -- lint unit docs training peers browser faults
for each in "$@"; do
    needs "$each"
    if [ -n "$missing" ] && [ "${CI:-}" = true ]; then
        echo "the Debian packages $packages could not be installed: $missing" >&2
        exit 1
    fi
    if [ -n "$missing" ] && { [ "$each" = peers ] || [ "$each" = browser ] || [ "$each" = faults ]; }; then
        echo "== $each: LEFT OUT, because $packages are not installed and could not be ($missing)"
        continue
    fi
    part "$each"
done
