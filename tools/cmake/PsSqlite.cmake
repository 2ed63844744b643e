# SQLite from its source (node/d1/sqlite/fetch), with two counters more (node/d1/sqlite/count-rows) and workerd's build
# options: ps_sqlite. Only node/d1 links it.
set(PS_SQLITE_DIR "${CMAKE_SOURCE_DIR}/build/sqlite" CACHE PATH "Where node/d1/sqlite/fetch put SQLite's source")
if(NOT EXISTS "${PS_SQLITE_DIR}/sqlite3.c")
  message(FATAL_ERROR "SQLite's source is not in ${PS_SQLITE_DIR}. Run tools/install-deps")
endif()

set(made "${CMAKE_BINARY_DIR}/sqlite/sqlite3.c")
set(script "${CMAKE_SOURCE_DIR}/node/d1/sqlite/count-rows")
file(MAKE_DIRECTORY "${CMAKE_BINARY_DIR}/sqlite")
add_custom_command(OUTPUT "${made}" COMMAND perl "${script}" "${PS_SQLITE_DIR}/sqlite3.c" "${made}"
                   DEPENDS "${script}" "${PS_SQLITE_DIR}/sqlite3.c" VERBATIM)

add_library(ps_sqlite STATIC "${made}")
target_include_directories(ps_sqlite SYSTEM PUBLIC "${PS_SQLITE_DIR}")
# As workerd builds it (build/BUILD.sqlite3 there).
target_compile_definitions(ps_sqlite PRIVATE
  SQLITE_MAX_ALLOCATION_SIZE=16777216 SQLITE_PRINTF_PRECISION_LIMIT=100000 SQLITE_DEFAULT_FOREIGN_KEYS=1
  SQLITE_ENABLE_FTS5 SQLITE_ENABLE_MATH_FUNCTIONS SQLITE_ENABLE_NORMALIZE SQLITE_ENABLE_RTREE
  SQLITE_ENABLE_UPDATE_DELETE_LIMIT SQLITE_OMIT_SHARED_CACHE)
# Ours: one thread a connection, no files but the database itself, and local time is UTC.
target_compile_definitions(ps_sqlite PRIVATE
  SQLITE_THREADSAFE=2 SQLITE_TEMP_STORE=3 SQLITE_DEFAULT_MEMSTATUS=0 SQLITE_MAX_MMAP_SIZE=0
  HAVE_LOCALTIME_R=1 localtime_r=gmtime_r)
target_compile_options(ps_sqlite PRIVATE -w)
if(PS_COVERAGE)
  target_compile_options(ps_sqlite PRIVATE -fno-profile-arcs -fno-test-coverage)
endif()
target_link_libraries(ps_sqlite PUBLIC Threads::Threads m ${CMAKE_DL_LIBS})
