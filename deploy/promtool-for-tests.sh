#!/bin/sh
# Print a folder to add to PATH that holds promtool: the one there is, or Debian's, unpacked into a folder that is given.
# Nothing is installed, so no server starts.
#
#   export PATH=$PATH:$(sh deploy/promtool-for-tests.sh /tmp/promtool)
set -eu

folder=$1
found=$(command -v promtool || true)
if [ -n "$found" ]; then
    dirname "$found"
    exit 0
fi
command -v apt-get > /dev/null && command -v dpkg-deb > /dev/null || { echo "promtool comes with Prometheus" >&2; exit 1; }
mkdir -p "$folder"
cd "$folder"
[ "$(id -u)" != 0 ] || apt-get update -q > /dev/null 2>&1 || true
[ -x usr/bin/promtool ] || { apt-get download -q prometheus > /dev/null 2>&1 && dpkg-deb -x prometheus_*.deb .; }
[ -x usr/bin/promtool ] || { echo "promtool is missing: apt-get install prometheus" >&2; exit 1; }
echo "$folder/usr/bin"
