#include "connectors/formats/layout.h"

#include <fmt/format.h>

namespace thalweg {

namespace {

std::string_view from_text(plan::SourceField::From from) {
  switch (from) {
    case plan::SourceField::From::kPayload: return "payload";
    case plan::SourceField::From::kKey: return "key";
    case plan::SourceField::From::kTime: return "time";
    case plan::SourceField::From::kPartition: return "partition";
    case plan::SourceField::From::kMetadata: return "metadata";
  }
  return "";
}

}  // namespace

Result<RecordLayout> RecordLayout::of(const plan::Source& source) {
  RecordLayout layout;
  layout.needs_keys = source.needs_keys;
  for (const auto& field : source.fields) layout.has_primary_key |= field.primary_key;
  std::int32_t column = 0;
  for (const auto& field : source.fields) {
    std::int32_t at = field.used ? column++ : -1;
    if (field.used) layout.column_types.push_back(field.type);
    if (field.from == plan::SourceField::From::kMetadata) {
      if (at >= 0) layout.metadata = static_cast<std::uint32_t>(at);
      continue;
    }
    if (field.from != plan::SourceField::From::kPayload)
      return fail(Code::kInvalidPipeline,
                  fmt::format("column `{}` has `source: {}`, which `{}` does not have; only `payload` is possible here",
                              field.name, from_text(field.from), source.connector));
    layout.declared_names.push_back(field.external_name.empty() ? field.name : field.external_name);
    bool for_key = source.needs_keys && field.primary_key;
    if (at < 0 && !for_key) {
      layout.position.push_back(-1);
      continue;
    }
    auto index = static_cast<std::int32_t>(layout.fields.size());
    layout.position.push_back(index);
    if (for_key) layout.key_fields.push_back(static_cast<std::uint32_t>(index));
    layout.fields.push_back(
        {field.name, layout.declared_names.back(), field.type, field.default_value, field.primary_key, at});
  }
  layout.num_payload = layout.fields.size();
  return layout;
}

RecordLayout RecordLayout::of_messages(const plan::Source& source) {
  RecordLayout layout;
  layout.needs_keys = source.needs_keys;
  std::vector<std::int32_t> columns;
  for (const auto& field : source.fields) {
    layout.has_primary_key |= field.primary_key;
    columns.push_back(field.used ? static_cast<std::int32_t>(layout.column_types.size()) : -1);
    if (field.used) layout.column_types.push_back(field.type);
  }
  std::vector<std::int32_t> index(source.fields.size(), -1);
  for (const bool payload : {true, false}) {
    for (std::size_t i = 0; i < source.fields.size(); ++i) {
      const auto& field = source.fields[i];
      if ((field.from == plan::SourceField::From::kPayload) != payload) continue;
      const bool read = columns[i] >= 0 || (source.needs_keys && field.primary_key);
      if (read) index[i] = static_cast<std::int32_t>(layout.fields.size());
      const std::string& name = field.external_name.empty() ? field.name : field.external_name;
      if (read)
        layout.fields.push_back(
            {field.name, name, field.type, field.default_value, field.primary_key, columns[i], field.from});
      if (!payload) continue;
      layout.declared_names.push_back(name);
      layout.position.push_back(index[i]);
      if (read) ++layout.num_payload;
    }
  }
  for (std::size_t i = 0; i < source.fields.size(); ++i)
    if (source.needs_keys && source.fields[i].primary_key)
      layout.key_fields.push_back(static_cast<std::uint32_t>(index[i]));
  return layout;
}

}  // namespace thalweg
