#include "image/byte_stream.hpp"

#include <gtest/gtest.h>
#include <zlib.h>
#include <zstd.h>

#include "image/digest.hpp"

namespace compose::image {
namespace {

std::string gzip(const std::string& text) {
  z_stream stream{};
  ::deflateInit2(&stream, 1, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY);
  std::string out(text.size() + 1000, '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
  stream.avail_in = static_cast<uInt>(text.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  ::deflate(&stream, Z_FINISH);
  out.resize(stream.total_out);
  ::deflateEnd(&stream);
  return out;
}

std::string zstd(const std::string& text) {
  std::string out(::ZSTD_compressBound(text.size()), '\0');
  out.resize(::ZSTD_compress(out.data(), out.size(), text.data(), text.size(), 1));
  return out;
}

Result<std::string> unpacked(const std::string& bytes) {
  TRY_ASSIGN(const ByteReaderPtr reader, decompress(read_memory(bytes)));
  return read_everything(*reader, 100'000'000);
}

const std::string kText = [] {
  std::string text;
  for (int i = 0; i < 300'000; ++i) text += std::to_string(i * 7919);
  return text;
}();

TEST(ByteStream, DecompressesByMagicNumber) {
  EXPECT_EQ(*unpacked(gzip(kText)), kText);
  EXPECT_EQ(*unpacked(zstd(kText)), kText);
  EXPECT_EQ(*unpacked(kText), kText);
  EXPECT_EQ(*unpacked(""), "");
  EXPECT_EQ(*unpacked("ab"), "ab");
}

TEST(ByteStream, SeveralMembersAreOneStream) {
  EXPECT_EQ(*unpacked(gzip("one ") + gzip("two")), "one two");
  EXPECT_EQ(*unpacked(zstd("one ") + zstd("two")), "one two");
  EXPECT_EQ(*unpacked(gzip("one") + std::string(100, '\0')), "one") << "padding is ignored";
}

TEST(ByteStream, DamagedAndCutStreamsAreErrors) {
  EXPECT_FALSE(unpacked(gzip(kText).substr(0, 100'000)));
  EXPECT_FALSE(unpacked(zstd(kText).substr(0, 100'000)));
  std::string flipped = gzip(kText);
  flipped[flipped.size() / 2] = static_cast<char>(~flipped[flipped.size() / 2]);
  EXPECT_FALSE(unpacked(flipped));
  EXPECT_FALSE(
      unpacked(std::string{"\xfd"
                           "7zXZ\0garbage",
                           13}));
  EXPECT_FALSE(unpacked("BZh9garbage!"));
}

TEST(ByteStream, ReadAheadGivesTheSameBytesAndTheError) {
  HashingReader hashed{read_memory(kText)};
  {
    ReadAhead ahead{hashed};
    EXPECT_EQ(*read_everything(ahead, 100'000'000), kText);
  }
  EXPECT_EQ(hashed.digest(), digest_of(kText));
  const std::string cut = gzip(kText).substr(0, 200'000);
  const Result<ByteReaderPtr> reader = decompress(read_memory(cut));
  ASSERT_TRUE(reader);
  ReadAhead ahead{**reader};
  EXPECT_FALSE(read_everything(ahead, 100'000'000));
}

TEST(ByteStream, ReadAheadCanBeDroppedInTheMiddle) {
  const ByteReaderPtr reader = read_memory(kText);
  ReadAhead ahead{*reader};
  char byte = 0;
  EXPECT_TRUE(ahead.read(&byte, 1));
}

}  // namespace
}  // namespace compose::image
