#include "http/url.hpp"

#include <gtest/gtest.h>

#include <map>

namespace compose::http {
namespace {

Environment environment(std::map<std::string, std::string> values) {
  return [values = std::move(values)](const std::string& name) -> std::optional<std::string> {
    const auto it = values.find(name);
    return it == values.end() ? std::nullopt : std::optional{it->second};
  };
}

TEST(Url, HasItsPartsAndDefaults) {
  const auto url = parse_url("HTTPS://name:pass@Example.org?x=1#there");
  ASSERT_TRUE(url.ok());
  EXPECT_EQ(url->scheme, "https");
  EXPECT_EQ(url->user_info, "name:pass");
  EXPECT_EQ(url->host, "example.org");
  EXPECT_EQ(url->port, 443);
  EXPECT_EQ(url->target, "/?x=1");
  EXPECT_EQ(url->text(), "https://example.org/?x=1");
  const auto address = parse_url("http://[::1]:5000/v2/");
  ASSERT_TRUE(address.ok());
  EXPECT_EQ(address->host, "::1");
  EXPECT_EQ(address->authority(), "[::1]:5000");
}

TEST(Url, RefusesWhatIsNone) {
  for (const char* text : {"", "example.org", "ftp://x/", "http://", "http://a b/", "http://x:0/", "http://x:65536/",
                           "http://x:y/", "http://[::1/", "http://[zz]/", "http://x\r\nHost: y/", "http://a/\x01"}) {
    EXPECT_FALSE(parse_url(text).ok()) << text;
  }
}

TEST(Url, ResolvesWhatALocationHeaderMeans) {
  const Url base = *parse_url("https://r.example:5000/v2/a/blobs/uploads/1?x=2");
  const std::map<std::string, std::string> cases = {
      {"https://other/x", "https://other/x"},
      {"//cdn.example/y?z", "https://cdn.example/y?z"},
      {"/abs?q=1", "https://r.example:5000/abs?q=1"},
      {"2", "https://r.example:5000/v2/a/blobs/uploads/2"},
      {"../b/./c", "https://r.example:5000/v2/a/blobs/b/c"},
      {"../../../../../up", "https://r.example:5000/up"},
      {"?n=1", "https://r.example:5000/v2/a/blobs/uploads/1?n=1"},
      {"/go?to=http://x/y", "https://r.example:5000/go?to=http://x/y"},
  };
  for (const auto& [location, expected] : cases) {
    const auto url = resolve_url(base, location);
    ASSERT_TRUE(url.ok()) << location;
    EXPECT_EQ(url->text(), expected) << location;
  }
}

TEST(Url, EncodingsGoBothWays) {
  EXPECT_EQ(percent_encode("a b/ü"), "a%20b%2F%C3%BC");
  EXPECT_EQ(percent_decode("a%20b%2f%zz%"), "a b/%zz%");
  for (const char* text : {"", "f", "fo", "foo", "user:pass"}) {
    const auto back = base64_decode(base64_encode(text));
    ASSERT_TRUE(back.has_value());
    EXPECT_EQ(*back, text);
  }
  EXPECT_EQ(base64_encode("user:pass"), "dXNlcjpwYXNz");
  EXPECT_FALSE(base64_decode("a b").has_value());
}

struct ProxyCase {
  const char* url;
  const char* no_proxy;
  bool direct;
};

TEST(Proxy, NoProxyNamesHostsDomainsNetworksAndPorts) {
  const ProxyCase cases[] = {
      {"https://a.example.org/", "", false},
      {"https://localhost:5000/", "", true},
      {"https://127.0.0.9/", "", true},
      {"https://[::1]/", "", true},
      {"https://a.example.org/", "*", true},
      {"https://a.example.org/", "example.org", true},
      {"https://example.org/", ".example.org", false},
      {"https://a.example.org/", " .EXAMPLE.org ", true},
      {"https://aexample.org/", "example.org", false},
      {"https://a.example.org/", "*.example.org", true},
      {"https://10.1.2.3/", "10.0.0.0/8", true},
      {"https://11.1.2.3/", "10.0.0.0/8", false},
      {"https://[fd00::1]/", "fd00::/8", true},
      {"https://10.1.2.3/", "10.1.2.3:443", true},
      {"https://10.1.2.3/", "10.1.2.3:80", false},
      {"https://b.example/", "a.example,b.example", true},
      {"https://b.example/", "[", false},
  };
  for (const ProxyCase& item : cases) {
    const auto proxy =
        proxy_for(*parse_url(item.url), environment({{"HTTPS_PROXY", "proxy:3128"}, {"NO_PROXY", item.no_proxy}}));
    ASSERT_TRUE(proxy.ok());
    EXPECT_EQ(!proxy->has_value(), item.direct) << item.url << " with " << item.no_proxy;
  }
}

TEST(Proxy, IsChosenByTheSchemeAndMustBeAnAddress) {
  const auto both = environment({{"http_proxy", "http://a:1"}, {"HTTPS_PROXY", "https://u:p@b:2"}});
  EXPECT_EQ((*proxy_for(*parse_url("http://x/"), both))->text(), "http://a:1/");
  EXPECT_EQ((*proxy_for(*parse_url("https://x/"), both))->user_info, "u:p");
  EXPECT_EQ((*proxy_for(*parse_url("http://x/"), environment({{"ALL_PROXY", "c"}})))->text(), "http://c/");
  const auto wrong = proxy_for(*parse_url("http://x/"), environment({{"HTTP_PROXY", "socks5://x"}}));
  ASSERT_FALSE(wrong.ok());
  EXPECT_NE(wrong.error().message().find("HTTP_PROXY"), std::string::npos);
}

}  // namespace
}  // namespace compose::http
