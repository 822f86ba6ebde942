#include "supervisor/recovery.hpp"

namespace compose::supervisor {

void Recovery::changed(const Container& container) {
  if (container.record.one_off || !crashes_.recovered(member_of(container))) return;
  const auto services = policy::dependents(container.record.service, containers_.members());
  if (!services.empty()) restart_(services);
}

}  // namespace compose::supervisor
