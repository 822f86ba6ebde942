// One container takes the place of another while both run.
#include <algorithm>

#include "base/ids.hpp"
#include "supervisor/connections.hpp"
#include "supervisor/containers.hpp"
#include "sys/file.hpp"

namespace compose::supervisor {

using state::Role;

namespace {
// The kernel tells nobody outside the container's namespace that a connection has ended, so it is looked at.
constexpr Duration kLookAgain = std::chrono::milliseconds{50};
// Who has just asked for the name connects within this time.
constexpr Duration kLatecomers = std::chrono::milliseconds{500};
// Whom a full queue has turned away asks again after a second (RFC 6298, 2.1).
constexpr Duration kAskedAgain = std::chrono::milliseconds{1200};
}  // namespace

Result<void> Containers::hand_over(Container& incoming, Container* old) {
  state::ContainerRecord& fresh = incoming.record;
  if (!incoming.up()) return make_error(Errc::failed, "container \"{}\" does not run", fresh.name);
  // The ports first: as long as the records are not written, the old container is the one that counts.
  if (old != nullptr) {
    TRY(addresses_.hand_over(old->record, fresh));
    fresh.name = old->record.name;
  }
  const std::string own_prefix = short_id(fresh.id) + "_";
  if (fresh.name.starts_with(own_prefix)) fresh.name.erase(0, own_prefix.size());
  fresh.role = Role::plain;
  save(incoming);
  if (old == nullptr) {
    state::ContainerRecord* const records[] = {&fresh};
    TRY(addresses_.publish(records));
    save(incoming);
  } else {
    old->record.role = Role::retiring;
    old->record.name = short_id(old->record.id) + "_" + fresh.name;
    save(*old);
    update_names(*old);
  }
  update_names(incoming);
  changed(incoming);
  return {};
}

void Containers::drain(Container& container, Duration limit, Done done) {
  const state::ContainerRecord& record = container.record;
  names_.leave(record);
  const bool own_network = !record.networks.empty() && container.up();
  if (!own_network || limit <= Duration::zero()) return done({});
  const auto now = std::chrono::steady_clock::now();
  const auto latest = now + limit;
  const auto counters = sys::read_file(fmt::format("/proc/{}/net/netstat", record.pid));
  const bool full_queue = counters && has_turned_away(*counters);
  const auto earliest = now + std::min(limit, full_queue ? kAskedAgain : kLatecomers);
  // It calls itself: the function lives as long as its timer.
  const auto look = std::make_shared<std::function<void()>>();
  *look = [this, id = record.id, earliest, latest, done = std::move(done), weak = std::weak_ptr{look}] {
    Container* draining = find(id);
    if (draining == nullptr || !draining->up()) return done({});
    const auto time = std::chrono::steady_clock::now();
    const std::string tables = fmt::format("/proc/{}/net/", draining->record.pid);
    int open = 0;
    for (const char* table : {"tcp", "tcp6"}) {
      if (const auto text = sys::read_file(tables + table)) open += served_connections(*text);
    }
    if (time >= latest || (open == 0 && time >= earliest)) {
      context_.log.write("container {}: drained, {} connections left", draining->record.name, open);
      draining->drain_timer.reset();
      return done({});
    }
    draining->drain_timer = context_.loop.call_after(kLookAgain, [next = weak.lock()] { (*next)(); });
  };
  (*look)();
}

}  // namespace compose::supervisor
