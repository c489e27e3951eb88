#include "llm/local/model_files.h"

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include <fmt/format.h>

namespace thalweg::llm {

namespace fs = std::filesystem;

namespace {

constexpr std::uintmax_t kFileMax = std::uintmax_t{256} << 20;

std::string variable(const char* name) {
  const char* const value = std::getenv(name);
  return value == nullptr ? "" : value;
}

bool is_model(const std::string& folder) {
  std::error_code none;
  return fs::is_regular_file(folder + "/model.safetensors", none);
}

// The cache of Hugging Face: models--org--name/snapshots/REVISION; the one that refs/main names, else the first.
std::string in_cache(const std::string& dir, const std::string& name) {
  std::string flat = "models--";
  for (const char c : name) c == '/' ? flat += "--" : flat += c;
  const std::string root = dir + "/" + flat;
  std::error_code none;
  std::string revision;
  std::ifstream(root + "/refs/main") >> revision;
  const bool is_plain = revision.find_first_of("/.") == std::string::npos;
  if (!revision.empty() && is_plain && is_model(root + "/snapshots/" + revision))
    return root + "/snapshots/" + revision;
  std::vector<std::string> found;
  for (const auto& entry : fs::directory_iterator(root + "/snapshots", none))
    if (is_model(entry.path().string())) found.push_back(entry.path().string());
  return found.empty() ? "" : *std::ranges::min_element(found);
}

bool leaves_folder(const std::string& name) {
  return std::ranges::any_of(fs::path(name), [](const fs::path& part) { return part == ".."; });
}

}  // namespace

Result<std::string> read_model_file(const std::string& path) {
  std::error_code error;
  const std::uintmax_t size = fs::file_size(path, error);
  if (error) return fail(Code::kNotFound, path + ": " + error.message());
  if (size > kFileMax) return fail(Code::kTooLarge, path + " is larger than 256 MiB");
  std::ifstream in(path, std::ios::binary);
  std::string out(size, '\0');
  if (!in.read(out.data(), static_cast<std::streamsize>(size))) return fail(Code::kIo, path + " cannot be read");
  return out;
}

std::vector<std::string> models_dirs(const std::string& given) {
  if (!given.empty()) return {given};
  std::vector<std::string> out;
  if (const std::string own = variable("THALWEG_MODELS_DIR"); !own.empty()) out.push_back(own);
  out.emplace_back("/var/lib/thalweg/models");
  if (const std::string hub = variable("HF_HOME"); !hub.empty())
    out.push_back(hub + "/hub");
  else if (const std::string home = variable("HOME"); !home.empty())
    out.push_back(home + "/.cache/huggingface/hub");
  return out;
}

Result<std::string> find_model(const std::string& name, const std::string& given_dir) {
  if (name.empty()) return fail(Code::kInvalidArgument, "`model:` is missing: the name of a folder with a model");
  const bool is_path = name.starts_with('/') || name.starts_with("./") || name.starts_with("../");
  if (is_path && is_model(name)) return name;
  if (!is_path && leaves_folder(name)) return fail(Code::kInvalidArgument, "`" + name + "` is no name of a model");
  const std::vector<std::string> dirs = models_dirs(given_dir);
  const std::string last = name.substr(name.rfind('/') + 1);
  for (const std::string& dir : is_path ? std::vector<std::string>() : dirs)
    for (const std::string& candidate :
         {dir + "/" + name, dir + "/" + last, in_cache(dir, name), in_cache(dir, "sentence-transformers/" + name)})
      if (!candidate.empty() && is_model(candidate)) return candidate;
  return fail(Code::kNotFound,
              fmt::format("the model `{}` is not here: put its config.json, tokenizer.json and model.safetensors (all "
                          "files of the model's page at Hugging Face) into {}, or name a folder of models with "
                          "`models_dir:` or the variable THALWEG_MODELS_DIR",
                          name, is_path ? name : dirs.front() + "/" + last));
}

}  // namespace thalweg::llm
