#pragma once
namespace compose::sys {

/// False inside of a user namespace (user_namespaces(7)): its root may not do all that the machine's root may.
bool in_initial_user_namespace();

}  // namespace compose::sys
