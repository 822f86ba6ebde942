#include "net/dns/zone.hpp"

#include <algorithm>

#include "base/strings.hpp"

namespace compose::net::dns {

void Zone::put(Member member) {
  remove(member.id);
  const std::string id = member.id;
  for (auto& name : member.names) name = to_lower(name);
  const Member& stored = members_.insert_or_assign(id, std::move(member)).first->second;
  const std::string suffix = "." + to_lower(name_);
  for (const auto& name : stored.names) {
    for (const std::string& known : {name, name + suffix}) {
      auto& list = index_[known];
      if (std::find(list.begin(), list.end(), &stored) == list.end()) list.push_back(&stored);
    }
  }
  for (const auto& address : stored.addresses) reverse_[address] = &stored;
}

void Zone::unlink(const Member& member) {
  const std::string suffix = "." + to_lower(name_);
  for (const auto& name : member.names) {
    for (const std::string& known : {name, name + suffix}) {
      const auto entry = index_.find(known);
      if (entry == index_.end()) continue;
      std::erase(entry->second, &member);
      if (entry->second.empty()) index_.erase(entry);
    }
  }
  for (const auto& address : member.addresses) {
    const auto entry = reverse_.find(address);
    if (entry != reverse_.end() && entry->second == &member) reverse_.erase(entry);
  }
}

void Zone::remove(const std::string& id) {
  const auto found = members_.find(id);
  if (found == members_.end()) return;
  unlink(found->second);
  members_.erase(found);
}

const std::vector<const Member*>* Zone::find(std::string_view name) const {
  const auto found = index_.find(std::string{name});
  return found == index_.end() ? nullptr : &found->second;
}

const Member* Zone::by_address(const IpAddress& address) const {
  const auto found = reverse_.find(address);
  return found == reverse_.end() ? nullptr : found->second;
}

bool Zone::owns(const IpAddress& address) const {
  return std::any_of(subnets_.begin(), subnets_.end(), [&](const Prefix& subnet) { return subnet.contains(address); });
}

}  // namespace compose::net::dns
