// Signatures against what Amazon publishes, XML, profiles; and that an answer that did not come is none.
#include <catch2/catch.hpp>

#include "connectors/azure/blob_store.h"
#include "connectors/file/scan.h"
#include "connectors/net/aws_signature.h"
#include "connectors/net/digest.h"
#include "connectors/net/http_parser.h"
#include "connectors/net/xml.h"
#include "connectors/objects/requester.h"
#include "connectors/s3/credentials.h"

using namespace thalweg;

namespace {

constexpr std::int64_t kSecond = 1'000'000'000;
constexpr std::int64_t kSuite = 1440938160 * kSecond;  // 2015-08-30T12:36:00Z
constexpr std::int64_t kDocs = 1369353600 * kSecond;   // 2013-05-24T00:00:00Z

std::string signature_of(net::HttpRequest request, const net::AwsCredentials& keys, const net::AwsScope& scope,
                         std::int64_t wall_ns) {
  net::sign_aws(request, keys, scope, wall_ns);
  const std::string* header = request.headers.find("Authorization");
  return header ? header->substr(header->rfind('=') + 1) : "";
}

net::HttpRequest request_of(std::string method, std::string target, std::string host) {
  net::HttpRequest out;
  out.method = std::move(method);
  out.target = std::move(target);
  out.headers.add("Host", std::move(host));
  return out;
}

}  // namespace

TEST_CASE("signature V4 gives the signatures of Amazon's test suite") {
  const net::AwsCredentials keys{"AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", "", 0};
  const net::AwsScope scope{"us-east-1", "service"};
  auto get = [&](const char* target) {
    return signature_of(request_of("GET", target, "example.amazonaws.com"), keys, scope, kSuite);
  };
  CHECK(get("/") == "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31");
  CHECK(get("/?Param2=value2&Param1=value1") == "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500");
}

TEST_CASE("signature V4 gives the signatures of the S3 documentation") {
  const net::AwsCredentials keys{"AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "", 0};
  const net::AwsScope scope{"us-east-1", "s3"};
  const std::string host = "examplebucket.s3.amazonaws.com";
  net::HttpRequest get = request_of("GET", "/test.txt", host);
  get.headers.add("Range", "bytes=0-9");
  CHECK(signature_of(get, keys, scope, kDocs) == "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41");
  net::HttpRequest put = request_of("PUT", "/test%24file.text", host);
  put.headers.add("Date", "Fri, 24 May 2013 00:00:00 GMT");
  put.headers.add("x-amz-storage-class", "REDUCED_REDUNDANCY");
  put.body = "Welcome to Amazon S3.";
  CHECK(signature_of(put, keys, scope, kDocs) == "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd");
  CHECK(signature_of(request_of("GET", "/?lifecycle", host), keys, scope, kDocs) ==
        "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543");
  CHECK(signature_of(request_of("GET", "/?max-keys=2&prefix=J", host), keys, scope, kDocs) ==
        "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7");
}

TEST_CASE("hashes and encodings") {
  CHECK(net::hex(net::sha256("abc")) == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  CHECK(net::hex(net::hmac_sha256("Jefe", "what do ya want for nothing?")) ==
        "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
  for (const char* text : {"", "f", "fo", "foo", "foob", "fooba", "foobar"})
    CHECK(net::from_base64(net::base64(text)) == text);
  CHECK(net::base64("fooba") == "Zm9vYmE=");
  CHECK_FALSE(net::from_base64("Zm9"));
  CHECK_FALSE(net::from_base64("Zm9%"));
}

TEST_CASE("XML is read, and what is none is refused") {
  auto root = net::parse_xml(
      "\xEF\xBB\xBF<?xml version='1.0'?><!-- x --><a:List xmlns:a=\"u\"><Key n='>'>x&amp;&#34;&#xE9;</Key><Key/>"
      "<Other><![CDATA[<&]]></Other></a:List>\n");
  REQUIRE(root.has_value());
  CHECK(root->name == "List");
  REQUIRE(root->children.size() == 3);
  CHECK(root->text_of("Key") == "x&\"\xC3\xA9");
  CHECK(root->text_of("Other") == "<&");
  CHECK(root->find("None") == nullptr);
  for (const char* bad : {"", "x", "<a>", "<a></b>", "<a><b></a></b>", "<a>&none;</a>", "<a>&#0;</a>", "<a b></a>",
                          "<a b=c></a>", "<a/>x", "<!DOCTYPE a [<!ENTITY x 'y'>]><a>&x;</a>", "<a>&amp</a>", "<a"}) {
    INFO(bad);
    CHECK_FALSE(net::parse_xml(bad).has_value());
  }
  std::string deep;
  for (int i = 0; i < 10'000; ++i) deep += "<a>";
  CHECK_FALSE(net::parse_xml(deep).has_value());
}

TEST_CASE("times of servers are read and written") {
  CHECK(objects::http_time_ns("Fri, 24 May 2013 00:00:00 GMT") == kDocs);
  CHECK(objects::http_time(kDocs) == "Fri, 24 May 2013 00:00:00 GMT");
  CHECK(objects::iso_time_ns("2015-08-30T12:36:00Z") == kSuite);
  CHECK(objects::iso_time_ns("2015-08-30T12:36:00.250Z") == kSuite + kSecond / 4);
  CHECK_FALSE(objects::iso_time_ns("yesterday"));
}

TEST_CASE("profiles are read as Amazon's tools write them") {
  auto sections =
      s3::parse_ini("# c\n[default]\nregion = eu-west-1\r\n[profile work]\naws_access_key_id=A\n junk\n; x\n");
  CHECK(sections["default"]["region"] == "eu-west-1");
  CHECK(sections["work"]["aws_access_key_id"] == "A");
  CHECK(sections["work"].size() == 1);
}

TEST_CASE("what SharedKey signs is what Azure documents") {
  net::HttpRequest request;
  request.method = "GET";
  request.headers.add("x-ms-version", "2015-02-21");
  request.headers.add("x-ms-date", "Fri, 26 Jun 2015 23:39:12 GMT");
  CHECK(azure::string_to_sign(request, "myaccount", "/mycontainer", "comp=metadata&restype=container&timeout=20") ==
        "GET\n\n\n\n\n\n\n\n\n\n\n\nx-ms-date:Fri, 26 Jun 2015 23:39:12 GMT\nx-ms-version:2015-02-21\n"
        "/myaccount/mycontainer\ncomp:metadata\nrestype:container\ntimeout:20");
}

TEST_CASE("keys match patterns part by part") {
  CHECK(matches_path("a/*.csv", "a/b.csv"));
  CHECK_FALSE(matches_path("a/*.csv", "a/b/c.csv"));
  CHECK(matches_path("a/**/c.csv", "a/c.csv"));
  CHECK(matches_path("a/**/c.csv", "a/x/y/c.csv"));
  CHECK(matches_path("a/*", "a/b/c.csv"));
  CHECK_FALSE(matches_path("a/?", "b/c"));
}

TEST_CASE("a connection that ends before its answer is no answer") {
  net::HttpParser parser(net::HttpParser::Role::kResponse, {});
  parser.end_of_input();
  CHECK(parser.state() == net::ParseState::kFailed);
}
