// Any text is a table or an error, with types from the text and with declared ones; what was read prints and reads
// back.
#include <cstddef>
#include <cstdint>
#include <string>

#include "pipeline_lang/table_text.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace thalweg;
  const std::string text(reinterpret_cast<const char*>(data), size);
  lang::TableTextOptions options;
  auto table = lang::parse_table_text(text, options);
  if (!table) return 0;
  const std::vector<lang::DeclaredColumn> declared = {{"a", Type(Kind::kJson, true), {}},
                                                      {"b", Type(Kind::kDateTimeUtc, true), {}}};
  options.declared = &declared;
  options.expected = true;
  (void)lang::parse_table_text(text, options);
  for (const lang::TableTextRow& row : table->rows)
    for (std::size_t i = 0; i < row.cells.size(); ++i) {
      const Type& type = table->schema.columns[i].type;
      (void)lang::value_from_cell(lang::cell_text(row.cells[i], type), type);
    }
  return 0;
}
