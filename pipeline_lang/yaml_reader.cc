#include "pipeline_lang/yaml_reader.h"

#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/parser.h>

#include <algorithm>
#include <map>
#include <optional>
#include <sstream>
#include <unordered_map>

#include "pipeline_lang/yaml_source.h"

namespace thalweg {
namespace {

using ast::Entry;
using ast::Node;
using ast::NodeKind;
using lang::Diagnostic;
using lang::Diagnostics;

// Ends reading; thrown and caught in this file only.
struct Stop {
  SourceSpan span;
  std::string message;
};

// Builds nodes from events. Collections are open on a stack until their end.
class TreeBuilder : public YAML::EventHandler {
 public:
  TreeBuilder(std::string_view text, FileId file, std::uint32_t shift, Diagnostics& diagnostics)
      : source_(text), file_(file), shift_(shift), diagnostics_(diagnostics) {}

  ast::NodePtr take_root() { return std::move(root_); }
  // From now on any content is a second document.
  void expect_end() { ended_ = true; }

  void OnDocumentStart(const YAML::Mark& mark) override {
    if (ended_) throw Stop{span_at(mark), "a pipeline file is one document; a second one begins here"};
  }
  void OnDocumentEnd() override {}

  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    auto node = scalar_at(mark, "?", "");
    add(std::move(node), anchor);
  }

  void OnAlias(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    const auto found = anchors_.find(anchor);
    if (found == anchors_.end()) {
      diagnostics_.error(span_at(mark), "this alias stands inside the value that it names");
      auto nothing = std::make_shared<Node>();
      nothing->span = span_at(mark);
      place(nothing, nothing->span);
      return;
    }
    place(found->second, span_at(mark));
  }

  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                const std::string& value) override {
    add(scalar_at(mark, tag, value), anchor);
  }

  void OnSequenceStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value style) override {
    open(NodeKind::kSequence, mark, tag, anchor, style);
  }
  void OnSequenceEnd() override { close(); }
  void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value style) override {
    open(NodeKind::kMapping, mark, tag, anchor, style);
  }
  void OnMapEnd() override { close(); }

 private:
  struct Open {
    std::shared_ptr<Node> node;
    YAML::anchor_t anchor = 0;
    bool flow = false;
    std::optional<Entry> key;  // mapping: a key whose value is awaited
    std::unordered_map<std::string, std::size_t> seen;
    std::vector<std::pair<ast::NodePtr, SourceSpan>> merges;
  };

  [[nodiscard]] std::uint32_t offset(const YAML::Mark& mark) const {
    const auto pos = mark.pos < 0 ? std::size_t{0} : static_cast<std::size_t>(mark.pos);
    return static_cast<std::uint32_t>(std::min(pos, source_.size()));
  }
  [[nodiscard]] SourceSpan span(std::size_t begin, std::size_t end) const {
    return {file_, static_cast<std::uint32_t>(begin) + shift_, static_cast<std::uint32_t>(end) + shift_};
  }
  [[nodiscard]] SourceSpan span_at(const YAML::Mark& mark) const {
    const std::uint32_t at = offset(mark);
    return span(at, std::min<std::size_t>(at + 1, source_.size()));
  }

  // Reads `!tag &anchor` before a value; the tag goes into the node. Returns where the value begins.
  std::uint32_t take_properties(Node& node, const YAML::Mark& mark, const std::string& tag) {
    const yaml::Properties properties = yaml::skip_properties(source_, offset(mark));
    if (tag == "?" || tag == "!" || tag.empty()) return properties.value_begin;
    if (properties.tag_end > properties.tag_begin) node.tag_span = span(properties.tag_begin, properties.tag_end);
    constexpr std::string_view kStandard = "tag:yaml.org,2002:";
    if (tag.starts_with(kStandard)) {
      const std::string_view name = std::string_view(tag).substr(kStandard.size());
      if (name == "str") node.quoted = true;
      for (std::string_view plain : {"str", "int", "float", "bool", "null", "map", "seq"})
        if (name == plain) {
          node.tag_span = {};
          return properties.value_begin;
        }
      node.tag = "!" + std::string(name);  // `!!python/…`: no component has such a name
    } else {
      node.tag = tag[0] == '!' ? tag.substr(1) : tag;
    }
    if (!node.tag_span.known()) node.tag_span = span(offset(mark), properties.value_begin);
    return properties.value_begin;
  }

  // `!!int "5"` is the number.
  static bool names_number(std::string_view tag) {
    return tag == "tag:yaml.org,2002:int" || tag == "tag:yaml.org,2002:float" || tag == "tag:yaml.org,2002:bool";
  }

  std::shared_ptr<Node> scalar_at(const YAML::Mark& mark, const std::string& tag, const std::string& value) {
    count_node(mark);
    auto node = std::make_shared<Node>();
    node->kind = NodeKind::kScalar;
    const std::uint32_t begin = take_properties(*node, mark, tag);
    const yaml::ScalarPlace place = yaml::find_scalar(source_, begin, value, tag == "!");
    if (place.unterminated) throw Stop{span(begin, begin + 1), "this quote is never closed"};
    node->quoted = node->quoted || (place.quoted && !names_number(tag));
    node->verbatim = place.verbatim;
    node->text = value;
    if (value.empty() && !place.quoted) {
      node->text = std::string(yaml::null_word(source_, begin));
      const std::uint32_t at = node->tag_span.known() ? node->tag_span.end - shift_ : begin;
      node->span = node->text.empty() ? span(at, at) : span(begin, begin + node->text.size());
    } else {
      node->span = span(begin, place.end);
    }
    node->text_begin = place.text_begin + shift_;
    return node;
  }

  void open(NodeKind kind, const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
            YAML::EmitterStyle::value style) {
    count_node(mark);
    if (stack_.size() >= kYamlDepthMax)
      throw Stop{span_at(mark), "nested deeper than " + std::to_string(kYamlDepthMax) + " levels"};
    Open frame;
    frame.node = std::make_shared<Node>();
    frame.node->kind = kind;
    const std::uint32_t begin = take_properties(*frame.node, mark, tag);
    frame.node->span = span(begin, begin);
    frame.anchor = anchor;
    frame.flow = style == YAML::EmitterStyle::Flow ||
                 (begin < source_.size() && (source_[begin] == '{' || source_[begin] == '['));
    stack_.push_back(std::move(frame));
  }

  void close() {
    Open frame = std::move(stack_.back());
    stack_.pop_back();
    Node& node = *frame.node;
    for (auto& [merged, at] : frame.merges) merge(node, *merged, at);
    std::uint32_t end = node.span.end;
    for (const ast::NodePtr& item : node.items)
      if (item->span.begin >= node.span.begin) end = std::max(end, item->whole_span().end);
    for (const Entry& entry : node.entries) {
      if (entry.span.begin >= node.span.begin) end = std::max(end, entry.span.end);
      if (entry.value->span.begin >= node.span.begin) end = std::max(end, entry.value->whole_span().end);
    }
    if (frame.flow) end = yaml::flow_end(source_, end - shift_) + shift_;
    node.span.end = end;
    for (const ast::NodePtr& item : node.items) node.expanded += item->expanded;
    for (const Entry& entry : node.entries) node.expanded += entry.value->expanded;
    if (node.expanded > kYamlNodesMax) throw too_many(node.span);
    add(std::move(frame.node), frame.anchor);
  }

  void add(std::shared_ptr<Node> node, YAML::anchor_t anchor) {
    const SourceSpan at = node->whole_span();
    ast::NodePtr frozen = std::move(node);
    if (anchor != 0) anchors_[anchor] = frozen;
    place(frozen, at);
  }

  // Puts a finished node where it belongs: root, item, key or value.
  void place(const ast::NodePtr& node, SourceSpan at) {
    if (stack_.empty()) {
      root_ = node;
      return;
    }
    Open& frame = stack_.back();
    if (frame.node->kind == NodeKind::kSequence) {
      frame.node->items.push_back(node);
      return;
    }
    if (!frame.key) {
      frame.key = key_of(*node, at);
      return;
    }
    Entry entry = std::move(*frame.key);
    frame.key.reset();
    entry.value = node;
    // An empty value has its place behind its key, not at the next token.
    if (node->is_plain() && node->text.empty() && node->span.begin > entry.span.end) {
      auto copy = std::make_shared<Node>(*node);
      copy->span = {file_, entry.span.end, entry.span.end};
      entry.value = std::move(copy);
    }
    insert(frame, std::move(entry));
  }

  Entry key_of(const Node& node, SourceSpan at) {
    Entry entry;
    entry.key = node.is_scalar() ? node.text : "";
    if (!node.is_scalar())
      diagnostics_.error(at, "a key is a text; lists and mappings cannot be keys");
    else if (!node.tag.empty())
      diagnostics_.error(at, "a key cannot have a tag");
    else if (node.text.empty() && !node.quoted)
      diagnostics_.error(at, "a key is missing here");
    entry.quoted = node.quoted;
    entry.span = at;
    if (entry.key.starts_with('$') && !entry.quoted && !ast::is_identifier(std::string_view(entry.key).substr(1)))
      diagnostics_.error(at, "`" + entry.key + "` is no name of a variable")
          .note("a name is letters, digits and `_`; quote the key if it is a text");
    return entry;
  }

  void insert(Open& frame, Entry entry) {
    if (entry.key.empty() && !entry.quoted) return;  // no key: the error has been given
    if (entry.key == "<<" && !entry.quoted) {
      if (entry.value->is_sequence())
        for (const ast::NodePtr& item : entry.value->items) frame.merges.emplace_back(item, entry.span);
      else
        frame.merges.emplace_back(entry.value, entry.span);
      return;
    }
    // "$x" in quotes is another key than $x.
    const std::string id = (entry.quoted && entry.key.starts_with('$') ? "q" : "p") + entry.key;
    const auto [known, fresh] = frame.seen.emplace(id, frame.node->entries.size());
    if (!fresh) {
      diagnostics_.error(entry.span, "duplicate key `" + entry.key + "`")
          .note("first given here", frame.node->entries[known->second].span);
      return;
    }
    frame.node->entries.push_back(std::move(entry));
  }

  void merge(Node& into, const Node& from, SourceSpan at) {
    if (!from.is_mapping()) {
      diagnostics_.error(at, "`<<` merges a mapping or a list of mappings");
      return;
    }
    for (const Entry& entry : from.entries) {
      const bool present = std::any_of(into.entries.begin(), into.entries.end(), [&](const Entry& known) {
        return known.key == entry.key && known.is_definition() == entry.is_definition();
      });
      if (!present) into.entries.push_back(entry);
    }
    if (into.entries.size() > kYamlNodesMax) throw too_many(at);
  }

  void count_node(const YAML::Mark& mark) {
    if (++num_nodes_ > kYamlNodesMax) throw too_many(span_at(mark));
  }
  static Stop too_many(SourceSpan at) {
    return {at, "more than " + std::to_string(kYamlNodesMax) + " nodes, aliases written out"};
  }

  const std::string_view source_;  // without a byte order mark
  const FileId file_;
  const std::uint32_t shift_;  // bytes of the mark
  Diagnostics& diagnostics_;
  std::vector<Open> stack_;
  std::map<YAML::anchor_t, ast::NodePtr> anchors_;
  ast::NodePtr root_;
  std::uint64_t num_nodes_ = 0;
  bool ended_ = false;
};

std::string plain_words(const std::string& message) {
  static const std::map<std::string, std::string> kWords = {
      {"illegal map value", "a `:` is not allowed here; quote the text if it contains `: `"},
      {"end of map not found", "this mapping is broken off here; is a quote, a comma or the indentation wrong?"},
      {"end of sequence not found", "this list is broken off here; is a quote, a comma or the indentation wrong?"},
      {"end of map flow not found", "`}` or `,` expected; quote texts that contain `{ } [ ] ,` or `: `"},
      {"end of sequence flow not found", "`]` or `,` expected; quote texts that contain `{ } [ ] ,` or `: `"},
      {"illegal EOF in scalar", "a quote is never closed"},
      {"unknown token", "this character cannot begin a value; quote the text"},
      {"illegal flow end", "a closing bracket without its opening one"},
      {"illegal block entry", "a list item `- ` is not allowed here"},
      {"illegal map key", "a key is not allowed here"},
      {"illegal document indicator in scalar", "a document mark inside a quoted text"},
      {"unknown escape character: ",
       "unknown escape in a double-quoted text; use single quotes for texts with backslashes"},
  };
  for (const auto& [theirs, ours] : kWords)
    if (message.starts_with(theirs)) return ours;
  return message;
}

// Texts that the scanner must not see: it takes a 0x04 for the end of the input and copies broken bytes on.
std::optional<std::pair<std::size_t, std::string>> forbidden(std::string_view text) {
  for (std::size_t i = 0; i < text.size();) {
    const auto c = static_cast<unsigned char>(text[i]);
    if (c < 0x20 && c != '\t' && c != '\n' && c != '\r')
      return std::pair(i, "a control character (byte " + std::to_string(c) + ") is not allowed in YAML");
    const std::size_t length = yaml::utf8_length(text, i);
    if (length == 0) return std::pair(i, std::string("this is not valid UTF-8"));
    i += length;
  }
  return std::nullopt;
}

// Whether the line that holds the byte `at` begins with a tab, maybe behind blanks.
bool is_indented_with_tab(std::string_view text, std::size_t at) {
  const std::size_t end = text.substr(0, at).rfind('\n');
  const std::size_t begin = end == std::string_view::npos ? 0 : end + 1;
  const std::size_t first = text.find_first_not_of(' ', begin);
  return first != std::string_view::npos && text[first] == '\t';
}

ast::NodePtr empty_mapping(FileId file) {
  auto node = std::make_shared<Node>();
  node->kind = NodeKind::kMapping;
  node->span = {file, 0, 0};
  return node;
}

}  // namespace

ast::NodePtr read_yaml(const FileTable& files, FileId file, Diagnostics& diagnostics) {
  std::string_view text = files.text(file);
  if (text.size() > kYamlBytesMax) {
    diagnostics.error({file, 0, 0}, "the file has " + std::to_string(text.size()) + " bytes; at most " +
                                        std::to_string(kYamlBytesMax) + " are read");
    return nullptr;
  }
  std::uint32_t shift = 0;
  if (text.starts_with("\xEF\xBB\xBF")) {
    shift = 3;
    text.remove_prefix(3);
  }
  if (const auto bad = forbidden(text)) {
    const auto at = static_cast<std::uint32_t>(bad->first) + shift;
    diagnostics.error({file, at, at + 1}, bad->second);
    return nullptr;
  }
  try {
    std::istringstream stream{std::string(text)};
    YAML::Parser parser(stream);
    TreeBuilder builder(text, file, shift, diagnostics);
    if (!parser.HandleNextDocument(builder)) return empty_mapping(file);
    ast::NodePtr root = builder.take_root();
    builder.expect_end();
    parser.HandleNextDocument(builder);
    if (root == nullptr || root->is_null()) return empty_mapping(file);
    return root;
  } catch (const Stop& stop) {
    diagnostics.error(stop.span, stop.message);
  } catch (const YAML::Exception& error) {
    const std::size_t offset =
        std::min<std::size_t>(static_cast<std::size_t>(std::max(error.mark.pos, 0)), text.size());
    const auto at = static_cast<std::uint32_t>(offset) + shift;
    Diagnostic& found = diagnostics.error({file, at, at + 1}, "this is not valid YAML: " + plain_words(error.msg));
    if (is_indented_with_tab(text, offset)) found.note("the line is indented with a tab; YAML takes blanks only");
  } catch (const std::exception& error) {
    diagnostics.error({file, 0, 0}, std::string("this is not valid YAML: ") + error.what());
  }
  return nullptr;
}

}  // namespace thalweg
