// `init [TEMPLATE]`: a pipeline to start from, with its input and tests. The templates are config/templates/.
#include <cstdio>
#include <string_view>
#include <vector>

#include "daemon/commands/commands.h"
#include "daemon/console.h"
#include "daemon/json_writer.h"
#include "engine/base/edit_distance.h"
#include "engine/base/env.h"

namespace thalweg::daemon {
namespace {

struct TemplateFile {
  std::string_view name;  // of the template
  std::string_view path;  // within it
  std::string_view text;
};

constexpr TemplateFile kFiles[] = {
#include "templates.inc"
};
constexpr std::string_view kPipeline = "pipeline.yaml";

// The first comment of a template's pipeline says what it is.
std::string_view first_line(std::string_view text) {
  std::string_view line = text.substr(0, text.find('\n'));
  return line.starts_with("# ") ? line.substr(2) : line;
}

void print_templates() {
  for (const TemplateFile& file : kFiles)
    if (file.path == kPipeline)
      std::printf("%-10s %s\n", std::string(file.name).c_str(), std::string(first_line(file.text)).c_str());
}

void print_templates_as_json() {
  std::string out;
  JsonWriter json(out);
  json.begin_object().key("templates").begin_array();
  for (const TemplateFile& file : kFiles)
    if (file.path == kPipeline)
      json.begin_object().field("name", file.name).field("doc", first_line(file.text)).end_object();
  json.end_array().end_object();
  std::printf("%s\n", out.c_str());
}

std::vector<const TemplateFile*> files_of(const std::string& name) {
  std::vector<const TemplateFile*> out;
  for (const TemplateFile& file : kFiles)
    if (file.name == name) out.push_back(&file);
  return out;
}

std::string unknown_template(const std::string& name) {
  std::vector<std::string> names;
  for (const TemplateFile& file : kFiles)
    if (file.path == kPipeline) names.emplace_back(file.name);
  std::string text = "there is no template `" + name + "`";
  if (auto near = nearest_name(name, names)) text += "; did you mean `" + *near + "`?";
  return text + " (`thalweg init --list` shows them)";
}

Result<void> write_file(Disk& disk, const std::string& path, std::string_view text) {
  TRY(disk.make_directories(path.substr(0, path.rfind('/'))));
  auto file = TRY(disk.open_write(path, Disk::WriteMode::kTruncate));
  TRY(file->append(text));
  return file->sync();
}

}  // namespace

int run_command(const InitArgs& args) {
  if (args.list) {
    args.json ? print_templates_as_json() : print_templates();
    return kExitOk;
  }
  std::vector<const TemplateFile*> files = files_of(args.name);
  if (files.empty()) {
    complain(unknown_template(args.name));
    return kExitUsage;
  }
  Env env = real_env();
  std::string written_files;
  JsonWriter json(written_files);
  json.begin_object().key("files").begin_array();
  for (const TemplateFile* file : files) {  // nothing is written where something would be lost
    std::string path = args.directory + "/" + std::string(file->path);
    if (!env.disk->stat(path)) continue;
    complain(path + " is there already; choose another folder by --dir");
    return kExitFailed;
  }
  for (const TemplateFile* file : files) {
    std::string path = args.directory + "/" + std::string(file->path);
    if (auto written = write_file(*env.disk, path, file->text); !written) {
      complain(written.error().message);
      return kExitFailed;
    }
    args.json ? static_cast<void>(json.text(path)) : static_cast<void>(std::printf("%s\n", path.c_str()));
  }
  json.end_array().end_object();
  if (args.json) std::printf("%s\n", written_files.c_str());
  std::fprintf(stderr, "next: thalweg test %s/pipeline.yaml, then thalweg run %s/pipeline.yaml\n",
               args.directory.c_str(), args.directory.c_str());
  return kExitOk;
}

}  // namespace thalweg::daemon
