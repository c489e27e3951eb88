#include "daemon/environment.h"

#include <algorithm>
#include <map>

#include "daemon/serve/config.h"
#include "pipeline_lang/ast.h"

namespace thalweg::daemon {

namespace {

constexpr std::uint64_t kEnvFileBytesMax = 1 << 20;
constexpr const char* kDotEnv = ".env";

}  // namespace

Result<Variables> read_env_file(const std::string& path, Disk& disk) {
  std::string text = TRY(read_text(path, kEnvFileBytesMax, disk));
  Variables out;
  std::size_t line_number = 0;
  auto blank = [](char c) { return c == ' ' || c == '\t' || c == '\r'; };
  for (std::size_t begin = 0; begin < text.size();) {
    std::size_t end = std::min(text.find('\n', begin), text.size());
    std::string line = text.substr(begin, end - begin);
    begin = end + 1;
    ++line_number;
    while (!line.empty() && blank(line.front())) line.erase(0, 1);
    while (!line.empty() && blank(line.back())) line.pop_back();
    if (line.empty() || line.front() == '#') continue;
    if (line.starts_with("export ")) line.erase(0, 7);
    std::size_t equals = line.find('=');
    if (equals == std::string::npos || equals == 0)
      return fail(Code::kInvalidArgument, path + ":" + std::to_string(line_number) + ": expected NAME=VALUE");
    std::string name = line.substr(0, equals);
    while (!name.empty() && blank(name.back())) name.pop_back();
    if (!ast::is_identifier(name))
      return fail(Code::kInvalidArgument, path + ":" + std::to_string(line_number) + ": `" + name + "` is no name");
    std::string value = line.substr(equals + 1);
    while (!value.empty() && blank(value.front())) value.erase(0, 1);
    bool quoted = value.size() >= 2 && (value.front() == '"' || value.front() == '\'') && value.back() == value.front();
    out.emplace_back(std::move(name), quoted ? value.substr(1, value.size() - 2) : value);
  }
  return out;
}

Result<void> add_env_file(const std::string& path, Env& env) {
  if (path.empty() && !env.disk->stat(kDotEnv)) return {};
  Variables pairs = TRY(read_env_file(path.empty() ? kDotEnv : path, *env.disk));
  auto values = std::make_shared<std::map<std::string, std::string>>(pairs.begin(), pairs.end());
  env.variable = [outer = env.variable, values](const std::string& name) -> std::optional<std::string> {
    if (auto own = outer(name)) return own;
    auto at = values->find(name);
    return at == values->end() ? std::nullopt : std::optional(at->second);
  };
  return {};
}

}  // namespace thalweg::daemon
