// One container takes the place of another while both run, or ends while others go on; nobody is to notice.
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
// A replica that is to stop answers within this part of its grace who waits for an answer. It is not all of it because
// connections that are kept for later look the same, and each stop would wait for them.
constexpr int kAnswerShare = 2;

bool full_queue(const state::ContainerRecord& record) {
  const auto counters = sys::read_file(fmt::format("/proc/{}/net/netstat", record.pid));
  return counters && has_turned_away(*counters);
}

Served served_by(const state::ContainerRecord& record) {
  Served sum;
  for (const char* table : {"tcp", "tcp6"}) {
    const auto text = sys::read_file(fmt::format("/proc/{}/net/{}", record.pid, table));
    if (!text) continue;
    const Served served = served_connections(*text);
    sum.open += served.open;
    sum.waiting += served.waiting;
  }
  return sum;
}
}  // namespace

/// From now on: so long it is looked at in any case, so long for connections that are open, so long for those that the
/// program has not even accepted.
struct Containers::DrainTimes {
  Duration least{}, open{}, waiting{};
};

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
  if (record.networks.empty() || !container.up() || limit <= Duration::zero()) return done({});
  const Duration least = std::min(limit, full_queue(record) ? kAskedAgain : kLatecomers);
  await_connections(container, {least, limit, limit}, std::move(done));
}

/// Behind a virtual address one packet leads to a replica and the next to another one: out of the map, nobody new
/// comes, and who is there is answered before its stop signal makes it close its doors.
void Containers::quit(Container& container, Duration grace) {
  const state::ContainerRecord& record = container.record;
  const bool balanced = record.virtual_address && !record.networks.empty() && record.role == state::Role::plain;
  if (!balanced || container.kill_timer) return signal_stop(container, grace);
  container.drain_timer.reset();
  if (record.paused || grace <= Duration::zero()) return signal_stop(container, grace);
  update_names(container);
  const Duration least = std::min(grace, full_queue(record) ? kAskedAgain : kLookAgain);
  await_connections(container, {least, grace / kAnswerShare, grace}, [this, grace, id = record.id](const auto&) {
    Container* quitting = find(id);
    if (quitting != nullptr && quitting->up()) signal_stop(*quitting, grace);
  });
}

void Containers::await_connections(Container& container, const DrainTimes& times, Done done) {
  const auto now = std::chrono::steady_clock::now();
  // It calls itself: the function lives as long as its timer.
  const auto look = std::make_shared<std::function<void()>>();
  *look = [this, id = container.record.id, now, times, done = std::move(done), weak = std::weak_ptr{look}] {
    Container* draining = find(id);
    if (draining == nullptr || !draining->up()) return done({});
    const Served served = served_by(draining->record);
    const auto passed = std::chrono::steady_clock::now() - now;
    const bool waits = passed < times.least || (served.open > 0 && passed < times.open) ||
                       (served.waiting > 0 && passed < times.waiting);
    if (!waits) {
      context_.log.write("container {}: drained, {} connections left", draining->record.name, served.open);
      draining->drain_timer.reset();
      return done({});
    }
    draining->drain_timer = context_.loop.call_after(kLookAgain, [next = weak.lock()] { (*next)(); });
  };
  (*look)();
}

}  // namespace compose::supervisor
