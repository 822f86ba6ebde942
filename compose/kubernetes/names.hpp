#pragma once
// Names, labels and quantities as Kubernetes wants them.
#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include "base/units.hpp"

namespace compose::kubernetes {

/// A DNS label that begins with a letter (RFC 1035, what a Service's name must be): small letters, digits and "-", at
/// most 63. A name that had to be cut ends in a hash of the whole, so that two long names stay apart.
std::string dns_label(std::string_view name, std::size_t most = 63);
bool is_dns_label(std::string_view name);
/// The init container that waits: until the service `name` is "healthy", "completed" …
std::string wait_name(std::string_view what, std::string_view name);

/// Labels of small letters, digits and "-" with "." between them (RFC 1123): names of classes, Secrets and hosts.
bool is_subdomain(std::string_view name);

/// Whether a pair may be a label: key [prefix/]name, name and value at most 63 of [A-Za-z0-9._-] with letters or digits
/// at their ends.
bool valid_label(std::string_view key, std::string_view value);
/// Whether a key may be an annotation's.
bool valid_annotation_key(std::string_view key);

/// "128Mi", "1000000": bytes as a quantity, in the largest unit that divides them.
std::string bytes_quantity(std::int64_t bytes);
/// "500m", "2": CPUs as a quantity, in thousandths at the finest.
std::string cpu_quantity(double cpus);
/// Whether an API server takes it for an amount: "20Gi", "1.5G", "500m".
bool is_quantity(std::string_view text);
/// The inverses; nothing understood is 0.
std::int64_t parse_bytes_quantity(std::string_view text);
double parse_cpu_quantity(std::string_view text);

/// Whole seconds, rounded up, at least `least`.
std::int64_t seconds(Duration duration, std::int64_t least = 1);
bool whole_seconds(Duration duration);

/// Whether a variable's name says that its value should not be read by everybody: *PASSWORD*, *SECRET*, *TOKEN*, *_KEY,
/// but not names of files (…_FILE).
bool looks_secret(std::string_view variable);

/// RFC 4648 base64, as Secrets and binaryData hold it.
std::string base64(std::string_view bytes);
std::string from_base64(std::string_view text);
/// Whether the bytes may stand in a ConfigMap's `data`: UTF-8 without NUL.
bool is_text(std::string_view bytes);

}  // namespace compose::kubernetes
