# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0

"""Type aliases used everywhere."""

from typing import Any

import numpy as np
import numpy.typing as npt

#: A numpy array; its shape and unit stand in the docstring of whoever takes or gives it.
Array = npt.NDArray[Any]
FloatArray = npt.NDArray[np.float64]
Image = npt.NDArray[np.uint8]
