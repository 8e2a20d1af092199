# docker build -t avatar_ros . && docker run --rm --net=host --ipc=host avatar_ros
ARG ROS_DISTRO=kilted
FROM ros:${ROS_DISTRO}
SHELL ["/bin/bash", "-o", "pipefail", "-c"]
WORKDIR /ws
COPY . src/avatar_ros
# The distribution's numpy, OpenCV and cv_bridge fit each other; pip adds the rest beside them.
# hadolint ignore=DL3008
RUN apt-get update && rosdep update --rosdistro "$ROS_DISTRO" \
    && rosdep install --from-paths src --ignore-src -y \
    && apt-get install -y --no-install-recommends python3-venv \
    && rm -rf /var/lib/apt/lists/*
RUN python3 -m venv --system-site-packages venv && touch venv/COLCON_IGNORE \
    && venv/bin/pip install --no-cache-dir -r src/avatar_ros/requirements.txt
RUN . venv/bin/activate && . "/opt/ros/$ROS_DISTRO/setup.bash" && python3 -m colcon build \
    && . install/setup.bash && ros2 run avatar_ros avatar_ros fetch
CMD ["/bin/bash", "-c", ". venv/bin/activate && . install/setup.bash && exec ros2 launch avatar_ros telepresence.launch.py"]
