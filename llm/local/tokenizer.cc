#include "llm/local/tokenizer.h"

#include <algorithm>
#include <filesystem>

#include "llm/local/model_files.h"

namespace thalweg::llm {

namespace {

std::size_t marks_of(const auto& parts) {
  return static_cast<std::size_t>(std::ranges::count_if(parts, [](const auto& part) { return !part.is_text; }));
}

}  // namespace

Result<std::shared_ptr<const Tokenizer>> Tokenizer::load(const std::string& folder) {
  const std::string json = folder + "/tokenizer.json", words = folder + "/vocab.txt";
  if (std::filesystem::exists(json)) {
    auto made = from_json(TRY(read_model_file(json)));
    if (!made) return fail(made.error().code, json + ": not understood: " + made.error().message);
    return made;
  }
  if (!std::filesystem::exists(words))
    return fail(Code::kNotFound, folder + " has neither a tokenizer.json nor a vocab.txt");
  std::shared_ptr<Tokenizer> out(new Tokenizer());
  auto read = out->read_vocabulary_file(folder, words);
  if (!read) return fail(read.error().code, words + ": not understood: " + read.error().message);
  return out;
}

Result<std::shared_ptr<const Tokenizer>> Tokenizer::from_json(const std::string& text) {
  std::shared_ptr<Tokenizer> out(new Tokenizer());
  const nlohmann::json json = nlohmann::json::parse(text, nullptr, false);
  if (!json.is_object()) return fail(Code::kBadData, "it is no JSON object");
  try {  // values of other types than these files have
    TRY(out->read(json));
  } catch (const nlohmann::json::exception&) {
    return fail(Code::kBadData, "a value of another type than a tokenizer.json has");
  }
  return out;
}

Result<void> Tokenizer::read(const nlohmann::json& json) {
  normal_form_ = TRY(normal_form(json.value("normalizer", nlohmann::json())));
  cuts_ = TRY(cut_steps(json.value("pre_tokenizer", nlohmann::json())));
  const nlohmann::json model = json.value("model", nlohmann::json());
  model_ = TRY(word_model(model, vocabulary_));
  for (const nlohmann::json& added : json.value("added_tokens", nlohmann::json::array()))
    vocabulary_.emplace(added.value("content", ""), added.value("id", Token{0}));
  if (model.contains("unk_token") && model["unk_token"].is_string()) {
    const auto it = vocabulary_.find(model["unk_token"].get<std::string>());
    if (it != vocabulary_.end()) unknown_ = it->second;
  }
  if (model.contains("unk_id") && model["unk_id"].is_number_unsigned()) unknown_ = model["unk_id"].get<Token>();
  single_ = {{true, 0, 0, 0}};
  pair_ = {{true, 0, 0, 0}, {true, 0, 1, 1}};
  return read_marks(json.value("post_processor", nlohmann::json()));
}

Result<void> Tokenizer::read_marks(const nlohmann::json& post) {
  if (post.is_null()) return {};
  const std::string type = post.value("type", "");
  if (type == "Sequence") {
    for (const nlohmann::json& one : post.value("processors", nlohmann::json::array())) TRY(read_marks(one));
  } else if (type == "BertProcessing") {
    mark_as_bert(post["cls"][1].get<Token>(), post["sep"][1].get<Token>());
  } else if (type == "RobertaProcessing") {
    const Token begin = post["cls"][1].get<Token>(), end = post["sep"][1].get<Token>();
    const Part open{false, begin}, close{false, end}, first{true, 0, 0}, second{true, 0, 1};
    single_ = {open, first, close};
    pair_ = {open, first, close, close, second, close};
  } else if (type == "TemplateProcessing") {
    const auto read_template = [&](const nlohmann::json& items, std::vector<Part>& to) -> Result<void> {
      to.clear();
      for (const nlohmann::json& item : items) {
        const bool is_text = item.contains("Sequence");
        const nlohmann::json& about = is_text ? item["Sequence"] : item["SpecialToken"];
        const std::string id = about.value("id", "");
        const auto segment = static_cast<std::uint8_t>(about.value("type_id", 0) & 0xFF);
        if (is_text) {
          to.push_back({true, 0, id == "B" ? std::size_t{1} : std::size_t{0}, segment});
          continue;
        }
        const auto it = vocabulary_.find(id);
        if (it == vocabulary_.end()) return fail(Code::kBadData, "its mark `" + id + "`, which is no token");
        to.push_back({false, it->second, 0, segment});
      }
      return {};
    };
    TRY(read_template(post.value("single", nlohmann::json::array()), single_));
    TRY(read_template(post.value("pair", nlohmann::json::array()), pair_));
  } else if (type != "ByteLevel") {
    return fail(Code::kInvalidArgument, "the post-processor `" + type + "`");
  }
  return {};
}

void Tokenizer::mark_as_bert(Token begin, Token end) {
  const Part open{false, begin}, close{false, end}, first{true, 0, 0, 0};
  single_ = {open, first, close};
  pair_ = {open, first, close, {true, 0, 1, 1}, {false, end, 0, 1}};
}

// One token a line, numbered from 0.
Result<void> Tokenizer::read_vocabulary_file(const std::string& folder, const std::string& path) {
  const std::string text = TRY(read_model_file(path));
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find('\n', at), text.size());
    std::string word = text.substr(at, end - at);
    if (word.ends_with('\r')) word.pop_back();
    vocabulary_.emplace(std::move(word), static_cast<Token>(vocabulary_.size()));
    at = end + 1;
  }
  bool lower_case = true;
  if (std::filesystem::exists(folder + "/tokenizer_config.json")) {
    const nlohmann::json config =
        nlohmann::json::parse(TRY(read_model_file(folder + "/tokenizer_config.json")), nullptr, false);
    if (config.is_object() && config.contains("do_lower_case") && config["do_lower_case"].is_boolean())
      lower_case = config["do_lower_case"].get<bool>();
  }
  normal_form_ = {bert_form(true, true, lower_case, lower_case)};
  cuts_ = {bert_cut()};
  model_ = TRY(word_piece(vocabulary_, "[UNK]", "##", 100));
  unknown_ = vocabulary_.find("[UNK]")->second;
  const auto begin = vocabulary_.find("[CLS]"), end = vocabulary_.find("[SEP]");
  if (begin == vocabulary_.end() || end == vocabulary_.end())
    return fail(Code::kBadData, "it has no `[CLS]` and `[SEP]`");
  mark_as_bert(begin->second, end->second);
  return {};
}

std::vector<Token> Tokenizer::plain(std::string_view text) const {
  std::string normal(text);
  for (const TextStep& step : normal_form_) normal = step(std::move(normal));
  Pieces pieces;
  if (!normal.empty()) pieces.push_back(std::move(normal));
  for (const CutStep& step : cuts_) pieces = step(pieces);
  std::vector<Token> out;
  for (const std::string& piece : pieces) model_->encode(piece, out);
  return out;
}

Tokenizer::Encoded Tokenizer::put_together(const std::vector<Part>& parts,
                                           const std::vector<std::vector<Token>>& texts) const {
  Encoded out;
  for (const Part& part : parts) {
    if (part.is_text && part.text < texts.size())
      out.tokens.insert(out.tokens.end(), texts[part.text].begin(), texts[part.text].end());
    else if (!part.is_text)
      out.tokens.push_back(part.token);
    out.segments.resize(out.tokens.size(), part.segment);
  }
  return out;
}

Tokenizer::Encoded Tokenizer::encode(std::string_view text, std::size_t limit) const {
  std::vector<Token> tokens = plain(text);
  tokens.resize(std::min(tokens.size(), limit - std::min(limit, marks_of(single_))));
  return put_together(single_, {std::move(tokens)});
}

// What is too long loses tokens of the longer text.
Tokenizer::Encoded Tokenizer::encode_pair(std::string_view first, std::string_view second, std::size_t limit) const {
  std::vector<Token> a = plain(first), b = plain(second);
  const std::size_t room = limit - std::min(limit, marks_of(pair_));
  const std::size_t shorter = std::min({a.size(), b.size(), room / 2});
  const std::size_t rest = room - shorter;
  if (a.size() + b.size() > room) {
    if (a.size() <= shorter)
      b.resize(std::min(b.size(), rest));
    else if (b.size() <= shorter)
      a.resize(std::min(a.size(), rest));
    else {
      a.resize(room - room / 2);
      b.resize(room / 2);
    }
  }
  return put_together(pair_, {std::move(a), std::move(b)});
}

}  // namespace thalweg::llm
