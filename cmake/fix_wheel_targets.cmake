# The ROS wheels on PyPI export include directories of the machine that built them, and CMake
# refuses a target whose include directory does not exist. Drop those. A no-op on other ROS 2.
get_property(_imported DIRECTORY PROPERTY IMPORTED_TARGETS)  # empty before CMake 3.21
foreach(_target IN LISTS _imported)
  if(NOT _target MATCHES "__rosidl_generator_py$")
    continue()
  endif()
  get_target_property(_dirs ${_target} INTERFACE_INCLUDE_DIRECTORIES)
  if(NOT _dirs)
    continue()
  endif()
  set(_existing)
  foreach(_dir IN LISTS _dirs)
    if(EXISTS "${_dir}" OR _dir MATCHES "^\\$<")
      list(APPEND _existing "${_dir}")
    endif()
  endforeach()
  set_target_properties(${_target} PROPERTIES INTERFACE_INCLUDE_DIRECTORIES "${_existing}")
endforeach()
