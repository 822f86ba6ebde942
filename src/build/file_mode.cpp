#include "build/file_mode.hpp"

#include "base/strings.hpp"

namespace compose::build {

namespace {

constexpr mode_t kUser = 0700;
constexpr mode_t kGroup = 0070;
constexpr mode_t kOthers = 0007;

mode_t who_of(char letter) {
  switch (letter) {
    case 'u':
      return kUser;
    case 'g':
      return kGroup;
    case 'o':
      return kOthers;
    case 'a':
      return kUser | kGroup | kOthers;
    default:
      return 0;
  }
}

/// The three bits of one of u, g, o in all three places.
mode_t spread(mode_t mode, char from) {
  const mode_t bits = (from == 'u' ? mode >> 6 : from == 'g' ? mode >> 3 : mode) & 7U;
  return bits << 6 | bits << 3 | bits;
}

/// Which special bits `who` may touch: setuid is the user's, setgid the group's, sticky everybody's.
mode_t special_of(mode_t who, mode_t bits) {
  mode_t result = 0;
  if ((who & kUser) != 0) result |= bits & S_ISUID;
  if ((who & kGroup) != 0) result |= bits & S_ISGID;
  return result | (bits & S_ISVTX);
}

}  // namespace

Result<std::vector<ModeChange::Clause>> ModeChange::parse_clause(std::string_view text) {
  const auto bad = [&] {
    return make_error(Errc::invalid, "--chmod: \"{}\" is no change of a mode like \"u=rwX,go=rX\" or \"a+x\"", text);
  };
  std::size_t at = 0;
  mode_t who = 0;
  while (at < text.size() && who_of(text[at]) != 0) who |= who_of(text[at++]);
  if (who == 0) who = who_of('a');
  std::vector<Clause> clauses;
  while (at < text.size()) {
    Clause clause;
    clause.who = who;
    clause.operation = text[at++];
    if (clause.operation != '=' && clause.operation != '+' && clause.operation != '-') return bad();
    if (at < text.size() && (text[at] == 'u' || text[at] == 'g' || text[at] == 'o')) clause.copy_from = text[at++];
    for (; at < text.size() && text[at] != '=' && text[at] != '+' && text[at] != '-'; ++at) {
      switch (clause.copy_from == '\0' ? text[at] : '\0') {
        case 'r':
          clause.bits |= 0444;
          break;
        case 'w':
          clause.bits |= 0222;
          break;
        case 'x':
          clause.bits |= 0111;
          break;
        case 'X':
          clause.execute_if_any = true;
          break;
        case 's':
          clause.bits |= S_ISUID | S_ISGID;
          break;
        case 't':
          clause.bits |= S_ISVTX;
          break;
        default:
          return bad();
      }
    }
    clauses.push_back(clause);
  }
  if (clauses.empty()) return bad();
  return clauses;
}

Result<ModeChange> ModeChange::parse(std::string_view text) {
  ModeChange change;
  change.text_ = text;
  if (text.empty()) return make_error(Errc::invalid, "--chmod is empty");
  if (is_digits(text)) {
    change.octal_ = true;
    for (const char c : text) {
      if (c > '7' || change.mode_ > 07777)
        return make_error(Errc::invalid, "--chmod wants an octal mode up to 7777, not \"{}\"", text);
      change.mode_ = change.mode_ * 8 + static_cast<mode_t>(c - '0');
    }
    if (change.mode_ > 07777)
      return make_error(Errc::invalid, "--chmod wants an octal mode up to 7777, not \"{}\"", text);
    return change;
  }
  for (const std::string& part : split(text, ',')) {
    TRY_ASSIGN(const std::vector<Clause> clauses, parse_clause(part));
    change.clauses_.insert(change.clauses_.end(), clauses.begin(), clauses.end());
  }
  return change;
}

mode_t ModeChange::apply(mode_t mode, bool is_directory) const {
  mode &= 07777;
  if (octal_) return mode_;
  for (const Clause& clause : clauses_) {
    mode_t bits = clause.copy_from == '\0' ? clause.bits & 0777 : spread(mode, clause.copy_from);
    if (clause.execute_if_any && (is_directory || (mode & 0111) != 0)) bits |= 0111;
    const mode_t named = (bits & clause.who) | special_of(clause.who, clause.bits);
    if (clause.operation == '+') mode |= named;
    if (clause.operation == '-') mode &= ~named;
    if (clause.operation == '=') mode = (mode & ~(clause.who | special_of(clause.who, S_ISUID | S_ISGID))) | named;
  }
  return mode;
}

}  // namespace compose::build
