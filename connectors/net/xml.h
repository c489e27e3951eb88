// connectors/net/xml.h
//
// The answers of object stores: small XML documents, read as a tree of names and texts.
//
// X1  Elements, text, CDATA, comments, processing instructions, the five named entities and numeric ones. Attributes
//     are read and dropped, prefixes of names too. A document type is refused: nothing is ever expanded or fetched.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "engine/base/result.h"

namespace thalweg::net {

struct XmlElement {
  std::string name;
  std::string text;  // of the element itself
  std::vector<XmlElement> children;

  // The first child of that name, or null.
  [[nodiscard]] const XmlElement* find(std::string_view child) const;
  // Its text; empty if there is none.
  [[nodiscard]] std::string text_of(std::string_view child) const;
};

// The root. kBadData says where it stops making sense.
[[nodiscard]] Result<XmlElement> parse_xml(std::string_view document);
[[nodiscard]] std::string xml_escape(std::string_view text);

}  // namespace thalweg::net
