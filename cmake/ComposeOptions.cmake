# Compiler settings and the few functions every CMakeLists.txt of the project uses.

option(COMPOSE_WERROR "Treat warnings in the project's own targets as errors" ON)
set(COMPOSE_SANITIZE "" CACHE STRING "Sanitizers for every target, e.g. address,undefined")

add_library(compose_settings INTERFACE)
target_compile_features(compose_settings INTERFACE cxx_std_20)
target_include_directories(compose_settings INTERFACE ${CMAKE_SOURCE_DIR} ${CMAKE_SOURCE_DIR}/src)
target_compile_options(compose_settings INTERFACE
  -Wall -Wextra -Wshadow -Wconversion -Wnon-virtual-dtor
  $<$<BOOL:${COMPOSE_WERROR}>:-Werror>)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 13)
  # With optimisation g++ 12 warns of its own library's strings and vectors (GCC bugs 105329, 105562, 105651); the
  # other presets and clang keep these warnings.
  target_compile_options(compose_settings INTERFACE
    $<$<CONFIG:Release>:-Wno-maybe-uninitialized> $<$<CONFIG:Release>:-Wno-restrict>
    $<$<CONFIG:Release>:-Wno-array-bounds> $<$<CONFIG:Release>:-Wno-stringop-overflow>
    $<$<CONFIG:Release>:-Wno-stringop-overread> $<$<CONFIG:Release>:-Wno-free-nonheap-object>
    $<$<CONFIG:Release>:-Wno-dangling-pointer>)
endif()
if(CMAKE_CXX_COMPILER_ID STREQUAL "Clang")
  # The stable sorts of g++ 12's library use what it calls deprecated itself, and clang reports it to who sorts.
  target_compile_options(compose_settings INTERFACE -Wno-deprecated-declarations)
endif()
if(COMPOSE_SANITIZE)
  set(sanitize $<$<NOT:$<BOOL:$<TARGET_PROPERTY:COMPOSE_INSIDE>>>:-fsanitize=${COMPOSE_SANITIZE}>)
  target_compile_options(compose_settings INTERFACE ${sanitize} -fno-omit-frame-pointer)
  target_link_options(compose_settings INTERFACE ${sanitize})
else()
  target_compile_options(compose_settings INTERFACE
    $<$<CONFIG:Release>:-fstack-protector-strong> $<$<CONFIG:Release>:-D_FORTIFY_SOURCE=2>)
  target_compile_definitions(compose_settings INTERFACE $<$<CONFIG:Release>:_GLIBCXX_ASSERTIONS>)
endif()
if(COMPOSE_FUZZ)
  # All that is reached reports its branches; without that libFuzzer throws bytes without learning from them.
  target_compile_options(compose_settings INTERFACE -fsanitize=fuzzer-no-link)
endif()
find_program(COMPOSE_MOLD mold)
if(COMPOSE_MOLD)
  target_link_options(compose_settings INTERFACE -fuse-ld=mold)
endif()
find_program(COMPOSE_CCACHE ccache)
if(COMPOSE_CCACHE AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
  set(CMAKE_CXX_COMPILER_LAUNCHER ${COMPOSE_CCACHE})
  if(CMAKE_BUILD_TYPE STREQUAL "Release")
    # Without debug information nothing in an object depends on where the checkout is: clones share the cache.
    set(CMAKE_CXX_COMPILER_LAUNCHER
      ${CMAKE_COMMAND} -E env CCACHE_BASEDIR=${CMAKE_SOURCE_DIR} CCACHE_NOHASHDIR=1 ${COMPOSE_CCACHE})
  endif()
endif()

# compose_library(NAME SOURCES... [LINK libs...]): a static library of the project.
function(compose_library name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "" "LINK")
  add_library(${name} STATIC ${arg_UNPARSED_ARGUMENTS})
  target_link_libraries(${name} PUBLIC compose_settings ${arg_LINK})
endfunction()

# compose_static_program(NAME SOURCES... [LINK libs...] [INSIDE]): a helper program without shared libraries
# (a sanitizer build cannot be static, so there it is an ordinary program; but one that runs INSIDE containers, which
# have no libraries of ours, goes without the sanitizers).
function(compose_static_program name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "INSIDE" "" "LINK")
  add_executable(${name} ${arg_UNPARSED_ARGUMENTS})
  target_link_libraries(${name} PRIVATE compose_settings ${arg_LINK})
  set_target_properties(${name} PROPERTIES COMPOSE_INSIDE ${arg_INSIDE})
  if(arg_INSIDE OR NOT COMPOSE_SANITIZE)
    target_link_options(${name} PRIVATE -static)
  endif()
endfunction()

# compose_test(NAME SOURCES... [LINK libs...] [LABELS l...]): a GoogleTest program, one ctest entry.
# Labels: unit (needs nothing), kernel (root and namespaces; skips itself with the reason), e2e.
function(compose_test name)
  if(NOT BUILD_TESTING)
    return()
  endif()
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "TIMEOUT" "LINK;LABELS")
  add_executable(${name} ${arg_UNPARSED_ARGUMENTS})
  target_link_libraries(${name} PRIVATE compose_settings ${arg_LINK} GTest::gmock GTest::gtest_main)
  # The tests' own code need not be fast, only quickly compiled; what they test is optimised as it is installed.
  target_compile_options(${name} PRIVATE $<$<CONFIG:Release>:-O0> $<$<CONFIG:Release>:-U_FORTIFY_SOURCE>)
  add_test(NAME ${name} COMMAND ${name})
  if(NOT arg_LABELS)
    set(arg_LABELS unit)
  endif()
  if(NOT arg_TIMEOUT)
    set(arg_TIMEOUT 120)
  endif()
  set_tests_properties(${name} PROPERTIES LABELS "${arg_LABELS}" TIMEOUT ${arg_TIMEOUT})
endfunction()
