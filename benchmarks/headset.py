# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0
"""An emulated headset for headless Chromium: IWER, from npm, kept in the user's cache."""

import os
import shutil
import subprocess
from pathlib import Path

_IWER = 'iwer@2.5.0'
_START = """
const device = new IWER.XRDevice(IWER.metaQuest3);
device.installRuntime({ forceInstall: true });
device.stereoEnabled = true;
device.position.set(0, 1.5, 0);
window.headset = device;
"""


def headset_script() -> str:
    """What a page must run first to have a Quest 3; `window.headset` moves it.

    :raises OSError: if npm is missing or cannot fetch IWER.
    """
    base = Path(os.environ.get('AVATAR_ROS_CACHE', Path.home() / '.cache' / 'avatar_ros'))
    folder = base / 'iwer'
    script = folder / 'node_modules/iwer/build/iwer.min.js'
    if not script.exists():
        npm = shutil.which('npm')
        if npm is None:
            raise OSError('npm is not installed, which would fetch IWER')
        command = [npm, 'install', '--no-audit', '--no-fund', '--prefix', str(folder), _IWER]
        if subprocess.run(command, capture_output=True, timeout=120).returncode:
            raise OSError(f'npm could not install {_IWER}')
    return script.read_text() + _START
