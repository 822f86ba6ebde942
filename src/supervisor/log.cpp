#include "supervisor/log.hpp"

// Header-only: the library in Debian is a shared one, which every start of `compose` would have to load.
#include <spdlog/logger.h>
#include <spdlog/sinks/rotating_file_sink.h>
#include <unistd.h>

namespace compose::supervisor {

namespace {
constexpr std::size_t kMostBytes = std::size_t{1} << 20U;
constexpr std::size_t kMostOldFiles = 1;
}  // namespace

Log::Log(const std::string& path) {
  try {
    auto sink = std::make_shared<spdlog::sinks::rotating_file_sink_st>(path, kMostBytes, kMostOldFiles);
    sink->set_formatter(
        std::make_unique<spdlog::pattern_formatter>("%Y-%m-%dT%H:%M:%S.%fZ %v", spdlog::pattern_time_type::utc));
    logger_ = std::make_shared<spdlog::logger>("supervisor", std::move(sink));
    logger_->flush_on(spdlog::level::info);
    logger_->set_error_handler([](const std::string&) {});
  } catch (const spdlog::spdlog_ex&) {
    logger_.reset();
  }
}

void Log::remove(const std::string& path) {
  for (std::size_t i = 0; i <= kMostOldFiles; ++i) {
    ::unlink(spdlog::sinks::rotating_file_sink_st::calc_filename(path, i).c_str());
  }
}

Log::Log(Log&&) noexcept = default;
Log& Log::operator=(Log&&) noexcept = default;
Log::~Log() = default;

void Log::line(std::string_view text) {
  if (logger_) logger_->info(spdlog::string_view_t(text.data(), text.size()));
}

}  // namespace compose::supervisor
