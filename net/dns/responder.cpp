#include "net/dns/responder.hpp"

#include <algorithm>

#include "base/strings.hpp"

namespace compose::net::dns {

namespace {

constexpr std::uint16_t kClassIn = 1, kClassAny = 255;

bool is(const Query& query, Type type) { return query.type == static_cast<std::uint16_t>(type); }

std::size_t reply_limit(const Query& query, Transport transport) {
  if (transport == Transport::tcp) return kLargestMessage;
  return std::min<std::size_t>(query.udp_size, kUdpLimit);
}

/// What a local name leads to: members of a zone, or plain addresses.
struct Found {
  const std::vector<const Member*>* members = nullptr;
  const std::vector<IpAddress>* addresses = nullptr;
  explicit operator bool() const { return members != nullptr || addresses != nullptr; }
};

Found find_name(std::string_view name, const ZoneView& view) {
  if (const auto own = view.names.find(name); own != view.names.end()) return {nullptr, &own->second};
  for (const auto& zone : view.zones)
    if (const auto* members = zone->find(name)) return {members, nullptr};
  return {};
}

/// The name without a search domain at its end, or "" when there is none.
std::string_view without_search(std::string_view name, const ZoneView& view) {
  for (const std::string& domain : view.search)
    if (name.size() > domain.size() + 1 && name.ends_with(domain) && name[name.size() - domain.size() - 1] == '.')
      return name.substr(0, name.size() - domain.size() - 1);
  return {};
}

Found find_with_search(std::string_view name, const ZoneView& view) {
  if (const Found found = find_name(name, view)) return found;
  const std::string_view shorter = without_search(name, view);
  return shorter.empty() ? Found{} : find_name(shorter, view);
}

bool wants(const Query& query, const IpAddress& address) {
  return is(query, Type::any) || is(query, address.is_v4() ? Type::a : Type::aaaa);
}

void write_addresses(ReplyWriter& writer, const Query& query, const Found& found, std::uint32_t rotation) {
  if (found.addresses != nullptr) {
    const std::size_t count = found.addresses->size();
    for (std::size_t i = 0; i < count; ++i) {
      const IpAddress& address = (*found.addresses)[(i + rotation) % count];
      if (wants(query, address)) writer.address(address, kLocalTtl);
    }
    return;
  }
  const std::size_t count = found.members->size();
  for (std::size_t i = 0; i < count; ++i)
    for (const IpAddress& address : (*found.members)[(i + rotation) % count]->addresses)
      if (wants(query, address)) writer.address(address, kLocalTtl);
}

class Answer {
 public:
  Answer(Bytes message, const Query& query, const ZoneView& view, Transport transport, std::uint32_t rotation,
         std::span<std::uint8_t> out)
      : message_{message},
        query_{query},
        view_{view},
        rotation_{rotation},
        out_{out},
        limit_{reply_limit(query, transport)} {}

  Responder::Outcome run() {
    if (query_.edns_version > 0) return empty(Rcode::noerror);  // the writer makes it BADVERS
    if (query_.klass != kClassIn && query_.klass != kClassAny) return empty(Rcode::refused);
    if (!query_.plain) return outside();
    const std::string_view name = query_.name();
    if (name == "localhost" || name.ends_with(".localhost")) return localhost();
    if (const auto address = reverse_address(name)) return reverse(*address);
    if (name.starts_with('_')) {
      if (const auto done = service(name); done.action == Action::answer) return done;
    }
    if (const Found found = find_with_search(name, view_)) return addresses(found);
    if (of_our_networks(name) || view_.reserved.contains(name) || view_.reserved.contains(without_search(name, view_)))
      return empty(Rcode::nxdomain);
    return outside();
  }

 private:
  ReplyWriter writer() { return {message_, query_, out_, limit_}; }

  /// Is it a name below one of the networks' own?
  bool of_our_networks(std::string_view name) const {
    return std::any_of(view_.zones.begin(), view_.zones.end(), [&](const auto& zone) {
      const std::string& domain = zone->name();
      return name.size() > domain.size() && name.ends_with(domain) && name[name.size() - domain.size() - 1] == '.';
    });
  }

  Responder::Outcome empty(Rcode rcode) { return {Action::answer, writer().finish(rcode)}; }

  Responder::Outcome outside() {
    if (view_.forward_outside) return {Action::forward, 0};
    return empty(Rcode::nxdomain);
  }

  Responder::Outcome addresses(const Found& found) {
    ReplyWriter reply = writer();
    write_addresses(reply, query_, found, rotation_);
    return {Action::answer, reply.finish(Rcode::noerror)};
  }

  Responder::Outcome localhost() {
    const std::uint8_t six[16] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1};
    const std::vector<IpAddress> loopback{IpAddress::v4(0x7f000001), IpAddress::from_bytes(IpAddress::Family::v6, six)};
    return addresses({nullptr, &loopback});
  }

  Responder::Outcome reverse(const IpAddress& address) {
    bool ours = false;
    for (const auto& zone : view_.zones) {
      ours = ours || zone->owns(address);
      const Member* member = zone->by_address(address);
      if (member == nullptr) continue;
      ReplyWriter reply = writer();
      if ((is(query_, Type::ptr) || is(query_, Type::any)) && !member->names.empty())
        reply.ptr(member->names.front() + "." + zone->name(), kLocalTtl);
      return {Action::answer, reply.finish(Rcode::noerror)};
    }
    return ours ? empty(Rcode::nxdomain) : outside();
  }

  /// _SERVICE._PROTOCOL.NAME for a name of ours; anything but an answer: not such a name.
  Responder::Outcome service(std::string_view name) {
    const auto first = name.find('.');
    if (first == std::string_view::npos || first + 1 >= name.size() || name[first + 1] != '_') return {};
    const auto second = name.find('.', first + 1);
    if (second == std::string_view::npos) return {};
    const std::string_view wanted = name.substr(1, first - 1), protocol = name.substr(first + 2, second - first - 2);
    const Found found = find_with_search(name.substr(second + 1), view_);
    if (!found) return {};
    if (found.members == nullptr) return empty(Rcode::nxdomain);
    ReplyWriter reply = writer();
    bool exists = false;
    for (std::size_t i = 0; i < found.members->size(); ++i) {
      const Member& member = *(*found.members)[(i + rotation_) % found.members->size()];
      for (const Member::Port& port : member.ports) {
        if (port.service != wanted || port.protocol != protocol || member.names.empty()) continue;
        exists = true;
        if (is(query_, Type::srv) || is(query_, Type::any)) reply.srv(port.port, member.names.front(), kLocalTtl);
      }
    }
    if (!exists) return empty(Rcode::nxdomain);
    for (const Member* member : *found.members)
      for (const IpAddress& address : member->addresses)
        reply.address_of(member->names.front(), address, kLocalTtl, ReplyWriter::Section::additional);
    return {Action::answer, reply.finish(Rcode::noerror)};
  }

  Bytes message_;
  const Query& query_;
  const ZoneView& view_;
  std::uint32_t rotation_;
  std::span<std::uint8_t> out_;
  std::size_t limit_;
};

}  // namespace

Responder::Outcome Responder::respond(Bytes message, const ZoneView& view, Transport transport, std::uint32_t rotation,
                                      std::span<std::uint8_t> out, Query& query) {
  switch (parse_query(message, query)) {
    case Parsed::drop:
      return {};
    case Parsed::formerr:
      query.question_end = kHeaderSize;  // it cannot be trusted, so it is not sent back
      query.edns = false;
      return {Action::answer, failure(message, query, Rcode::formerr, out)};
    case Parsed::notimp:
      return {Action::answer, failure(message, query, Rcode::notimp, out)};
    case Parsed::ok:
      break;
  }
  return Answer{message, query, view, transport, rotation, out}.run();
}

std::size_t Responder::failure(Bytes message, const Query& query, Rcode rcode, std::span<std::uint8_t> out) {
  return ReplyWriter{message, query, out, kPlainUdpLimit}.finish(rcode);
}

Responder::Decision Responder::decide(Bytes message, const ZoneView& view, Transport transport,
                                      std::uint32_t rotation) {
  Decision decision;
  decision.bytes.resize(transport == Transport::udp ? kUdpLimit : kLargestMessage);
  Query query;
  const Outcome outcome = respond(message, view, transport, rotation, decision.bytes, query);
  decision.action = outcome.action;
  decision.bytes.resize(outcome.action == Action::answer ? outcome.size : 0);
  return decision;
}

}  // namespace compose::net::dns
