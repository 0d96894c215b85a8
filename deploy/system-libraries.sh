#!/bin/sh
# Installs what Open3D's wheel expects of the system, where apt may; otherwise says exactly what to install.
# usage: system-libraries.sh PYTHON
set -eu
python=${1:-python3}
libraries="libusb-1.0-0 libgl1 libegl1 libx11-6 libidn2-0 libgomp1"

"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
    { echo "Python 3.11 or newer is needed; set PYTHON=/path/to/python3.11"; exit 1; }

missing=""
if command -v dpkg-query >/dev/null 2>&1; then
    for library in $libraries; do
        dpkg-query -W -f='${Status}' "$library" 2>/dev/null | grep -q 'ok installed' || missing="$missing $library"
    done
    "$python" -c 'import ensurepip' 2>/dev/null || missing="$missing python3-venv"
fi
[ -n "$missing" ] || exit 0

if [ "$(id -u)" = 0 ]; then
    sudo=""
elif sudo -n true 2>/dev/null; then
    sudo="sudo -n"
else
    echo "Please install the missing system packages and run this again:  sudo apt-get install$missing"
    exit 1
fi
echo "Installing:$missing"
$sudo apt-get update -qq
# shellcheck disable=SC2086 - a list of package names
$sudo env DEBIAN_FRONTEND=noninteractive apt-get install -qq --no-install-recommends $missing >/dev/null
