#include "net/endpoint/nftables.hpp"

#include <arpa/inet.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>

#include <cstring>

namespace compose::net::nft {

namespace {

std::string_view type_name(Type type) {
  switch (type) {
    case Type::ipv4_addr:
      return "ipv4_addr";
    case Type::ipv6_addr:
      return "ipv6_addr";
    case Type::inet_proto:
      return "inet_proto";
    case Type::inet_service:
      return "inet_service";
    case Type::mark:
      return "mark";
    case Type::ifname:
      return "ifname";
  }
  return "?";
}

std::uint32_t type_size(Type type) {
  switch (type) {
    case Type::ipv6_addr:
    case Type::ifname:
      return 16;
    default:
      return 4;
  }
}

/// nft's number of a concatenation: six bits for each part.
std::uint32_t type_number(const std::vector<Type>& types) {
  std::uint32_t number = 0;
  for (const Type type : types) number = (number << 6) | static_cast<std::uint32_t>(type);
  return number;
}

std::uint32_t types_size(const std::vector<Type>& types) {
  // A single small type has its own size; parts of a concatenation fill whole registers.
  if (types.size() == 1 && types[0] == Type::inet_service) return 2;
  if (types.size() == 1 && types[0] == Type::inet_proto) return 1;
  std::uint32_t size = 0;
  for (const Type type : types) size += type_size(type);
  return size;
}

std::string types_text(const std::vector<Type>& types) {
  std::string text;
  for (const Type type : types) text.append(text.empty() ? "" : " . ").append(type_name(type));
  return text;
}

}  // namespace

std::string to_text(const Table& table) {
  const auto family = table.family == Family::inet ? "inet" : table.family == Family::ip ? "ip" : "ip6";
  std::string text = fmt::format("table {} {} {{\n", family, table.name);
  for (const Set& set : table.sets)
    text += fmt::format("  {} {} {{ type {}{}{}{} }}\n", set.value.empty() ? "set" : "map", set.name,
                        types_text(set.key), set.value.empty() ? "" : " : ", types_text(set.value),
                        set.lifetime_ms == 0 ? "" : fmt::format("; flags dynamic; timeout {}ms", set.lifetime_ms));
  for (const Chain& chain : table.chains) {
    text += fmt::format("  chain {} {{\n", chain.name);
    if (chain.hook)
      text +=
          fmt::format("    type {} hook {} priority {}\n", chain.hook->type, chain.hook->number, chain.hook->priority);
    for (const Rule& rule : chain.rules) text += "    " + rule.text() + "\n";
    text += "  }\n";
  }
  return text + "}\n";
}

namespace {

std::uint16_t message_type(std::uint16_t type) { return static_cast<std::uint16_t>(NFNL_SUBSYS_NFTABLES << 8 | type); }

nfgenmsg general(Family family, std::uint16_t resource = 0) {
  nfgenmsg head{};
  head.nfgen_family = static_cast<std::uint8_t>(family);
  head.version = NFNETLINK_V0;
  head.res_id = htons(resource);
  return head;
}

}  // namespace

Transaction::Transaction() {
  batch_.message(NFNL_MSG_BATCH_BEGIN, 0, "begin the nf_tables transaction");
  batch_.header(general(Family{AF_UNSPEC}, NFNL_SUBSYS_NFTABLES));
}

void Transaction::begin(std::uint16_t type, std::uint16_t flags, Family family, std::string label) {
  batch_.message(message_type(type), flags, std::move(label));
  batch_.header(general(family));
  ++changes_;
}

void Transaction::add_table(const Table& table) {
  begin(NFT_MSG_NEWTABLE, NLM_F_CREATE | NLM_F_EXCL, table.family,
        fmt::format("add the nf_tables table {}", table.name));
  batch_.text(NFTA_TABLE_NAME, table.name);
  for (const Set& set : table.sets) {
    begin(NFT_MSG_NEWSET, NLM_F_CREATE | NLM_F_EXCL, table.family, fmt::format("add the nf_tables set {}", set.name));
    batch_.text(NFTA_SET_TABLE, table.name);
    batch_.text(NFTA_SET_NAME, set.name);
    const bool dynamic = set.lifetime_ms != 0;
    batch_.be32(NFTA_SET_FLAGS, (set.value.empty() ? 0 : NFT_SET_MAP) | (dynamic ? NFT_SET_EVAL | NFT_SET_TIMEOUT : 0));
    batch_.be32(NFTA_SET_KEY_TYPE, type_number(set.key));
    batch_.be32(NFTA_SET_KEY_LEN, types_size(set.key));
    if (!set.value.empty()) {
      batch_.be32(NFTA_SET_DATA_TYPE, type_number(set.value));
      batch_.be32(NFTA_SET_DATA_LEN, types_size(set.value));
    }
    batch_.be32(NFTA_SET_ID, next_set_id_++);
    if (dynamic) {
      constexpr std::uint32_t kMostElements = 65536;
      batch_.be64(NFTA_SET_TIMEOUT, set.lifetime_ms);
      const std::size_t description = batch_.nest(NFTA_SET_DESC);
      batch_.be32(NFTA_SET_DESC_SIZE, kMostElements);
      batch_.end(description);
    }
    if (set.key == std::vector{Type::ifname}) {
      // For nft's eyes only: the key is in host byte order, else it lists names as empty.
      constexpr std::uint32_t kHostEndian = 1;
      batch_.attribute(
          NFTA_SET_USERDATA,
          std::string{'\0', '\4'} + std::string{reinterpret_cast<const char*>(&kHostEndian), sizeof kHostEndian});
    }
  }
  for (const Chain& chain : table.chains) {
    begin(NFT_MSG_NEWCHAIN, NLM_F_CREATE | NLM_F_EXCL, table.family,
          fmt::format("add the nf_tables chain {}", chain.name));
    batch_.text(NFTA_CHAIN_TABLE, table.name);
    batch_.text(NFTA_CHAIN_NAME, chain.name);
    if (chain.hook) {
      batch_.text(NFTA_CHAIN_TYPE, chain.hook->type);
      batch_.be32(NFTA_CHAIN_POLICY, chain.hook->policy_drop ? NF_DROP : NF_ACCEPT);
      const std::size_t hook = batch_.nest(NFTA_CHAIN_HOOK);
      batch_.be32(NFTA_HOOK_HOOKNUM, chain.hook->number);
      batch_.be32(NFTA_HOOK_PRIORITY, static_cast<std::uint32_t>(chain.hook->priority));
      batch_.end(hook);
    }
  }
  for (const Chain& chain : table.chains)
    for (const Rule& rule : chain.rules) append_rule(table.family, table.name, chain.name, rule);
}

void Transaction::remove_table(Family family, const std::string& name) {
  // Adding first makes the removal work whether or not the table exists (DESTROYTABLE needs Linux 6.3).
  begin(NFT_MSG_NEWTABLE, NLM_F_CREATE, family, fmt::format("add the nf_tables table {}", name));
  batch_.text(NFTA_TABLE_NAME, name);
  begin(NFT_MSG_DELTABLE, 0, family, fmt::format("remove the nf_tables table {}", name));
  batch_.text(NFTA_TABLE_NAME, name);
}

void Transaction::elements(bool add, Family family, const std::string& table, const std::string& set,
                           std::span<const Element> elements) {
  constexpr std::size_t kListLimit = 60000;  // an attribute's length has 16 bits
  for (std::size_t next = 0; next < elements.size();) {
    begin(add ? NFT_MSG_NEWSETELEM : NFT_MSG_DELSETELEM, add ? NLM_F_CREATE : 0, family,
          fmt::format("{} nf_tables set {}", add ? "add to" : "remove from", set));
    batch_.text(NFTA_SET_ELEM_LIST_TABLE, table);
    batch_.text(NFTA_SET_ELEM_LIST_SET, set);
    const std::size_t list = batch_.nest(NFTA_SET_ELEM_LIST_ELEMENTS);
    for (; next < elements.size() && batch_.nested_size(list) < kListLimit; ++next) {
      const std::size_t element = batch_.nest(NFTA_LIST_ELEM);
      const std::size_t key = batch_.nest(NFTA_SET_ELEM_KEY);
      batch_.attribute(NFTA_DATA_VALUE, elements[next].key.data());
      batch_.end(key);
      if (add && elements[next].value) {
        const std::size_t data = batch_.nest(NFTA_SET_ELEM_DATA);
        batch_.attribute(NFTA_DATA_VALUE, elements[next].value->data());
        batch_.end(data);
      }
      batch_.end(element);
    }
    batch_.end(list);
  }
}

void Transaction::add_elements(Family family, const std::string& table, const std::string& set,
                               std::span<const Element> list) {
  elements(true, family, table, set, list);
}

void Transaction::remove_elements(Family family, const std::string& table, const std::string& set,
                                  std::span<const Element> list) {
  elements(false, family, table, set, list);
}

namespace {
// nft's user data of a rule is a list of {type, length, value}; type 0 is the comment it prints.
std::string comment_data(std::string_view comment) {
  std::string data{'\0', static_cast<char>(comment.size() + 1)};
  data += comment;
  data.push_back('\0');
  return data;
}

std::string comment_of(std::string_view data) {
  while (data.size() >= 2) {
    const auto size = static_cast<std::uint8_t>(data[1]);
    if (data.size() < 2U + size) break;
    if (data[0] == 0 && size > 0) return std::string{data.substr(2, size - 1U)};
    data.remove_prefix(2U + size);
  }
  return {};
}
}  // namespace

void Transaction::append_rule(Family family, const std::string& table, const std::string& chain, const Rule& rule,
                              std::string_view comment) {
  begin(NFT_MSG_NEWRULE, NLM_F_CREATE | NLM_F_APPEND, family,
        fmt::format("add the nf_tables rule \"{}\"", rule.text()));
  batch_.text(NFTA_RULE_TABLE, table);
  batch_.text(NFTA_RULE_CHAIN, chain);
  batch_.attribute(NFTA_RULE_EXPRESSIONS | NLA_F_NESTED, rule.expressions());
  if (!comment.empty()) batch_.attribute(NFTA_RULE_USERDATA, comment_data(comment));
}

void Transaction::remove_rule(Family family, const std::string& table, const std::string& chain, std::uint64_t handle) {
  begin(NFT_MSG_DELRULE, 0, family, fmt::format("remove rule {} of {} {}", handle, table, chain));
  batch_.text(NFTA_RULE_TABLE, table);
  batch_.text(NFTA_RULE_CHAIN, chain);
  batch_.be64(NFTA_RULE_HANDLE, handle);
}

Result<void> Transaction::commit(netlink::Socket& socket) {
  if (changes_ == 0) return {};
  batch_.message(NFNL_MSG_BATCH_END, 0, "end the nf_tables transaction");
  batch_.header(general(Family{AF_UNSPEC}, NFNL_SUBSYS_NFTABLES));
  return socket.execute(batch_);
}

Result<bool> chain_exists(netlink::Socket& socket, Family family, const std::string& table, const std::string& chain) {
  netlink::Batch batch;
  batch.message(message_type(NFT_MSG_GETCHAIN), 0, fmt::format("look for the nf_tables chain {} {}", table, chain));
  batch.header(general(family));
  batch.text(NFTA_CHAIN_TABLE, table);
  batch.text(NFTA_CHAIN_NAME, chain);
  bool found = false;
  auto outcome = socket.query(batch, [&](const netlink::Reply&) { found = true; });
  if (!outcome.ok() && outcome.error().sys_errno() == ENOENT) return false;
  TRY(std::move(outcome));
  return found;
}

Result<std::vector<BaseChain>> base_chains(netlink::Socket& socket) {
  netlink::Batch batch;
  batch.message(message_type(NFT_MSG_GETCHAIN), NLM_F_DUMP, "list nf_tables chains");
  batch.header(general(Family{AF_UNSPEC}));
  std::vector<BaseChain> chains;
  TRY(socket.query(batch, [&](const netlink::Reply& reply) {
    if (reply.payload.size() < sizeof(nfgenmsg)) return;
    BaseChain chain;
    bool base = false;
    chain.family = Family{static_cast<std::uint8_t>(reply.payload[0])};
    netlink::for_each_attribute(reply.payload.substr(sizeof(nfgenmsg)), [&](const netlink::Attribute& attribute) {
      if (attribute.type == NFTA_CHAIN_TABLE) chain.table = attribute.text();
      if (attribute.type == NFTA_CHAIN_NAME) chain.name = attribute.text();
      if (attribute.type == NFTA_CHAIN_POLICY) chain.policy_drop = attribute.be32() == NF_DROP;
      if (attribute.type == NFTA_CHAIN_HOOK) {
        base = true;
        netlink::for_each_attribute(attribute.data, [&](const netlink::Attribute& inner) {
          if (inner.type == NFTA_HOOK_HOOKNUM) chain.hook = inner.be32();
        });
      }
    });
    if (base) chains.push_back(std::move(chain));
  }));
  return chains;
}

namespace {

std::string data_value(std::string_view nest) {
  std::string value;
  netlink::for_each_attribute(nest, [&](const netlink::Attribute& data) {
    if (data.type == NFTA_DATA_VALUE) value = data.data;
  });
  return value;
}

Element parse_element(std::string_view bytes) {
  Element element;
  netlink::for_each_attribute(bytes, [&](const netlink::Attribute& field) {
    if (field.type == NFTA_SET_ELEM_KEY) element.key = Key{}.bytes(data_value(field.data));
    if (field.type == NFTA_SET_ELEM_DATA) element.value = Key{}.bytes(data_value(field.data));
  });
  return element;
}

}  // namespace

Result<std::vector<Element>> elements(netlink::Socket& socket, Family family, const std::string& table,
                                      const std::string& set) {
  netlink::Batch batch;
  batch.message(message_type(NFT_MSG_GETSETELEM), NLM_F_DUMP, fmt::format("list the nf_tables set {}", set));
  batch.header(general(family));
  batch.text(NFTA_SET_ELEM_LIST_TABLE, table);
  batch.text(NFTA_SET_ELEM_LIST_SET, set);
  std::vector<Element> found;
  TRY(socket.query(batch, [&](const netlink::Reply& reply) {
    if (reply.payload.size() < sizeof(nfgenmsg)) return;
    netlink::for_each_attribute(reply.payload.substr(sizeof(nfgenmsg)), [&](const netlink::Attribute& attribute) {
      if (attribute.type != NFTA_SET_ELEM_LIST_ELEMENTS) return;
      netlink::for_each_attribute(attribute.data,
                                  [&](const netlink::Attribute& item) { found.push_back(parse_element(item.data)); });
    });
  }));
  return found;
}

namespace {

/// The chain a verdict jumps to, in the attributes of an "immediate" expression's data.
void collect_target(std::string_view expression, std::vector<std::string>& targets) {
  netlink::for_each_attribute(expression, [&](const netlink::Attribute& part) {
    if (part.type != NFTA_EXPR_DATA) return;
    netlink::for_each_attribute(part.data, [&](const netlink::Attribute& field) {
      if (field.type != NFTA_IMMEDIATE_DATA) return;
      netlink::for_each_attribute(field.data, [&](const netlink::Attribute& data) {
        if (data.type != NFTA_DATA_VERDICT) return;
        netlink::for_each_attribute(data.data, [&](const netlink::Attribute& verdict) {
          if (verdict.type == NFTA_VERDICT_CHAIN) targets.emplace_back(verdict.text());
        });
      });
    });
  });
}

bool is_immediate(std::string_view expression) {
  bool immediate = false;
  netlink::for_each_attribute(expression, [&](const netlink::Attribute& part) {
    if (part.type == NFTA_EXPR_NAME) immediate = part.text() == "immediate";
  });
  return immediate;
}

}  // namespace

Result<std::vector<ListedRule>> rules(netlink::Socket& socket, Family family, const std::string& table,
                                      const std::string& chain) {
  netlink::Batch batch;
  batch.message(message_type(NFT_MSG_GETRULE), NLM_F_DUMP, "list nf_tables rules");
  batch.header(general(family));
  batch.text(NFTA_RULE_TABLE, table);
  batch.text(NFTA_RULE_CHAIN, chain);
  std::vector<ListedRule> list;
  TRY(socket.query(batch, [&](const netlink::Reply& reply) {
    if (reply.payload.size() < sizeof(nfgenmsg)) return;
    ListedRule rule;
    bool wanted = true;
    netlink::for_each_attribute(reply.payload.substr(sizeof(nfgenmsg)), [&](const netlink::Attribute& attribute) {
      if (attribute.type == NFTA_RULE_TABLE) wanted = wanted && attribute.text() == table;
      if (attribute.type == NFTA_RULE_CHAIN) wanted = wanted && attribute.text() == chain;
      if (attribute.type == NFTA_RULE_HANDLE) rule.handle = attribute.be64();
      if (attribute.type == NFTA_RULE_USERDATA) rule.comment = comment_of(attribute.data);
      if (attribute.type == NFTA_RULE_EXPRESSIONS)
        netlink::for_each_attribute(attribute.data, [&](const netlink::Attribute& expression) {
          if (is_immediate(expression.data)) collect_target(expression.data, rule.targets);
        });
    });
    if (wanted) list.push_back(std::move(rule));
  }));
  return list;
}

}  // namespace compose::net::nft
