#!/usr/bin/env bash
# Get a real Blender for the tests, on a Debian-like machine:
#     export TFP_FLOWS_BLENDER="$(.ci/blender.sh FOLDER)"
# With Python 3.11, FOLDER becomes a virtual environment that has bpy, and its python is printed; without, apt's
# blender is. Stdout carries that one line. Root, or sudo without a password, is needed only where apt is.
set -euo pipefail
folder=$(realpath -m "${1:?give a folder for the virtual environment}")
exec 3>&1 1>&2

apt_install() {
    local root=()
    [ "$(id -u)" -eq 0 ] || root=(sudo -n)
    "${root[@]}" apt-get update -q
    "${root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "$@"
}

make_venv() {
    # Debian keeps ensurepip in a package of its own
    python3.11 -c 'import ensurepip' || apt_install python3.11-venv
    python3.11 -m venv "$folder"
}

if ! python3.11 --version; then # a name on PATH may be a pyenv shim that leads nowhere
    command -v blender || apt_install blender
    blender --version
    command -v blender >&3
    exit
fi

"$folder/bin/python" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' || make_venv
"$folder/bin/python" -m pip install --quiet --disable-pip-version-check 'bpy==4.2.23'
if ! "$folder/bin/python" -c 'import bpy'; then
    apt_install libxrender1 libxfixes3 libxi6 libxkbcommon0 libsm6 libgl1 libxxf86vm1 libgomp1
    "$folder/bin/python" -c 'import bpy'
fi
echo "$folder/bin/python" >&3
