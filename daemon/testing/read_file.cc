#include "daemon/testing/read_file.h"

#include "pipeline_lang/yaml_reader.h"

namespace thalweg::testing {

Result<std::string> read_whole_file(Disk& disk, const std::string& path) {
  auto file = TRY(disk.open_read(path));
  const FileStat stat = TRY(file->stat());
  if (!stat.is_regular) return fail(Code::kInvalidArgument, path + " is no file");
  if (stat.size > kYamlBytesMax) return fail(Code::kTooLarge, path + " is larger than 8 MiB");
  std::string text(stat.size, '\0');
  std::size_t have = 0;
  while (have < text.size()) {
    const std::size_t got = TRY(file->read_at(have, text.data() + have, text.size() - have));
    if (got == 0) break;
    have += got;
  }
  text.resize(have);
  return text;
}

}  // namespace thalweg::testing
