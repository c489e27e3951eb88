#include "llm/parsers/parsers.h"

#include <catch2/catch.hpp>
#include <zlib.h>

#include <cstdlib>

#include "llm/parsers/child.h"

#include "tests/support/random.h"

namespace thalweg::llm {
namespace {

void put(std::string& out, std::uint64_t value, int bytes) {
  for (int i = 0; i < bytes; ++i) out += static_cast<char>((value >> (8 * i)) & 0xFF);
}

// A ZIP archive of deflated files.
std::string zip_of(const std::vector<std::pair<std::string, std::string>>& files) {
  std::string out, directory;
  for (const auto& [name, content] : files) {
    std::string packed(content.size() + 100, '\0');
    z_stream stream{};
    REQUIRE(deflateInit2(&stream, 9, Z_DEFLATED, -MAX_WBITS, 8, Z_DEFAULT_STRATEGY) == Z_OK);
    stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(content.data()));
    stream.avail_in = static_cast<uInt>(content.size());
    stream.next_out = reinterpret_cast<Bytef*>(packed.data());
    stream.avail_out = static_cast<uInt>(packed.size());
    REQUIRE(deflate(&stream, Z_FINISH) == Z_STREAM_END);
    packed.resize(stream.total_out);
    deflateEnd(&stream);
    const std::size_t at = out.size();
    out += "PK\x03\x04";
    put(out, 20, 2);
    put(out, 0, 2);
    put(out, 8, 2);
    put(out, 0, 8);
    put(out, packed.size(), 4);
    put(out, content.size(), 4);
    put(out, name.size(), 2);
    put(out, 0, 2);
    out += name + packed;
    directory += "PK\x01\x02";
    put(directory, 20, 2);
    put(directory, 20, 2);
    put(directory, 0, 2);
    put(directory, 8, 2);
    put(directory, 0, 8);
    put(directory, packed.size(), 4);
    put(directory, content.size(), 4);
    put(directory, name.size(), 2);
    put(directory, 0, 12);
    put(directory, at, 4);
    directory += name;
  }
  const std::size_t start = out.size();
  out += directory + "PK\x05\x06";
  put(out, 0, 4);
  put(out, files.size(), 2);
  put(out, files.size(), 2);
  put(out, directory.size(), 4);
  put(out, start, 4);
  put(out, 0, 2);
  return out;
}

std::string docx() {
  return zip_of(
      {{"word/document.xml",
        "<w:document><w:body><w:p><w:pPr><w:pStyle w:val=\"Heading1\"/></w:pPr><w:r><w:t>Fruit</w:t></w:r></w:p>"
        "<w:p><w:r><w:t>Apples &amp; </w:t></w:r><w:r><w:t xml:space=\"preserve\">pears</w:t></w:r></w:p>"
        "</w:body></w:document>"}});
}

TEST_CASE("DOCX, PPTX and XLSX are seen by their bytes") {
  auto word = parse_document(docx());
  REQUIRE(word);
  CHECK((*word)[0].text == "# Fruit\nApples & pears");
  auto slides = parse_document(zip_of({{"ppt/presentation.xml", "<p/>"},
                                       {"ppt/slides/slide10.xml", "<a:p><a:r><a:t>ten</a:t></a:r></a:p>"},
                                       {"ppt/slides/slide2.xml", "<a:p><a:r><a:t>two</a:t></a:r></a:p>"}}));
  REQUIRE(slides);
  REQUIRE(slides->size() == 2);
  CHECK((*slides)[0].text == "two");
  CHECK((*slides)[1].metadata_json == R"({"filetype":"pptx","page_number":1})");
  auto sheet =
      parse_document(zip_of({{"xl/workbook.xml", "<w/>"},
                             {"xl/sharedStrings.xml", "<sst><si><t>name</t></si><si><t>apple</t></si></sst>"},
                             {"xl/worksheets/sheet1.xml",
                              "<row><c t=\"s\"><v>0</v></c><c t=\"inlineStr\"><is><t>n</t></is></c></row><row><c "
                              "t=\"s\"><v>1</v></c><c><v>7</v>"
                              "</c></row>"}}));
  REQUIRE(sheet);
  CHECK((*sheet)[0].text == "name\tn\napple\t7\n");
}

TEST_CASE("HTML as a reader sees it") {
  auto page = parse_document(
      "<!DOCTYPE html><html><head><title>A &amp; B</title><style>p{}</style></head><body><h1>Big</h1><p>one\n "
      "<b>two</b></p><ul><li>x</li><li>y</li></ul><script>if (a < b) {}</script><p>&lt;end&#33;</body></html>");
  REQUIRE(page);
  CHECK((*page)[0].text == "# Big\n\none two\n\n- x\n- y\n\n<end!");
  CHECK((*page)[0].metadata_json == R"({"filetype":"text/html","title":"A & B"})");
}

TEST_CASE("text is UTF-8") {
  CHECK((*parse_utf8("\xEF\xBB\xBFä"))[0].text == "ä");
  CHECK_FALSE(parse_utf8("\xFF"));
  CHECK_FALSE(parse_document("PK\x03\x04nothing"));
  CHECK_FALSE(parse_document(zip_of({{"x", "y"}})));
}

TEST_CASE("a PDF by pdftotext") {
  const std::string pdf =
      "%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj\n2 0 obj<</Type/Pages/Kids[3 0 R]/Count 1>>endobj\n"
      "3 0 obj<</Type/Page/Parent 2 0 R/MediaBox[0 0 200 200]/Contents 4 0 R/Resources<</Font<</F1 5 0 R>>>>>>endobj\n"
      "4 0 obj<</Length 44>>stream\nBT /F1 12 Tf 20 100 Td (Hello pages) Tj ET  \nendstream endobj\n"
      "5 0 obj<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>endobj\ntrailer<</Root 1 0 R>>\n%%EOF\n";
  auto parsed = parse_document(pdf);
  REQUIRE(parsed);
  CHECK((*parsed)[0].text.find("Hello pages") != std::string::npos);
  CHECK((*parsed)[0].metadata_json == R"({"filetype":"pdf","page_number":0})");
  CHECK_FALSE(parse_document("%PDF-1.4 and nothing more"));
}

const char* const kMail =
    "From: =?iso-8859-1?Q?J=F6rg?= <j@example.org>\r\nTo: b@example.org\r\n"
    "Subject: =?UTF-8?B?w6Q=?=\r\n =?UTF-8?B?w7Y=?=\r\nMIME-Version: 1.0\r\n"
    "Content-Type: multipart/mixed;\r\n boundary=\"a b\"\r\n\r\npreamble\r\n--a b\r\n"
    "Content-Type: multipart/alternative; boundary=c\r\n\r\n--c\r\nContent-Type: text/plain; charset=utf-8\r\n"
    "Content-Transfer-Encoding: quoted-printable\r\n\r\nGr=C3=BC=C3=9Fe, a line=\r\n that goes on\r\n--c\r\n"
    "Content-Type: text/html\r\n\r\n<p>the other</p>\r\n--c--\r\n--a b\r\n"
    "Content-Type: text/plain; name=notes.txt\r\nContent-Disposition: attachment; filename=notes.txt\r\n"
    "Content-Transfer-Encoding: base64\r\n\r\naGVs\r\nbG8=\r\n--a b\r\n"
    "Content-Type: application/pdf; name=x.pdf\r\n\r\n%PDF-broken\r\n--a b--\r\nepilogue\r\n";

TEST_CASE("an e-mail: its head, its plain text, its attachments") {
  REQUIRE(is_mail(kMail));
  const auto parts = parse_document(kMail);
  REQUIRE(parts);
  REQUIRE(parts->size() == 2);
  CHECK((*parts)[0].text == "Subject: äö\nFrom: Jörg <j@example.org>\nTo: b@example.org\n\nGrüße, a line that goes on");
  CHECK((*parts)[0].metadata_json.find(R"("unread_attachments":["x.pdf"])") != std::string::npos);
  CHECK((*parts)[1].text == "hello");
  CHECK((*parts)[1].metadata_json == R"({"attachment":"notes.txt"})");
  CHECK_FALSE(is_mail("A text: with a colon\n\nand more"));
  CHECK_FALSE(is_mail("key: value\nother: value\n\nbody"));
}

TEST_CASE("Markdown: sections under their headings") {
  const auto parts = parse_markdown("---\na: b\n---\nbefore\n# One\nfirst\n## Two ##\n```\n# none\n```\n# Three\n");
  REQUIRE(parts);
  REQUIRE(parts->size() == 4);
  CHECK((*parts)[0].text == "before\n");
  CHECK((*parts)[1].metadata_json == R"({"filetype":"text/markdown","headings":["One"]})");
  CHECK((*parts)[2].metadata_json == R"({"filetype":"text/markdown","headings":["One","Two"]})");
  CHECK((*parts)[2].text.find("# none") != std::string::npos);
  CHECK((*parts)[3].metadata_json == R"({"filetype":"text/markdown","headings":["Three"]})");
}

TEST_CASE("programs of others have limits, and know nothing of ours") {
  const std::string much(300'000, 'x');
  CHECK(*run_child({"cat"}, much, {}) == much);
  CHECK(run_child({"cat"}, "", {})->empty());
  CHECK(run_child({"no-such-program"}, "", {}).error().code == Code::kUnavailable);
  CHECK(run_child({"sh", "-c", "exit 3"}, "", {}).error().code == Code::kBadData);
  CHECK(run_child({"sleep", "60"}, "", {.seconds = 1}).error().code == Code::kTooLarge);
  CHECK(run_child({"sh", "-c", "while :; do echo many; done"}, "", {.output_bytes = 1000}).error().code ==
        Code::kTooLarge);
  ::setenv("THALWEG_TEST_KEY", "secret", 1);
  CHECK(run_child({"env"}, "", {})->find("secret") == std::string::npos);
  CHECK_FALSE(run_child({"sh", "-c", "echo x > /tmp/thalweg-child"}, "", {}));
  CHECK_FALSE(
      run_child({"dd", "if=/dev/zero", "of=/dev/null", "bs=512M", "count=1"}, "", {.memory_bytes = 128U << 20}));
}

TEST_CASE("broken documents are errors and no crashes") {
  testing::Random random(testing::setting_or("THALWEG_PROPERTY_SEED", 5));
  const std::string whole = docx();
  for (int round = 0; round < 2000; ++round) {
    std::string broken = whole.substr(0, random.below(whole.size() + 1));
    for (std::size_t i = 0, n = random.below(4); i < n && !broken.empty(); ++i)
      broken[random.below(broken.size())] = static_cast<char>(random.next());
    (void)parse_office(broken);
    (void)parse_html(broken);
    std::string mail = std::string(kMail).substr(0, random.below(std::string_view(kMail).size() + 1));
    for (std::size_t i = 0, n = random.below(4); i < n && !mail.empty(); ++i)
      mail[random.below(mail.size())] = static_cast<char>(random.next());
    (void)parse_mail(mail.substr(0, mail.find("%PDF")));
    (void)parse_markdown(mail);
  }
  for (const char* text :
       {"<", "<a", "<a b='", "<!--", "<![CDATA[", "<![CDATA[x", "</", "&#x110000;", "&#", "<script>"})
    CHECK(parse_html(text));
}

}  // namespace
}  // namespace thalweg::llm
