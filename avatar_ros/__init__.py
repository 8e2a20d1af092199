# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0

"""Live Gaussian avatars for ROS 2: tracking in, rendered telepresence out."""

from pkgutil import extend_path

# The messages (avatar_ros.msg) are generated at build time. When the modules are imported
# from the source tree, find the generated ones of the installed package.
__path__ = extend_path(__path__, __name__)
__version__ = '0.1.0'
