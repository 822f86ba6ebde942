#include "net/dns/responder.hpp"

#include <algorithm>
#include <optional>
#include <string>
#include <string_view>

#include "base/strings.hpp"
#include "net/dns/message.hpp"

namespace compose::net::dns {
namespace {

/// What a view knows of a name.
struct Found {
  std::vector<const Member*> members;
  const Zone* zone = nullptr;
  const std::vector<IpAddress>* fixed = nullptr;  ///< names for this container alone
};

/// Leaves out members that are not ready, unless none is.
std::vector<const Member*> available(const std::vector<const Member*>& members) {
  std::vector<const Member*> ready;
  std::copy_if(members.begin(), members.end(), std::back_inserter(ready), [](const Member* m) { return m->ready; });
  return ready.empty() ? members : ready;
}

std::optional<Found> find_exact(const ZoneView& view, std::string_view name) {
  if (const auto fixed = view.names.find(std::string{name}); fixed != view.names.end()) {
    return Found{{}, nullptr, &fixed->second};
  }
  for (const auto& zone : view.zones) {
    if (const auto* members = zone->find(name)) return Found{available(*members), zone.get(), nullptr};
  }
  return std::nullopt;
}

/// The name without a search domain at its end, or nothing when there is none.
std::optional<std::string_view> without_domain(std::string_view name, const std::string& search) {
  const std::string domain = to_lower(search);
  if (name.size() <= domain.size() + 1 || !name.ends_with(domain)) return std::nullopt;
  const std::size_t dot = name.size() - domain.size() - 1;
  if (name[dot] != '.') return std::nullopt;
  return name.substr(0, dot);
}

/// A name of this project that nobody has at the moment: the outside is not to hear of it.
bool is_reserved(const ZoneView& view, std::string_view name) {
  const auto known = [&](std::string_view plain) {
    return view.reserved != nullptr && view.reserved->contains(std::string{plain});
  };
  if (known(name)) return true;
  // A network called "lan" must not hide the site's own domain; no host name has an underscore.
  for (const auto& zone : view.zones)
    if (zone->name().find('_') != std::string::npos && without_domain(name, zone->name())) return true;
  for (const auto& search : view.search)
    if (const auto plain = without_domain(name, search); plain && known(*plain)) return true;
  return false;
}

std::optional<Found> find_name(const ZoneView& view, std::string_view name) {
  if (auto found = find_exact(view, name)) return found;
  for (const auto& search : view.search) {
    const auto plain = without_domain(name, search);
    if (!plain) continue;
    if (auto found = find_exact(view, *plain)) return found;
  }
  return std::nullopt;
}

std::vector<IpAddress> addresses_of(const Found& found, std::uint16_t type, std::uint32_t rotation) {
  std::vector<IpAddress> all;
  if (found.fixed != nullptr) all = *found.fixed;
  for (const Member* member : found.members) all.insert(all.end(), member->addresses.begin(), member->addresses.end());
  std::erase_if(all, [&](const IpAddress& address) {
    return (type == kTypeA && !address.is_v4()) || (type == kTypeAaaa && !address.is_v6());
  });
  if (!all.empty()) std::rotate(all.begin(), all.begin() + rotation % all.size(), all.end());
  return all;
}

/// The address of a name below in-addr.arpa or ip6.arpa.
std::optional<IpAddress> reverse_address(std::string_view name) {
  const auto parts = split(name, '.');
  if (name.ends_with(".in-addr.arpa") && parts.size() == 6) {
    auto address = IpAddress::parse(fmt::format("{}.{}.{}.{}", parts[3], parts[2], parts[1], parts[0]));
    return address ? std::optional{*address} : std::nullopt;
  }
  if (name.ends_with(".ip6.arpa") && parts.size() == 34) {
    std::string text;
    for (std::size_t i = 32; i-- > 0;) {
      if (parts[i].size() != 1) return std::nullopt;
      text += parts[i];
      if (i % 4 == 0 && i != 0) text += ':';
    }
    auto address = IpAddress::parse(text);
    return address ? std::optional{*address} : std::nullopt;
  }
  return std::nullopt;
}

/// _http._tcp.NAME: service, protocol and the name behind them.
struct ServiceName {
  std::string_view service, protocol, host;
};
std::optional<ServiceName> service_name(std::string_view name) {
  if (!name.starts_with('_')) return std::nullopt;
  const auto first = name.find("._");
  if (first == std::string_view::npos) return std::nullopt;
  const auto second = name.find('.', first + 2);
  if (second == std::string_view::npos) return std::nullopt;
  return ServiceName{name.substr(1, first - 1), name.substr(first + 2, second - first - 2), name.substr(second + 1)};
}

/// The name a member is told apart by: its first, within its network.
std::string full_name(const Member& member, const Zone& zone) {
  return (member.names.empty() ? member.id.substr(0, 12) : member.names.front()) + "." + to_lower(zone.name());
}

/// One question on its way to an answer.
class Question {
 public:
  Question(ByteSpan message, const Query& query, const ZoneView& view, Transport transport, std::uint32_t rotation)
      : message_{message}, query_{query}, view_{view}, rotation_{rotation} {
    limit_ = transport == Transport::tcp ? kLargestMessage : std::min(query.udp_size, kLargestUdpReply);
  }

  Decision decide() const {
    if (query_.opcode != 0) return failure(kNotImplemented);
    if (query_.qclass != kClassIn && query_.qclass != kClassAny) return failure(kRefused);
    if (const auto address = reverse_address(query_.name)) return by_address(*address);
    if (const auto found = find_name(view_, query_.name)) return by_name(*found);
    if (const auto service = service_name(query_.name)) {
      if (const auto found = find_name(view_, service->host)) return by_service(*service, *found);
    }
    return elsewhere();
  }

 private:
  Decision failure(Rcode rcode) const { return answer(ReplyWriter{message_, query_, rcode, rcode == kNameError}); }
  Decision answer(ReplyWriter reply) const { return {Decision::Kind::answer, std::move(reply).finish(limit_)}; }

  Decision elsewhere() const {
    if (view_.forward_outside && !is_reserved(view_, query_.name)) return {Decision::Kind::forward, {}};
    return failure(kNameError);
  }

  /// A name we know always gets an answer of ours: without records of the type it is NODATA (RFC 2308, 2.2), never
  /// NXDOMAIN and never a question to the outside.
  Decision by_name(const Found& found) const {
    ReplyWriter reply{message_, query_, kNoError, true};
    if (query_.type == kTypeA || query_.type == kTypeAaaa || query_.type == kTypeAny) {
      for (const auto& address : addresses_of(found, query_.type, rotation_)) reply.add_address(address, kLocalTtl);
    } else if (query_.type == kTypeSrv && found.zone != nullptr) {
      add_services(reply, found, [](const Member::Port&) { return true; });
    }
    return answer(std::move(reply));
  }

  template <typename Wanted>
  void add_services(ReplyWriter& reply, const Found& found, Wanted wanted) const {
    std::vector<const Member*> named;
    for (const Member* member : found.members) {
      for (const auto& port : member->ports) {
        if (!wanted(port)) continue;
        reply.add_service(full_name(*member, *found.zone), port.port, kLocalTtl);
        named.push_back(member);
      }
    }
    named.erase(std::unique(named.begin(), named.end()), named.end());
    for (const Member* member : named) {
      for (const auto& address : member->addresses) {
        reply.add_additional_address(full_name(*member, *found.zone), address, kLocalTtl);
      }
    }
  }

  Decision by_service(const ServiceName& service, const Found& found) const {
    if (found.zone == nullptr) return failure(kNameError);
    ReplyWriter reply{message_, query_, kNoError, true};
    if (query_.type == kTypeSrv || query_.type == kTypeAny) {
      add_services(reply, found, [&](const Member::Port& port) {
        return (port.service == service.service || std::to_string(port.port) == service.service) &&
               port.protocol == service.protocol;
      });
    }
    return answer(std::move(reply));
  }

  Decision by_address(const IpAddress& address) const {
    for (const auto& zone : view_.zones) {
      const Member* member = zone->by_address(address);
      if (member == nullptr) continue;
      ReplyWriter reply{message_, query_, kNoError, true};
      if (query_.type == kTypePtr || query_.type == kTypeAny) reply.add_pointer(full_name(*member, *zone), kLocalTtl);
      return answer(std::move(reply));
    }
    const bool ours =
        std::any_of(view_.zones.begin(), view_.zones.end(), [&](const auto& zone) { return zone->owns(address); });
    return ours ? failure(kNameError) : elsewhere();
  }

  ByteSpan message_;
  const Query& query_;
  const ZoneView& view_;
  std::uint32_t rotation_;
  std::size_t limit_;
};

}  // namespace

Decision Responder::decide(std::span<const std::uint8_t> query, const ZoneView& view, Transport transport,
                           std::uint32_t rotation) {
  const ParsedQuery parsed = parse_query(query);
  if (parsed.state == ParsedQuery::State::ignore) return {};
  if (parsed.state == ParsedQuery::State::format_error) return {Decision::Kind::answer, failure(query, kFormatError)};
  return Question{query, parsed.query, view, transport, rotation}.decide();
}

std::vector<std::uint8_t> Responder::failure(std::span<const std::uint8_t> query, std::uint8_t rcode) {
  const ParsedQuery parsed = parse_query(query);
  if (parsed.state == ParsedQuery::State::ignore) return {};
  return ReplyWriter{query, parsed.query, static_cast<Rcode>(rcode), false}.finish(kPlainUdpSize);
}

}  // namespace compose::net::dns
