#pragma once
// What a container of a service really gets once its image's configuration and the service's are put together. Pure.
// Rules: Compose Specification 05-services.md; Docker's merge of container and image configuration.
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "compose/model/service.hpp"
#include "image/image_config.hpp"

namespace compose::container {

/// What is executed: entrypoint and command. A service's entrypoint drops the image's command; an empty list clears.
std::vector<std::string> effective_command(const model::Service& service, const image::ImageConfig& image);

/// "NAME=value": PATH (Docker's default when nobody sets one), HOSTNAME, TERM with a tty, the image's, the service's;
/// a name without a value in the service unsets the image's. HOME is left to the runtime.
std::vector<std::string> effective_environment(const model::Service& service, const image::ImageConfig& image,
                                               const std::string& hostname);

std::string effective_user(const model::Service& service, const image::ImageConfig& image);
std::string effective_working_dir(const model::Service& service, const image::ImageConfig& image);  ///< "/" at least

/// The service's, else the image's; "" = SIGTERM.
std::string effective_stop_signal(const model::Service& service, const image::ImageConfig& image);

/// The service's health check with what it leaves open taken from the image's; nullopt = none or disabled.
std::optional<model::Healthcheck> effective_healthcheck(const model::Service& service, const image::ImageConfig& image);

/// "80/tcp": what the image and the service expose, with the ports it publishes; sorted, ranges spelled out.
std::vector<std::string> effective_exposed_ports(const model::Service& service, const image::ImageConfig& image);

/// hostname, else the first 12 digits of the id.
std::string effective_hostname(const model::Service& service, const std::string& container_id);

/// The image's labels, the service's over them.
std::map<std::string, std::string> effective_labels(const model::Service& service, const image::ImageConfig& image);

}  // namespace compose::container
