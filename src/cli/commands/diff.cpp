// compose diff: what differs between sets of files; compose check: what should not go to production.
#include <algorithm>
#include <nlohmann/json.hpp>

#include "cli/commands/all.hpp"
#include "cli/context.hpp"
#include "cli/project_loading.hpp"
#include "cli/table.hpp"
#include "compose/compare/check.hpp"
#include "compose/compare/compare.hpp"

namespace compose::cli {
namespace {

using Json = nlohmann::ordered_json;

// See docs/exit-codes.md.
constexpr int kDiffers = 2;
constexpr int kViolations = 3;

struct Side {
  std::string name;
  load::LoadResult loaded;
};

/// "prod" of "deploy/prod.yaml": the last file tells the sides apart.
std::string side_name(const load::LoadResult& loaded) {
  if (loaded.files.empty()) return "files";
  std::string name = loaded.files.back();
  name.erase(0, name.rfind('/') + 1);
  for (const char* end : {".yaml", ".yml"})
    if (name.ends_with(end)) name.resize(name.size() - std::string_view{end}.size());
  return name;
}

Result<load::LoadResult> load_side(const Context& context, GlobalOptions options) {
  Context own{std::move(options), context.program()};
  load::Options how = load_options(own);
  how.want_project = true;
  return load_checked(own, how);
}

/// The first side from the command's own flags, the others from the words after each "--".
Result<std::vector<Side>> load_sides(Context& context, const Strings& words) {
  std::vector<GlobalOptions> all{context.options()};
  for (auto begin = words.begin(); begin != words.end();) {
    const auto end = std::find(begin, words.end(), "--");
    GlobalOptions options = context.options();
    options.files.clear();
    options.profiles.clear();
    options.env_files.clear();
    const std::vector<Flag> flags = global_flags(options);
    const auto outcome = parse_flags(flags, Strings(begin, end), true);
    if (const auto* error = std::get_if<UsageError>(&outcome)) return Error{Errc::invalid, error->message};
    const Parsed& parsed = std::get<Parsed>(outcome);
    if (!parsed.arguments.empty())
      return make_error(Errc::invalid, "\"{}\": only -f, --profile, --env-file and the like stand after \"--\"",
                        parsed.arguments[0]);
    all.push_back(std::move(options));
    begin = end == words.end() ? end : end + 1;
  }
  if (all.size() < 2)
    return make_error(Errc::invalid,
                      "two sides are wanted: {} diff -f base.yaml -f staging.yaml -- -f base.yaml -f prod.yaml",
                      context.program());
  std::vector<Side> sides;
  for (GlobalOptions& options : all) {
    TRY_ASSIGN(load::LoadResult loaded, load_side(context, std::move(options)));
    std::string name = side_name(loaded);
    const auto same = std::count_if(sides.begin(), sides.end(), [&](const Side& side) { return side.name == name; });
    if (same != 0) name += fmt::format(" ({})", sides.size() + 1);
    sides.push_back({std::move(name), std::move(loaded)});
  }
  return sides;
}

Json to_json(const compare::Finding& one) {
  return {{"service", one.service},
          {"rule", one.rule},
          {"place", one.place},
          {"message", one.message},
          {"waived", one.waived}};
}

std::string clipped(const std::string& text) {
  constexpr std::size_t kMost = 60;
  if (display_width(text) <= kMost) return text;
  return std::string{clip_width(text, kMost - 1)} + "…";
}

std::string diff_table(const std::vector<Side>& sides, const std::vector<compare::Row>& rows) {
  Strings header = {"WHERE", "SETTING"};
  for (const Side& side : sides) {
    header.push_back(side.name);
    header.emplace_back("");
  }
  Table table{header};
  std::string last;
  for (const compare::Row& row : rows) {
    Strings line = {row.section == last ? "" : row.section, row.setting.empty() ? "(all of it)" : row.setting};
    last = row.section;
    for (const compare::Cell& cell : row.cells) {
      line.push_back(cell.there ? clipped(cell.value) : "-");
      line.push_back(cell.place);
    }
    table.add(line);
  }
  return table.render();
}

std::string finding_line(const compare::Finding& one) {
  const std::string place = one.place.empty() ? std::string{} : one.place + ": ";
  if (!one.waived.empty())
    return fmt::format("{}waived: service \"{}\": {} ({}): {}\n", place, one.service, one.rule, one.message,
                       one.waived);
  return fmt::format("{}service \"{}\": {} [{}]\n", place, one.service, one.message, one.rule);
}

struct DiffOptions {
  std::string format = "table";
  bool quiet = false;
};

Result<int> diff(Context& context, const DiffOptions& options, const Strings& words) {
  if (options.format != "table" && options.format != "json")
    return make_error(Errc::invalid, "unknown --format \"{}\" (table, json)", options.format);
  TRY_ASSIGN(const std::vector<Side> sides, load_sides(context, words));
  std::vector<const load::LoadResult*> loaded;
  for (const Side& side : sides) loaded.push_back(&side.loaded);
  const auto rows = compare::compare(loaded);
  // What would come with the last side, that is where a promotion goes.
  TRY_ASSIGN(const compare::Report report, compare::check(sides.back().loaded));
  if (options.format == "json") {
    Json out{{"sides", Json::array()}, {"differences", Json::array()}, {"warnings", Json::array()}};
    for (const Side& side : sides) out["sides"].push_back(side.name);
    for (const compare::Row& row : rows) {
      Json values = Json::array();
      for (const compare::Cell& cell : row.cells)
        values.push_back(cell.there ? Json{{"value", cell.value}, {"place", cell.place}} : Json(nullptr));
      out["differences"].push_back({{"section", row.section}, {"setting", row.setting}, {"values", values}});
    }
    for (const auto& one : report.findings)
      if (one.waived.empty()) out["warnings"].push_back(to_json(one));
    if (!options.quiet) TRY(print(out.dump(2) + "\n"));
  } else if (!options.quiet) {
    if (!rows.empty()) TRY(print(diff_table(sides, rows)));
    std::string warnings;
    for (const auto& one : report.findings)
      if (one.waived.empty()) warnings += "  " + finding_line(one);
    if (!warnings.empty()) TRY(print(fmt::format("\nWarnings about {}:\n{}", sides.back().name, warnings)));
  }
  return rows.empty() ? 0 : kDiffers;
}

struct CheckOptions {
  std::string format = "text";
  bool show_waived = false;
  bool list = false;
};

Result<int> check(Context& context, const CheckOptions& options) {
  if (options.format != "text" && options.format != "json")
    return make_error(Errc::invalid, "unknown --format \"{}\" (text, json)", options.format);
  if (options.list) {
    Table table{{"RULE", "WHAT IT FINDS"}};
    for (const compare::Rule& rule : compare::rules()) table.add({std::string{rule.name}, std::string{rule.summary}});
    TRY(print(table.render()));
    return 0;
  }
  load::Options how = load_options(context);
  how.want_project = true;
  TRY_ASSIGN(const load::LoadResult loaded, load_checked(context, how));
  TRY_ASSIGN(const compare::Report report, compare::check(loaded));
  const bool bad = std::any_of(report.findings.begin(), report.findings.end(),
                               [](const compare::Finding& one) { return one.waived.empty(); });
  if (options.format == "json") {
    Json out = Json::array();
    for (const auto& one : report.findings) out.push_back(to_json(one));
    TRY(print(out.dump(2) + "\n"));
  } else {
    std::string text;
    for (const auto& one : report.findings)
      if (one.waived.empty() || options.show_waived) text += finding_line(one);
    TRY(print(text));
  }
  for (const std::string& one : report.unused) context.warn(one);
  return bad ? kViolations : 0;
}

}  // namespace

Command diff_command() {
  auto options = std::make_shared<DiffOptions>();
  Command command{.name = "diff",
                  .usage = "[-f FILE]... -- [-f FILE]... [-- ...]",
                  .summary = "Show what differs between sets of files"};
  command.details =
      "Each side is a set of files with its own -f, --profile and --env-file, \"--\" stands between them; the last "
      "side is "
      "where a promotion goes, and is checked too. Exit code 0: no difference, 2: differences, 1: an error.";
  command.flags = {{"format", 0, &options->format, "table or json", "FORMAT"},
                   {"quiet", 'q', &options->quiet, "Only the exit code"}};
  command.run = [options](Context& context, const Strings& words) { return diff(context, *options, words); };
  return command;
}

Command check_command() {
  auto options = std::make_shared<CheckOptions>();
  Command command{.name = "check", .usage = "[OPTIONS]", .summary = "Find what should not go to production"};
  command.details =
      "A finding is waived in the file, with the reason: \"x-waive: {no-limit: it is alone on its host}\" in a "
      "service, or "
      "at the top for all. Exit code 0: nothing found, 3: something found, 1: an error.";
  command.flags = {{"format", 0, &options->format, "text or json", "FORMAT"},
                   {"list", 0, &options->list, "List the rules"},
                   {"show-waived", 0, &options->show_waived, "Also what is waived"}};
  command.max_args = 0;
  command.run = [options](Context& context, const Strings&) { return check(context, *options); };
  return command;
}

}  // namespace compose::cli
