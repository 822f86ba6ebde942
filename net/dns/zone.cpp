#include "net/dns/zone.hpp"

#include <algorithm>

#include "base/strings.hpp"

namespace compose::net::dns {

namespace {
std::string canonical(std::string_view name) {
  if (name.ends_with('.')) name.remove_suffix(1);
  return to_lower(name);
}
}  // namespace

Zone::Zone(std::string name, std::vector<Prefix> subnets) : name_{canonical(name)}, subnets_{std::move(subnets)} {}

void Zone::refresh(Named& named) {
  named.answer.clear();
  std::copy_if(named.all.begin(), named.all.end(), std::back_inserter(named.answer),
               [](const Member* member) { return member->ready; });
  if (named.answer.empty()) named.answer = named.all;
}

void Zone::link(const Member& member) {
  for (const std::string& name : member.names) {
    Named& named = index_[name];
    const auto place = std::lower_bound(named.all.begin(), named.all.end(), &member,
                                        [](const Member* a, const Member* b) { return a->id < b->id; });
    if (place == named.all.end() || *place != &member) named.all.insert(place, &member);
    refresh(named);
  }
  for (const IpAddress& address : member.addresses) reverse_[address] = &member;
}

void Zone::unlink(const Member& member) {
  for (const std::string& name : member.names) {
    const auto found = index_.find(name);
    if (found == index_.end()) continue;
    std::erase(found->second.all, &member);
    if (found->second.all.empty()) {
      index_.erase(found);
    } else {
      refresh(found->second);
    }
  }
  for (const IpAddress& address : member.addresses)
    if (const auto found = reverse_.find(address); found != reverse_.end() && found->second == &member)
      reverse_.erase(found);
}

void Zone::put(Member member) {
  for (std::string& name : member.names) name = canonical(name);
  std::erase(member.names, std::string{});
  remove(member.id);
  const std::string id = member.id;
  link(members_.insert_or_assign(id, std::move(member)).first->second);
}

void Zone::remove(const std::string& id) {
  const auto found = members_.find(id);
  if (found == members_.end()) return;
  unlink(found->second);
  members_.erase(found);
}

void Zone::set_ready(const std::string& id, bool ready) {
  const auto found = members_.find(id);
  if (found == members_.end() || found->second.ready == ready) return;
  found->second.ready = ready;
  for (const std::string& name : found->second.names)
    if (const auto named = index_.find(name); named != index_.end()) refresh(named->second);
}

const std::vector<const Member*>* Zone::find(std::string_view name) const {
  if (const auto found = index_.find(name); found != index_.end()) return &found->second.answer;
  if (name.size() > name_.size() + 1 && name.ends_with(name_) && name[name.size() - name_.size() - 1] == '.') {
    const auto found = index_.find(name.substr(0, name.size() - name_.size() - 1));
    if (found != index_.end()) return &found->second.answer;
  }
  return nullptr;
}

const Member* Zone::by_address(const IpAddress& address) const {
  const auto found = reverse_.find(address);
  return found == reverse_.end() ? nullptr : found->second;
}

bool Zone::owns(const IpAddress& address) const {
  return std::any_of(subnets_.begin(), subnets_.end(), [&](const Prefix& subnet) { return subnet.contains(address); });
}

}  // namespace compose::net::dns
