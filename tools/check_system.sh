#!/bin/sh
# Says which system packages are missing before pip fails with something less clear.
# Usage: check_system.sh PYTHON
set -u
python=${1:-python3}
missing=''

if ! command -v "$python" >/dev/null; then
  echo "There is no $python. Install Python 3.10 or later, or name one: make PYTHON=/path/to/python3"
  exit 1
fi
if ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 10))'; then
  echo "$("$python" --version) is too old; Python 3.10 or later is needed. make PYTHON=/path/to/python3"
  exit 1
fi
machine=$(uname -m)
if [ "$machine" != x86_64 ]; then
  echo "The ROS 2 wheels exist for x86_64 only, this is $machine. Install ROS 2 for it and build"
  echo "this package with colcon (see 'With ROS 2' in README.md)."
  exit 1
fi
"$python" -c 'import venv, ensurepip' 2>/dev/null || missing="$missing python3-venv"
command -v c++ >/dev/null && command -v cc >/dev/null || missing="$missing build-essential"
include=$("$python" -c 'import sysconfig; print(sysconfig.get_paths()["include"])')
[ -f "$include/Python.h" ] || missing="$missing python3-dev"
has_library() { ldconfig -p 2>/dev/null | grep -q "$1" || /sbin/ldconfig -p 2>/dev/null | grep -q "$1"; }
has_library 'libGL\.so\.1' || missing="$missing libgl1"
has_library 'libglib-2\.0\.so\.0' || missing="$missing libglib2.0-0"
[ -z "$missing" ] && exit 0

install="apt-get install -y$missing"
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
  echo "Installing$missing"
  apt-get update -qq && $install && exit 0
fi
echo "These system packages are missing:$missing"
echo "Install them and run make again, on Debian or Ubuntu: sudo $install"
exit 1
