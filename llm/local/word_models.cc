#include "llm/local/word_models.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <queue>

#include <fmt/format.h>

#include "engine/expr/unicode.h"

namespace thalweg::llm {

namespace {

using expr::code_point_at;

std::optional<Token> find(const Vocabulary& vocabulary, std::string_view text) {
  const auto it = vocabulary.find(text);
  if (it == vocabulary.end()) return std::nullopt;
  return it->second;
}

// The tokens of single bytes, `<0x0A>`, for what the vocabulary does not have; false if they are not all there.
bool as_bytes(const Vocabulary& vocabulary, std::string_view text, std::vector<Token>& out) {
  std::vector<Token> tokens;
  for (const char c : text) {
    const auto token = find(vocabulary, fmt::format("<0x{:02X}>", static_cast<unsigned char>(c)));
    if (!token) return false;
    tokens.push_back(*token);
  }
  out.insert(out.end(), tokens.begin(), tokens.end());
  return true;
}

class WordPiece final : public WordModel {
 public:
  WordPiece(const Vocabulary& vocabulary, Token unknown, std::string prefix, std::size_t letters_max)
      : vocabulary_(vocabulary), unknown_(unknown), prefix_(std::move(prefix)), letters_max_(letters_max) {
    for (const auto& [text, token] : vocabulary) longest_ = std::max(longest_, text.size());
  }
  void encode(const std::string& piece, std::vector<Token>& out) const override {
    const std::size_t before = out.size();
    const bool fits = expr::count_code_points(piece) <= static_cast<std::int64_t>(letters_max_);
    std::string part;
    for (std::size_t at = 0; fits && at < piece.size();) {
      std::size_t end = std::min(piece.size(), at + longest_);
      std::optional<Token> token;
      for (; end > at; --end) {
        if (end < piece.size() && (static_cast<unsigned char>(piece[end]) & 0xC0) == 0x80) continue;
        part = at > 0 ? prefix_ : "";
        part.append(piece, at, end - at);
        token = find(vocabulary_, part);
        if (token) break;
      }
      if (!token) {
        out.resize(before);
        break;
      }
      out.push_back(*token);
      at = end;
    }
    if (out.size() == before && !piece.empty()) out.push_back(unknown_);
  }

 private:
  const Vocabulary& vocabulary_;
  const Token unknown_;
  const std::string prefix_;
  const std::size_t letters_max_;
  std::size_t longest_ = 0;
};

class Merges final : public WordModel {
 public:
  explicit Merges(const Vocabulary& vocabulary) : vocabulary_(vocabulary) {}

  Result<void> read(const nlohmann::json& model) {
    prefix_ = text_of(model, "continuing_subword_prefix");
    suffix_ = text_of(model, "end_of_word_suffix");
    byte_fallback_ = model.value("byte_fallback", false);
    ignore_merges_ = model.value("ignore_merges", false);
    const std::string unknown = text_of(model, "unk_token");
    if (!unknown.empty()) unknown_ = find(vocabulary_, unknown);
    std::uint32_t rank = 0;
    for (const nlohmann::json& merge : model.value("merges", nlohmann::json::array())) {
      std::string left, right;
      if (merge.is_array() && merge.size() == 2) {
        left = merge[0].get<std::string>();
        right = merge[1].get<std::string>();
      } else if (merge.is_string()) {
        const std::string both = merge.get<std::string>();
        const std::size_t space = both.find(' ');
        left = both.substr(0, space);
        right = space == std::string::npos ? "" : both.substr(space + 1);
      }
      const std::string tail = prefix_.empty() || !right.starts_with(prefix_) ? right : right.substr(prefix_.size());
      const auto a = find(vocabulary_, left), b = find(vocabulary_, right), to = find(vocabulary_, left + tail);
      if (!a || !b || !to) return fail(Code::kBadData, "a merge of tokens that it does not have");
      merges_.emplace(std::uint64_t{*a} << 32 | *b, Merge{rank++, *to});
    }
    return {};
  }

  void encode(const std::string& piece, std::vector<Token>& out) const override {
    if (ignore_merges_)
      if (const auto whole = find(vocabulary_, piece)) return out.push_back(*whole);
    std::vector<Part> parts = letters(piece);
    std::priority_queue<Found, std::vector<Found>, std::greater<>> open;
    for (std::size_t i = 0; i + 1 < parts.size(); ++i) look(parts, i, open);
    while (!open.empty()) {
      const Found found = open.top();
      open.pop();
      Part& left = parts[found.at];
      if (left.version != found.left || left.next >= parts.size() || parts[left.next].version != found.right) continue;
      Part& right = parts[left.next];
      left.token = found.to;
      ++left.version;
      right.version = kGone;
      left.next = right.next;
      if (left.next < parts.size()) {
        parts[left.next].last = found.at;
        look(parts, found.at, open);
      }
      if (left.last < parts.size()) look(parts, left.last, open);
    }
    for (const Part& part : parts)
      if (part.version != kGone) out.push_back(part.token);
  }

 private:
  static constexpr std::uint32_t kGone = 0xFFFFFFFF;
  struct Merge {
    std::uint32_t rank;
    Token to;
  };
  struct Part {
    Token token;
    std::size_t last, next;
    std::uint32_t version = 0;
  };
  struct Found {
    std::uint32_t rank;
    std::size_t at;
    std::uint32_t left, right;  // versions
    Token to;
    bool operator>(const Found& other) const { return rank != other.rank ? rank > other.rank : at > other.at; }
  };
  static std::string text_of(const nlohmann::json& model, const char* name) {
    return model.contains(name) && model[name].is_string() ? model[name].get<std::string>() : "";
  }
  std::vector<Part> letters(const std::string& piece) const {
    std::vector<Token> tokens;
    for (std::size_t at = 0; at < piece.size();) {
      const std::size_t bytes = code_point_at(piece, at).bytes;
      std::string text = at > 0 ? prefix_ : "";
      text.append(piece, at, bytes);
      if (at + bytes == piece.size()) text += suffix_;
      if (const auto token = find(vocabulary_, text))
        tokens.push_back(*token);
      else if (!(byte_fallback_ && as_bytes(vocabulary_, std::string_view(piece).substr(at, bytes), tokens)) &&
               unknown_)
        tokens.push_back(*unknown_);
      at += bytes;
    }
    std::vector<Part> parts;
    for (std::size_t i = 0; i < tokens.size(); ++i) parts.push_back({tokens[i], i - 1, i + 1});
    return parts;
  }
  template <class Queue>
  void look(const std::vector<Part>& parts, std::size_t at, Queue& open) const {
    const Part &left = parts[at], &right = parts[left.next];
    const auto it = merges_.find(std::uint64_t{left.token} << 32 | right.token);
    if (it != merges_.end()) open.push({it->second.rank, at, left.version, right.version, it->second.to});
  }

  const Vocabulary& vocabulary_;
  std::unordered_map<std::uint64_t, Merge> merges_;
  std::string prefix_, suffix_;
  bool byte_fallback_ = false, ignore_merges_ = false;
  std::optional<Token> unknown_;
};

class Unigram final : public WordModel {
 public:
  explicit Unigram(const Vocabulary& vocabulary) : vocabulary_(vocabulary) {}

  Result<void> read(const nlohmann::json& model) {
    for (const nlohmann::json& entry : model["vocab"]) {
      scores_.push_back(entry[1].get<double>());
      least_ = std::min(least_, scores_.back());
      longest_ = std::max(longest_, entry[0].get_ref<const std::string&>().size());
    }
    byte_fallback_ = model.value("byte_fallback", false);
    if (model.contains("unk_id") && model["unk_id"].is_number_unsigned()) unknown_ = model["unk_id"].get<Token>();
    if (unknown_ && *unknown_ >= scores_.size()) return fail(Code::kBadData, "its unknown token");
    return {};
  }

  // The best way to each place, then back along it.
  void encode(const std::string& piece, std::vector<Token>& out) const override {
    struct Place {
      double score = -INFINITY;
      std::size_t from = 0;
      std::optional<Token> token;
    };
    std::vector<Place> places(piece.size() + 1);
    places[0].score = 0;
    for (std::size_t at = 0; at < piece.size();) {
      const std::size_t letter = code_point_at(piece, at).bytes;
      bool letter_is_known = false;
      for (std::size_t end = at + letter; end <= piece.size() && end - at <= longest_;) {
        const auto token = find(vocabulary_, std::string_view(piece).substr(at, end - at));
        if (token && *token < scores_.size()) {
          letter_is_known = letter_is_known || end == at + letter;
          const double score = places[at].score + scores_[*token];
          if (score > places[end].score) places[end] = {score, at, token};
        }
        if (end == piece.size()) break;
        end += code_point_at(piece, end).bytes;
      }
      const double unknown = places[at].score + least_ - kUnknownCost;
      Place& next = places[at + letter];
      if (!letter_is_known && unknown > next.score) next = {unknown, at, std::nullopt};
      at += letter;
    }
    std::vector<std::pair<std::size_t, std::size_t>> cuts;
    for (std::size_t end = piece.size(); end > 0; end = places[end].from) cuts.emplace_back(places[end].from, end);
    for (std::size_t i = cuts.size(); i-- > 0;) {
      auto [begin, end] = cuts[i];
      if (places[end].token) {
        out.push_back(*places[end].token);
        continue;
      }
      while (i > 0 && !places[cuts[i - 1].second].token) end = cuts[--i].second;  // unknown letters are one token
      if (!(byte_fallback_ && as_bytes(vocabulary_, std::string_view(piece).substr(begin, end - begin), out)) &&
          unknown_)
        out.push_back(*unknown_);
    }
  }

 private:
  static constexpr double kUnknownCost = 10;
  const Vocabulary& vocabulary_;
  std::vector<double> scores_;
  double least_ = 0;
  std::size_t longest_ = 0;
  bool byte_fallback_ = false;
  std::optional<Token> unknown_;
};

// A list of [text, score], or an object of numbers by text.
Result<void> read_vocabulary(const nlohmann::json& vocab, Vocabulary& out) {
  const auto wrong = [] { return fail(Code::kBadData, "its vocabulary"); };
  if (vocab.is_array()) {
    for (const nlohmann::json& entry : vocab) {
      if (!entry.is_array() || entry.size() != 2 || !entry[0].is_string() || !entry[1].is_number()) return wrong();
      out.emplace(entry[0].get<std::string>(), static_cast<Token>(out.size()));
    }
    if (out.size() != vocab.size()) return wrong();
    return {};
  }
  if (!vocab.is_object()) return wrong();
  for (const auto& [text, token] : vocab.items()) {
    if (!token.is_number_unsigned()) return wrong();
    out.emplace(text, token.get<Token>());
  }
  return {};
}

template <class Model>
Result<std::unique_ptr<const WordModel>> made(const nlohmann::json& model, const Vocabulary& vocabulary) {
  auto out = std::make_unique<Model>(vocabulary);
  TRY(out->read(model));
  return out;
}

}  // namespace

Result<std::unique_ptr<const WordModel>> word_piece(const Vocabulary& vocabulary, const std::string& unknown,
                                                    std::string prefix, std::size_t letters_max) {
  const auto token = find(vocabulary, unknown);
  if (!token) return fail(Code::kBadData, "its vocabulary, which has no `" + unknown + "`");
  return std::make_unique<const WordPiece>(vocabulary, *token, std::move(prefix), letters_max);
}

Result<std::unique_ptr<const WordModel>> word_model(const nlohmann::json& model, Vocabulary& vocabulary) {
  if (!model.is_object() || !model.contains("vocab")) return fail(Code::kBadData, "its model, which is missing");
  TRY(read_vocabulary(model["vocab"], vocabulary));
  std::string type = model.value("type", "");
  if (type.empty()) type = model.contains("merges") ? "BPE" : model["vocab"].is_array() ? "Unigram" : "WordPiece";
  if (type == "WordPiece")
    return word_piece(vocabulary, model.value("unk_token", "[UNK]"), model.value("continuing_subword_prefix", "##"),
                      model.value("max_input_chars_per_word", std::size_t{100}));
  if (type == "BPE") return made<Merges>(model, vocabulary);
  if (type == "Unigram" && model["vocab"].is_array()) return made<Unigram>(model, vocabulary);
  return fail(Code::kInvalidArgument, "the model `" + type + "`");
}

}  // namespace thalweg::llm
