#pragma once
// Dockerfile instructions that only change an image's configuration: for builds, `image import --change` and commit.
#include <string>
#include <string_view>

#include "base/error.hpp"
#include "image/image_config.hpp"
#include "image/shell_words.hpp"

namespace compose::image {

struct InstructionContext {
  VariableLookup lookup;
  char escape = '\\';
  bool cmd_set = false;  ///< a CMD came before in the same stage: ENTRYPOINT then keeps it
};

/// CMD ENTRYPOINT ENV EXPOSE HEALTHCHECK LABEL MAINTAINER ONBUILD SHELL STOPSIGNAL USER VOLUME WORKDIR (upper case).
bool is_config_instruction(std::string_view keyword);

/// Applies one of them. `arguments` is the rest of the line, continued lines joined, nothing replaced yet.
/// Errc::invalid with a message that says what the instruction wants.
Result<void> apply_instruction(ImageConfig& config, std::string_view keyword, std::string_view arguments,
                               InstructionContext& context);

/// NAME=value pairs of ENV, LABEL and ARG's like, values replaced; "NAME text to the end" is one pair (the old form).
Result<std::vector<std::pair<std::string, std::string>>> parse_pairs(std::string_view keyword,
                                                                     std::string_view arguments,
                                                                     const InstructionContext& context);

/// {"/bin/sh", "-c"} or what SHELL set.
std::vector<std::string> shell_of(const ImageConfig& config);

/// WORKDIR's rule: relative to what it was, cleaned, absolute.
std::string change_directory(const std::string& current, const std::string& to);

}  // namespace compose::image
