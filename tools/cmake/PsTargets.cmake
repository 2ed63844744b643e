# ps_add_library(NAME [DEPS own...] [EXTERNAL libs...])
#   A static library of every *.c file in the current source folder and the folders in it. DEPS are the libraries of ours
#   it may use (and so the folders it may include, which tools/lint checks); EXTERNAL ones stay
#   private, so that no header of theirs leaks upwards.
function(ps_add_library name)
  cmake_parse_arguments(ARG "" "SUBDIR" "DEPS;EXTERNAL" ${ARGN})
  file(GLOB sources CONFIGURE_DEPENDS "${CMAKE_CURRENT_SOURCE_DIR}/${ARG_SUBDIR}/*.c"
                                      "${CMAKE_CURRENT_SOURCE_DIR}/${ARG_SUBDIR}/*/*.c")
  if(NOT sources)
    add_library(${name} INTERFACE)
    target_link_libraries(${name} INTERFACE ${ARG_DEPS})
    return()
  endif()
  add_library(${name} STATIC ${sources})
  target_link_libraries(${name} PUBLIC ${ARG_DEPS} PRIVATE ps_flags ${ARG_EXTERNAL})
endfunction()

# ps_add_test(NAME LABEL label [DEPS own...] [EXTERNAL libs...])  for tests/<folder>/NAME.c
function(ps_add_test name)
  cmake_parse_arguments(ARG "" "LABEL;TIMEOUT" "DEPS;EXTERNAL" ${ARGN})
  if(NOT ARG_TIMEOUT)
    set(ARG_TIMEOUT 120)
  endif()
  add_executable(${name} "${CMAKE_CURRENT_SOURCE_DIR}/${name}.c")
  target_link_libraries(${name} PRIVATE ps_flags ${ARG_DEPS} ${ARG_EXTERNAL} PkgConfig::CMOCKA)
  target_compile_definitions(${name} PRIVATE PS_SOURCE_DIR="${CMAKE_SOURCE_DIR}"
                                             PS_BINARY_DIR="${CMAKE_BINARY_DIR}")
  add_test(NAME ${name} COMMAND ${name})
  set_tests_properties(${name} PROPERTIES LABELS "${ARG_LABEL}" TIMEOUT ${ARG_TIMEOUT})
endfunction()
