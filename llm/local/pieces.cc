#include "llm/local/pieces.h"

#include <memory>

#include <re2/re2.h>

#include "engine/expr/unicode.h"
#include "llm/local/normal_form.h"

namespace thalweg::llm {

namespace {

using expr::code_point_at;

// What becomes of the places where a text is cut.
enum class Behavior : std::uint8_t { kRemoved, kIsolated, kMergedWithPrevious, kMergedWithNext, kContiguous };

using Cut = std::function<void(const std::string& piece, Pieces& out)>;

CutStep each_piece(Cut cut) {
  return [cut = std::move(cut)](const Pieces& pieces) {
    Pieces out;
    for (const std::string& piece : pieces) cut(piece, out);
    return out;
  };
}

// Runs of characters of one sort; `sort` 0 is left out, `alone` stand one by one.
template <class Sort>
void cut_by_sort(const std::string& piece, Pieces& out, Sort sort, int alone) {
  int last = 0;
  for (std::size_t at = 0; at < piece.size();) {
    const expr::CodePoint point = code_point_at(piece, at);
    const int kind = sort(point.value);
    if (kind != 0) {
      if (kind != last || kind == alone) out.emplace_back();
      out.back().append(piece, at, point.bytes);
    }
    last = kind;
    at += point.bytes;
  }
}

// GPT-2's words: 's 't 're 've 'm 'll 'd | ?letters | ?digits | ?others | spaces before a space | spaces
class ByteWords {
 public:
  static void cut(const std::string& piece, Pieces& out) {
    for (std::size_t at = 0; at < piece.size();) {
      const std::size_t end = word_end(piece, at);
      out.push_back(piece.substr(at, end - at));
      at = end;
    }
  }

 private:
  static int sort(char32_t c) {
    if (is_white(c)) return 0;
    if (is_letter(c)) return 1;
    return is_digit(c) ? 2 : 3;
  }
  static std::size_t run(const std::string& text, std::size_t at, int kind) {
    while (at < text.size()) {
      const expr::CodePoint point = code_point_at(text, at);
      if (sort(point.value) != kind) break;
      at += point.bytes;
    }
    return at;
  }
  static std::size_t word_end(const std::string& text, std::size_t at) {
    for (const std::string_view ending : {"'s", "'t", "'re", "'ve", "'m", "'ll", "'d"})
      if (std::string_view(text).substr(at).starts_with(ending)) return at + ending.size();
    const std::size_t begin = text[at] == ' ' ? at + 1 : at;
    if (begin < text.size()) {
      const int kind = sort(code_point_at(text, begin).value);
      if (kind != 0) return run(text, begin, kind);
    }
    const std::size_t end = run(text, at, 0);
    if (end == text.size()) return end;
    std::size_t last = at;  // the last space belongs to the word behind it
    for (std::size_t next = at; next < end; next += code_point_at(text, next).bytes) last = next;
    return last > at ? last : end;
  }
};

std::string in_byte_letters(const std::string& text) {
  std::string out;
  for (const char c : text) out += byte_letter(static_cast<unsigned char>(c));
  return out;
}

Result<Behavior> behavior_of(const nlohmann::json& step) {
  const std::string name = step.value("behavior", "Isolated");
  if (name == "Removed") return Behavior::kRemoved;
  if (name == "Isolated") return Behavior::kIsolated;
  if (name == "MergedWithPrevious") return Behavior::kMergedWithPrevious;
  if (name == "MergedWithNext") return Behavior::kMergedWithNext;
  if (name == "Contiguous") return Behavior::kContiguous;
  return fail(Code::kInvalidArgument, "the behavior `" + name + "` of its pre-tokenizer");
}

// Parts between matches, and matches, told apart; then put together.
void cut_by_regex(const std::string& piece, const RE2& regex, bool invert, Behavior behavior, Pieces& out) {
  std::vector<std::pair<std::string, bool>> parts;
  std::size_t at = 0;
  for (std::size_t from = 0; from < piece.size();) {
    re2::StringPiece match;
    if (!regex.Match(piece, from, piece.size(), RE2::UNANCHORED, &match, 1)) break;
    const auto begin = static_cast<std::size_t>(match.data() - piece.data());
    if (match.empty()) {
      from = begin + 1;
      continue;
    }
    if (begin > at) parts.emplace_back(piece.substr(at, begin - at), invert);
    parts.emplace_back(std::string(match), !invert);
    from = at = begin + match.size();
  }
  if (at < piece.size()) parts.emplace_back(piece.substr(at), invert);
  bool joins = false, last_was_match = false;
  for (auto& [text, is_match] : parts) {
    const bool to_last = (behavior == Behavior::kMergedWithPrevious && is_match && !out.empty() && !last_was_match) ||
                         (behavior == Behavior::kContiguous && is_match && last_was_match) || joins;
    joins = behavior == Behavior::kMergedWithNext && is_match;
    last_was_match = is_match;
    if (is_match && behavior == Behavior::kRemoved) continue;
    if (to_last)
      out.back() += text;
    else
      out.push_back(std::move(text));
  }
}

Result<CutStep> split_step(const nlohmann::json& step) {
  const Behavior behavior = TRY(behavior_of(step));
  const nlohmann::json pattern = step.value("pattern", nlohmann::json());
  const bool literal = pattern.is_object() && pattern.contains("String");
  const std::string text = literal               ? RE2::QuoteMeta(pattern["String"].get<std::string>())
                           : pattern.is_object() ? pattern.value("Regex", "")
                                                 : "";
  auto regex = std::make_shared<const RE2>(text, RE2::Quiet);
  if (text.empty() || !regex->ok())
    return fail(Code::kInvalidArgument, "the pattern `" + text + "` of its pre-tokenizer");
  return each_piece([regex, behavior, invert = step.value("invert", false)](const std::string& piece, Pieces& out) {
    Pieces own;
    cut_by_regex(piece, *regex, invert, behavior, own);
    out.insert(out.end(), own.begin(), own.end());
  });
}

// Spaces become `▁`, which begins a piece.
CutStep metaspace(const std::string& mark, const std::string& scheme, bool split) {
  return [mark, scheme, split](const Pieces& pieces) {
    Pieces out;
    for (std::size_t i = 0; i < pieces.size(); ++i) {
      std::string text;
      for (const char c : pieces[i]) c == ' ' ? text += mark : text += c;
      if ((scheme == "always" || (scheme == "first" && i == 0)) && !text.starts_with(mark)) text.insert(0, mark);
      std::size_t at = 0;
      for (std::size_t next = split ? text.find(mark, 1) : std::string::npos; next != std::string::npos;
           next = text.find(mark, next + mark.size())) {
        out.push_back(text.substr(at, next - at));
        at = next;
      }
      if (at < text.size()) out.push_back(text.substr(at));
    }
    return out;
  };
}

Result<void> append_cuts(const nlohmann::json& step, std::vector<CutStep>& out) {
  if (step.is_null()) return {};
  const std::string type = step.is_object() ? step.value("type", "") : "";
  if (type == "Sequence") {
    for (const nlohmann::json& one : step.value("pretokenizers", nlohmann::json::array())) TRY(append_cuts(one, out));
  } else if (type == "BertPreTokenizer") {
    out.push_back(bert_cut());
  } else if (type == "Whitespace") {
    out.push_back(each_piece([](const std::string& piece, Pieces& to) {
      cut_by_sort(
          piece, to, [](char32_t c) { return is_white(c)                               ? 0
                                             : is_letter(c) || is_digit(c) || c == '_' ? 1
                                                                                       : 2; }, -1);
    }));
  } else if (type == "WhitespaceSplit") {
    out.push_back(each_piece([](const std::string& piece, Pieces& to) {
      cut_by_sort(piece, to, [](char32_t c) { return is_white(c) ? 0 : 1; }, -1);
    }));
  } else if (type == "Punctuation") {
    out.push_back(each_piece([](const std::string& piece, Pieces& to) {
      cut_by_sort(piece, to, [](char32_t c) { return is_punctuation(c) ? 2 : 1; }, 2);
    }));
  } else if (type == "Digits") {
    out.push_back(
        each_piece([alone = step.value("individual_digits", false) ? 2 : -1](const std::string& piece, Pieces& to) {
          cut_by_sort(piece, to, [](char32_t c) { return is_digit(c) ? 2 : 1; }, alone);
        }));
  } else if (type == "Split") {
    out.push_back(TRY(split_step(step)));
  } else if (type == "Metaspace") {
    const bool prefix = step.value("add_prefix_space", true);
    out.push_back(metaspace(step.value("replacement", "▁"), step.value("prepend_scheme", prefix ? "always" : "never"),
                            step.value("split", true)));
  } else if (type == "ByteLevel") {
    if (step.value("add_prefix_space", true))
      out.emplace_back([](Pieces pieces) {
        for (std::string& piece : pieces)
          if (!piece.starts_with(' ')) piece.insert(0, " ");
        return pieces;
      });
    if (step.value("use_regex", true)) out.push_back(each_piece(ByteWords::cut));
    out.push_back(each_piece([](const std::string& piece, Pieces& to) { to.push_back(in_byte_letters(piece)); }));
  } else {
    return fail(Code::kInvalidArgument, "the pre-tokenizer `" + type + "`");
  }
  return {};
}

}  // namespace

std::string byte_letter(unsigned char byte) {
  const bool own = (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174;
  char32_t letter = byte;
  if (!own) {  // the others follow from 256 on
    letter = 256;
    for (unsigned char other = 0; other < byte; ++other)
      letter += (other >= 33 && other <= 126) || (other >= 161 && other <= 172) || other >= 174 ? 0 : 1;
  }
  std::string out;
  expr::append_code_point(letter, out);
  return out;
}

CutStep bert_cut() {
  return each_piece([](const std::string& piece, Pieces& out) {
    cut_by_sort(piece, out, [](char32_t c) { return is_white(c) ? 0 : is_punctuation(c) ? 2 : 1; }, 2);
  });
}

Result<std::vector<CutStep>> cut_steps(const nlohmann::json& pre_tokenizer) {
  std::vector<CutStep> out;
  TRY(append_cuts(pre_tokenizer, out));
  return out;
}

}  // namespace thalweg::llm
