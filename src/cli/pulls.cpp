#include "cli/pulls.hpp"

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <ctime>
#include <thread>

#include "base/strings.hpp"
#include "image/reference.hpp"

namespace compose::cli {

namespace {

constexpr std::size_t kImagesAtOnce = 4;

/// RFC 3339 in UTC, as the store writes it.
std::optional<std::chrono::system_clock::time_point> parse_time(std::string_view text) {
  tm parts{};
  const std::string seconds{text.substr(0, 19)};
  if (::strptime(seconds.c_str(), "%Y-%m-%dT%H:%M:%S", &parts) == nullptr) return std::nullopt;
  return std::chrono::system_clock::from_time_t(::timegm(&parts));
}

}  // namespace

std::optional<std::chrono::seconds> parse_every(std::string_view text) {
  std::chrono::seconds total{0};
  if (text.empty()) return std::nullopt;
  while (!text.empty()) {
    const std::size_t end = text.find_first_not_of("0123456789");
    if (end == 0 || end == std::string_view::npos || end > 9) return std::nullopt;
    const auto number = static_cast<std::int64_t>(parse_unsigned(text.substr(0, end)).value_or(0));
    switch (text[end]) {
      case 'w':
        total += std::chrono::hours{number * 24 * 7};
        break;
      case 'd':
        total += std::chrono::hours{number * 24};
        break;
      case 'h':
        total += std::chrono::hours{number};
        break;
      case 'm':
        total += std::chrono::minutes{number};
        break;
      case 's':
        total += std::chrono::seconds{number};
        break;
      default:
        return std::nullopt;
    }
    text.remove_prefix(end + 1);
  }
  return total;
}

Result<bool> wants_pull(std::string_view policy, bool present, std::string_view last_pulled,
                        std::chrono::system_clock::time_point now) {
  if (policy == "always" || policy == "refresh") return true;
  if (policy == "never" || policy == "build") return false;
  if (policy.empty() || policy == "missing" || policy == "if_not_present") return !present;
  std::optional<std::chrono::seconds> age;
  if (policy == "daily") age = std::chrono::hours{24};
  if (policy == "weekly") age = std::chrono::hours{24 * 7};
  if (policy.starts_with("every_")) age = parse_every(policy.substr(6));
  if (!age) {
    return make_error(Errc::invalid,
                      "unknown pull policy \"{}\" (always, missing, never, build, daily, weekly, every_2d, …)", policy);
  }
  const auto last = parse_time(last_pulled);
  return !present || !last || *last + *age < now;
}

Result<void> Registries::open() {
  const std::lock_guard lock{mutex_};
  if (registry_) return {};
  TRY_ASSIGN(image::registry::Settings settings, image::registry::load_settings());
  TRY_ASSIGN(image::Store store, image::Store::open(context_.paths().root()));
  store_.emplace(std::move(store));
  registry_ = std::make_unique<image::registry::Registry>(*store_, std::move(settings));
  return {};
}

void Registries::show(const Transfer& transfer, bool quiet, std::string text, ProgressEvent::Status status,
                      std::string details) {
  if (quiet) return;
  context_.progress().event({.kind = "Image",
                             .name = transfer.image,
                             .text = std::move(text),
                             .status = status,
                             .details = std::move(details)});
}

image::registry::TransferOptions Registries::options(const Transfer& transfer, bool quiet) {
  image::registry::TransferOptions options;
  options.platform = transfer.platform;
  const char* usual = std::getenv("DOCKER_DEFAULT_PLATFORM");
  if (options.platform.empty() && usual != nullptr) options.platform = usual;
  if (quiet) return options;
  options.progress = [&progress = context_.progress(),
                      parent = "Image " + transfer.image](const image::registry::TransferEvent& event) {
    using Status = ProgressEvent::Status;
    progress.event({.kind = "",
                    .name = event.layer,
                    .text = event.text,
                    .status = event.done ? Status::done : Status::working,
                    .parent = parent,
                    .current = event.current,
                    .total = event.total});
  };
  return options;
}

void Registries::pull_into(Transfer& transfer, bool quiet) {
  show(transfer, quiet, "Pulling", ProgressEvent::Status::working);
  auto reference = image::parse_reference(transfer.image);
  if (!reference) {
    transfer.error = std::move(reference).error();
    return;
  }
  auto pulled = registry_->pull(*reference, options(transfer, quiet));
  if (!pulled) {
    transfer.error = std::move(pulled).error();
    return;
  }
  transfer.digest = pulled->digest;
  transfer.image_id = pulled->image.id;
  transfer.changed = pulled->changed;
  show(transfer, quiet, "Pulled", ProgressEvent::Status::done);
}

void Registries::push_into(Transfer& transfer, bool quiet) {
  show(transfer, quiet, "Pushing", ProgressEvent::Status::working);
  auto reference = image::parse_reference(transfer.image);
  if (!reference) {
    transfer.error = std::move(reference).error();
    return;
  }
  auto digest = registry_->push(*reference, options(transfer, quiet));
  if (!digest) {
    transfer.error = std::move(digest).error();
    return;
  }
  transfer.digest = std::move(*digest);
  show(transfer, quiet, "Pushed", ProgressEvent::Status::done);
}

Result<void> Registries::run(std::vector<Transfer>& transfers, bool quiet, bool push) {
  if (transfers.empty()) return {};
  TRY(open());
  (void)context_.progress();  // made before there are threads
  std::atomic<std::size_t> next = 0;
  const auto work = [&] {
    for (std::size_t i = next++; i < transfers.size(); i = next++) {
      Transfer& transfer = transfers[i];
      if (push) {
        push_into(transfer, quiet);
      } else {
        pull_into(transfer, quiet);
      }
      // Its cause is told at the end; the line only says that it is over.
      if (transfer.error) show(transfer, quiet, "Error", ProgressEvent::Status::error);
    }
  };
  const int limit = context_.options().parallel.value_or(-1);
  const std::size_t count = std::min(transfers.size(), limit > 0 ? static_cast<std::size_t>(limit) : kImagesAtOnce);
  std::vector<std::thread> threads;
  for (std::size_t i = 1; i < count; ++i) threads.emplace_back(work);
  work();
  for (std::thread& thread : threads) thread.join();
  return {};
}

Result<void> Registries::pull(std::vector<Transfer>& transfers, bool quiet) { return run(transfers, quiet, false); }
Result<void> Registries::push(std::vector<Transfer>& transfers, bool quiet) { return run(transfers, quiet, true); }

Result<image::Image> Registries::pull_one(const std::string& image, const std::string& platform) {
  TRY(open());
  Transfer transfer{.image = image, .platform = platform};
  pull_into(transfer, false);
  if (transfer.error) {
    show(transfer, false, "Error", ProgressEvent::Status::error);
    return *transfer.error;
  }
  TRY_ASSIGN(const auto found, store_->find(transfer.image_id));
  if (!found) return make_error(Errc::not_found, "image \"{}\" has been removed meanwhile", image);
  return *found;
}

Result<image::registry::Registry*> Registries::client() {
  TRY(open());
  return registry_.get();
}

Result<std::string> Registries::resolve(const std::string& image) {
  TRY(open());
  TRY_ASSIGN(const image::Reference reference, image::parse_reference(image));
  return registry_->resolve(reference);
}

}  // namespace compose::cli
