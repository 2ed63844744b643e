# Compiler flags live in one interface target, so that every target of ours has the same ones and
# no target of anybody else's has them.

set(CMAKE_C_STANDARD 17)
set(CMAKE_C_STANDARD_REQUIRED ON)
set(CMAKE_C_EXTENSIONS ON)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)

if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE RelWithDebInfo)
endif()

# CMake's release flags carry -DNDEBUG. PS_ASSERT does not look at it, but library headers might.
string(REPLACE "-DNDEBUG" "" CMAKE_C_FLAGS_RELWITHDEBINFO "${CMAKE_C_FLAGS_RELWITHDEBINFO}")
string(REPLACE "-DNDEBUG" "" CMAKE_C_FLAGS_RELEASE "${CMAKE_C_FLAGS_RELEASE}")

option(PS_WERROR "Treat warnings as errors" ON)
option(PS_BUILD_TESTS "Build the tests" ON)
option(PS_FUZZ "Build the libFuzzer targets (clang only)" OFF)
set(PS_SANITIZE "" CACHE STRING "Sanitizers, as for -fsanitize= (address,undefined or thread)")
option(PS_COVERAGE "Instrument for coverage" OFF)

find_program(PS_CCACHE ccache)
if(PS_CCACHE)
  set(CMAKE_C_COMPILER_LAUNCHER "${PS_CCACHE}")
endif()

add_library(ps_flags INTERFACE)
target_compile_definitions(ps_flags INTERFACE _GNU_SOURCE PS_VERSION="${PROJECT_VERSION}")
target_include_directories(ps_flags INTERFACE "${CMAKE_SOURCE_DIR}" "${CMAKE_BINARY_DIR}/generated")
# Contracted multiply-adds would make a delay's last bit depend on the machine.
target_compile_options(ps_flags INTERFACE
  -ffp-contract=off -fno-strict-aliasing -fno-omit-frame-pointer
  -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wsign-conversion -Wstrict-prototypes
  -Wmissing-prototypes -Wold-style-definition -Wvla -Wundef -Wformat=2 -Wnull-dereference
  -Wcast-align -Wwrite-strings -Wswitch-enum -Wimplicit-fallthrough -Wdouble-promotion
  )
if(CMAKE_C_COMPILER_ID STREQUAL "GNU")
  target_compile_options(ps_flags INTERFACE -Wlogical-op -Wduplicated-cond -Wduplicated-branches
                                            -Wjump-misses-init)
endif()
if(PS_WERROR)
  target_compile_options(ps_flags INTERFACE -Werror)
endif()
if(CMAKE_BUILD_TYPE STREQUAL "RelWithDebInfo" AND NOT PS_SANITIZE)
  target_compile_options(ps_flags INTERFACE -fstack-protector-strong -U_FORTIFY_SOURCE
                                            -D_FORTIFY_SOURCE=2)
  target_link_options(ps_flags INTERFACE -Wl,-z,relro,-z,now)
endif()
if(PS_SANITIZE)
  # Whole-program: the libraries built here from source (llhttp) are instrumented too.
  add_compile_options(-fsanitize=${PS_SANITIZE} -fno-sanitize-recover=all)
  add_link_options(-fsanitize=${PS_SANITIZE})
endif()
if(PS_FUZZ)
  add_compile_options(-fsanitize=fuzzer-no-link)
endif()
if(PS_COVERAGE)
  add_compile_options(--coverage -fprofile-update=atomic) # counters of two threads add up
  add_link_options(--coverage)
endif()
