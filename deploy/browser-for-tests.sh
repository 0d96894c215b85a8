#!/bin/sh
# Installs the browser that tests/ui drives, where apt may; without it these tests say that they were skipped.
set -eu
for name in chromium chromium-browser; do
    command -v "$name" >/dev/null 2>&1 && exit 0
done
if [ "$(id -u)" = 0 ]; then
    sudo=""
elif sudo -n true 2>/dev/null; then
    sudo="sudo -n"
else
    echo "No browser for tests/ui:  sudo apt-get install chromium"
    exit 0
fi
if ! command -v apt-get >/dev/null 2>&1; then
    echo "No browser for tests/ui: install Chromium"
    exit 0
fi
echo "Installing: chromium"
$sudo apt-get update -qq
$sudo env DEBIAN_FRONTEND=noninteractive apt-get install -qq --no-install-recommends chromium >/dev/null ||
    echo "Chromium could not be installed: tests/ui will be skipped"
