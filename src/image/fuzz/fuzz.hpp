#pragma once
// Functions that take any bytes. libFuzzer drives them in the fuzz preset (one program each, fuzz_NAME); the unit test
// runs them over their corpora and over damaged copies of these.
#include <string_view>

namespace compose::image::fuzz {

/// TarReader alone, and the decompressors in front of it.
void tar(std::string_view bytes);
/// A whole layer into a folder, beside which a canary lies; aborts when that changed, or when an accepted tar does not
/// come back byte for byte.
void layer(std::string_view bytes);
/// Image configurations: what is accepted is written and read again unchanged.
void config(std::string_view bytes);
/// References: the full form of an accepted name means the same.
void reference(std::string_view bytes);
/// What a registry answers: the first line is a header (Content-Type, WWW-Authenticate), the rest a manifest, an index or
/// an error's body.
void manifest(std::string_view bytes);
/// Archives for `image load`: manifests, indexes, layouts.
void archive(std::string_view bytes);

}  // namespace compose::image::fuzz
