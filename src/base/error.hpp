#pragma once
// Error and Result<T>: how every module boundary of the project reports failure.
//
// A Result holds a value or an Error; an Error has a code, the errno it came from (0 if none) and a message that
// grows a context at each level: "cannot start service \"web\": open directory /x: No such file or directory".
#include <fmt/format.h>

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <variant>

namespace compose {

enum class Errc : std::uint8_t {
  failed,   ///< anything without a more precise code
  invalid,  ///< the input is wrong
  not_found,
  exists,  ///< already there
  busy,    ///< in use by somebody else: a port, a lock
  permission,
  unsupported,  ///< this kernel, this host or this version cannot do it
  timeout,
  cancelled,
  corrupt,  ///< data on disk or from a peer that breaks its own format
};

class [[nodiscard]] Error {
 public:
  Error(Errc code, std::string message, int sys_errno = 0)
      : code_{code}, errno_{sys_errno}, message_{std::move(message)} {}

  Errc code() const { return code_; }
  /// The errno the failing system call left, or 0.
  int sys_errno() const { return errno_; }
  const std::string& message() const { return message_; }

  /// Puts "context: " in front of the message.
  Error& add_context(const std::string& context) {
    message_.insert(0, context + ": ");
    return *this;
  }

 private:
  Errc code_;
  int errno_;
  std::string message_;
};

/// The Errc that fits an errno.
Errc errc_from_errno(int sys_errno);

/// An Error with a formatted message.
template <typename... Args>
Error make_error(Errc code, fmt::format_string<Args...> format, Args&&... args) {
  return Error{code, fmt::format(format, std::forward<Args>(args)...)};
}

/// "message: strerror(sys_errno)" with the code that fits.
Error os_error_from(int sys_errno, std::string message);

/// As above from the current errno: call it directly after the failing system call.
template <typename... Args>
Error os_error(fmt::format_string<Args...> format, Args&&... args) {
  const int saved = errno;
  return os_error_from(saved, fmt::format(format, std::forward<Args>(args)...));
}

template <typename T>
class [[nodiscard]] Result {
 public:
  using value_type = T;
  Result(T value) : state_{std::in_place_index<0>, std::move(value)} {}      // NOLINT(google-explicit-constructor)
  Result(Error error) : state_{std::in_place_index<1>, std::move(error)} {}  // NOLINT(google-explicit-constructor)

  bool ok() const { return state_.index() == 0; }
  explicit operator bool() const { return ok(); }
  T& value() & { return std::get<0>(state_); }
  const T& value() const& { return std::get<0>(state_); }
  T&& value() && { return std::get<0>(std::move(state_)); }
  T& operator*() & { return value(); }
  const T& operator*() const& { return value(); }
  T&& operator*() && { return std::move(*this).value(); }
  T* operator->() { return &value(); }
  const T* operator->() const { return &value(); }
  const Error& error() const& { return std::get<1>(state_); }
  Error&& error() && { return std::get<1>(std::move(state_)); }
  T value_or(T other) && { return ok() ? std::move(*this).value() : std::move(other); }

  /// Adds a context to the error, if there is one.
  template <typename... Args>
  Result&& with(fmt::format_string<Args...> format, Args&&... args) && {
    if (!ok()) std::get<1>(state_).add_context(fmt::format(format, std::forward<Args>(args)...));
    return std::move(*this);
  }

 private:
  std::variant<T, Error> state_;
};

template <>
class [[nodiscard]] Result<void> {
 public:
  using value_type = void;
  Result() = default;
  Result(Error error) : error_{std::move(error)} {}  // NOLINT(google-explicit-constructor)

  bool ok() const { return !error_; }
  explicit operator bool() const { return ok(); }
  const Error& error() const& { return *error_; }
  Error&& error() && { return *std::move(error_); }

  template <typename... Args>
  Result&& with(fmt::format_string<Args...> format, Args&&... args) && {
    if (error_) error_->add_context(fmt::format(format, std::forward<Args>(args)...));
    return std::move(*this);
  }

 private:
  std::optional<Error> error_;
};

}  // namespace compose

#define COMPOSE_CONCAT_INNER(a, b) a##b
#define COMPOSE_CONCAT(a, b) COMPOSE_CONCAT_INNER(a, b)

/// Returns the error of `expression` (a Result) from the enclosing function, if it is one.
#define TRY(expression)                                                                    \
  do {                                                                                     \
    if (auto try_result = (expression); !try_result) return std::move(try_result).error(); \
  } while (false)

/// TRY_ASSIGN(auto x, f()): x becomes the value of f(), or its error is returned.
#define TRY_ASSIGN(declaration, expression) \
  TRY_ASSIGN_INNER(COMPOSE_CONCAT(try_result_, __LINE__), declaration, expression)
#define TRY_ASSIGN_INNER(name, declaration, expression) \
  auto name = (expression);                             \
  if (!name) return std::move(name).error();            \
  declaration = std::move(name).value()
