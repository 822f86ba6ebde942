#pragma once
// For the crash tests: every change that one of our processes makes outside itself stands between two crash points, so
// that a test can kill each process at each of them in turn (tests/e2e/test_crash.py).
//
//   COMPOSE_CRASH_LOG=FILE            each point appends a line "ROLE NUMBER NAME" to the file
//   COMPOSE_CRASH_AT=ROLE:NUMBER:FILE the process of that role kills itself with SIGKILL at its NUMBER-th point, if it
//                                     is the one that removes the file: so only the first one does
//
// ROLE is command, supervisor or monitor. Without the variables a point costs one comparison. Whoever can set the
// variables of these processes can kill them anyway.
namespace compose {

/// `name` says what is done next, or has been done: "rename record.json".
void crash_point(const char* action, const char* object = "");

}  // namespace compose
