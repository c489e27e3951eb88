#include "connectors/kafka/messages.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include <fmt/format.h>
#include <xxhash.h>

#include "connectors/formats/debezium.h"
#include "connectors/formats/encode.h"
#include "connectors/formats/json_object.h"
#include "connectors/formats/json_value.h"
#include "connectors/formats/row_writer.h"
#include "connectors/formats/text_value.h"

namespace thalweg::kafka {

namespace {

using From = plan::SourceField::From;
constexpr std::size_t kBlockBytes = 1 << 20;

std::uint64_t key_source(const std::string& name, const std::string& topic, std::int32_t partition) {
  const std::string bytes = fmt::format("{} {} {} {}", name.size(), name, topic, partition);
  return XXH3_64bits(bytes.data(), bytes.size());
}

// `[["name", "base64"], ["other", null]]`
std::string headers_of(const rd_kafka_message_t& message) {
  std::string out = "[";
  rd_kafka_headers_t* headers = nullptr;
  if (rd_kafka_message_headers(&message, &headers) == RD_KAFKA_RESP_ERR_NO_ERROR) {
    const char* name = nullptr;
    const void* value = nullptr;
    std::size_t size = 0;
    for (std::size_t i = 0; rd_kafka_header_get_all(headers, i, &name, &value, &size) == 0; ++i) {
      out += i > 0 ? ",[" : "[";
      append_json_string(is_utf8(name) ? name : "?", out);
      out += ',';
      if (value == nullptr) {
        out += "null";
      } else {
        out += '"';
        append_base64({static_cast<const char*>(value), size}, out);
        out += '"';
      }
      out += ']';
    }
  }
  return out + "]";
}

// The whole of a key as one column; nothing if it does not fit.
std::optional<Value> whole_key(const Type& type, std::string_view key) {
  if (type.is(Kind::kBytes)) return Value::bytes(std::string(key));
  if (key.starts_with('"') || !type.is(Kind::kStr))
    if (auto value = json::text_to_value(type, key)) return value;
  if (!is_utf8(key)) return std::nullopt;
  return token_to_value(type, key);
}

class JsonMessages final : public MessageDecoder {
 public:
  explicit JsonMessages(std::unique_ptr<JsonLinesDecoder> lines) : lines_(std::move(lines)) {}
  void decode(const MessageBlock& messages, Reporter& report) const override {
    lines_->decode(messages.block(), messages.info(), report);
  }

 private:
  const std::unique_ptr<JsonLinesDecoder> lines_;
};

// The payload as it is, in every column that is not from elsewhere.
class RawMessages final : public MessageDecoder {
 public:
  explicit RawMessages(const RecordLayout& layout) : layout_(layout) {}
  void decode(const MessageBlock& messages, Reporter& report) const override {
    const BlockInfo info = messages.info();
    RowWriter rows(layout_, messages.block(), info, report);
    for (std::size_t i = 0; i < messages.size(); ++i) {
      const std::string_view payload = messages.payload(i);
      if (messages.is_tombstone(i)) {
        rows.empty_record(payload.data(), i);
        continue;
      }
      for (std::size_t field = 0; field < rows.num_fields(); ++field) {
        if (rows.field(field).type.is(Kind::kStr) && rows.must_check_utf8() && !is_utf8(payload))
          rows.put_error(field, payload.data(), "is not valid UTF-8");
        else
          rows.put_view(field, StrView(payload));
      }
      rows.finish_row(payload.data(), i);
    }
    rows.flush();
  }

 private:
  const RecordLayout& layout_;
};

class DebeziumMessages final : public MessageDecoder {
 public:
  DebeziumMessages(const RecordLayout& layout, Format format, bool upsert)
      : layout_(layout),
        envelopes_(
            layout,
            format == Format::kDebeziumMongo ? DebeziumDecoder::Database::kMongo : DebeziumDecoder::Database::kPostgres,
            upsert) {}
  void decode(const MessageBlock& messages, Reporter& report) const override {
    const BlockInfo info = messages.info();
    RowWriter rows(layout_, messages.block(), info, report);
    for (std::size_t i = 0; i < messages.size(); ++i) {
      std::optional<std::string_view> key;
      if (messages.keys().has(i)) key = messages.keys()[i];
      envelopes_.decode(rows, messages.payload(i).data(), i, key);
    }
    rows.flush();
  }

 private:
  const RecordLayout& layout_;
  const DebeziumDecoder envelopes_;
};

class AvroMessages final : public MessageDecoder {
 public:
  AvroMessages(const RecordLayout& layout, const AvroSchemas& schemas) : layout_(layout), schemas_(schemas) {}
  void decode(const MessageBlock& messages, Reporter& report) const override {
    const BlockInfo info = messages.info();
    RowWriter rows(layout_, messages.block(), info, report);
    std::uint32_t last = 0;
    AvroSchemas::Entry schema;
    for (std::size_t i = 0; i < messages.size(); ++i) {
      const std::string_view payload = messages.payload(i);
      const auto id = framed_schema(payload);
      if (!id) {
        if (payload.empty())
          rows.empty_record(payload.data(), i);
        else
          rows.bad_record(payload.data(), payload.data(), i, "the message does not begin with the number of a schema");
        continue;
      }
      if (*id != last || (!schema.reader && schema.problem.empty())) schema = schemas_.find(*id);
      last = *id;
      const std::string problem =
          schema.reader ? schema.reader->read(payload.substr(kFrameBytes), rows) : schema.problem;
      if (problem.empty())
        rows.finish_row(payload.data(), i);
      else
        rows.bad_record(payload.data(), payload.data(), i, problem);
    }
    rows.flush();
  }

 private:
  const RecordLayout& layout_;
  const AvroSchemas& schemas_;
};

Result<void> check_fields(const plan::Source& source, const ReadSettings& settings) {
  std::size_t num_payload = 0;
  for (const plan::SourceField& field : source.fields) {
    const Type& type = field.type;
    const bool moment = type.is(Kind::kInt) || type.is(Kind::kDateTimeUtc) || type.is(Kind::kDateTimeNaive);
    if (field.from == From::kTime && !moment)
      return fail(Code::kInvalidPipeline,
                  fmt::format("column `{}` is the time of the message: it must be int (milliseconds), datetime_utc or "
                              "datetime_naive, not {}",
                              field.name, type.to_text()));
    if (field.from == From::kPartition && !type.is(Kind::kInt))
      return fail(Code::kInvalidPipeline,
                  fmt::format("column `{}` is the partition of the message: it must be int", field.name));
    if (field.from != From::kPayload) continue;
    ++num_payload;
    const bool raw = settings.format == Format::kRaw || settings.format == Format::kPlainText;
    if (raw && (num_payload > 1 || (!type.is(Kind::kBytes) && !type.is(Kind::kStr))))
      return fail(Code::kInvalidPipeline,
                  fmt::format("the formats `raw` and `plaintext` give one column of type bytes or str, and `{}` is "
                              "another; `format: json` reads several",
                              field.name));
  }
  const bool keyed = std::ranges::any_of(
      source.fields, [](const auto& field) { return field.primary_key && field.from == From::kPayload; });
  if (is_debezium(settings.format) && !keyed)
    return fail(Code::kInvalidPipeline,
                "rows of Debezium change and go by their primary key: mark its columns in the schema, or give "
                "`id_column`");
  for (const auto& [column, path] : settings.json_paths)
    if (std::ranges::none_of(source.fields, [&](const auto& field) { return field.name == column; }))
      return fail(Code::kInvalidPipeline,
                  fmt::format("`json_field_paths` names column `{}`, which the schema does not have", column));
  return {};
}

// A piece of this message, with another payload.
std::unique_ptr<Piece> piece_of(const std::shared_ptr<const SourceShared>& shared, rd_kafka_message_t& message,
                                const Partition& partition, const std::string& payload) {
  auto block =
      std::make_unique<MessageBlock>(shared, std::make_shared<const std::string>(partition.topic), partition.id);
  std::string bytes = payload;
  void* const own = std::exchange(message.payload, bytes.data());
  const std::size_t own_length = std::exchange(message.len, bytes.size());
  block->reserve(MessageBlock::payload_bytes_of(message), 1);
  block->add(message);
  message.payload = own;
  message.len = own_length;
  block->seal();
  return std::make_unique<MessagePiece>(shared, std::move(block));
}

}  // namespace

Result<std::shared_ptr<SourceShared>> SourceShared::of(const plan::Source& source, ReadSettings settings) {
  TRY(check_fields(source, settings));
  auto shared = std::make_shared<SourceShared>();
  shared->settings = std::move(settings);
  shared->name = source.name;
  shared->layout = RecordLayout::of_messages(source);
  shared->upsert = source.upsert;
  const RecordLayout& layout = shared->layout;
  for (std::size_t i = layout.num_payload; i < layout.fields.size(); ++i) {
    shared->wants_keys |= layout.fields[i].from == From::kKey;
    shared->wants_times |= layout.fields[i].from == From::kTime || layout.fields[i].from == From::kMetadata;
    shared->wants_metadata |= layout.fields[i].from == From::kMetadata;
  }
  // What a tombstone deletes is only in its key.
  shared->wants_keys |= (source.upsert && layout.has_primary_key) || is_debezium(shared->settings.format);
  if (shared->settings.format == Format::kJson)
    shared->decoder = std::make_unique<JsonMessages>(TRY(JsonLinesDecoder::make(layout, shared->settings.json_paths)));
  else if (shared->settings.format == Format::kAvro) {
    shared->avro = std::make_unique<AvroSchemas>(layout, *shared->settings.registry);
    shared->decoder = std::make_unique<AvroMessages>(layout, *shared->avro);
  } else if (is_debezium(shared->settings.format))
    shared->decoder = std::make_unique<DebeziumMessages>(layout, shared->settings.format, source.upsert);
  else
    shared->decoder = std::make_unique<RawMessages>(layout);
  shared->policy = std::make_unique<BadRowPolicy>(shared->settings.on_bad_row);
  shared->pool = std::make_shared<BlockPool>(kBlockBytes);
  return shared;
}

Result<std::unique_ptr<Piece>> SourceShared::reread(const std::shared_ptr<const SourceShared>& shared,
                                                    const std::string& payload, const std::string& position) {
  constexpr int kTimeoutMs = 10'000;
  const auto slash = position.rfind('/');
  const auto at = position.rfind('@');
  if (slash == std::string::npos || at == std::string::npos || at < slash)
    return fail(Code::kBadData, "the position of the message is not known");
  const Partition partition{position.substr(0, slash),
                            static_cast<std::int32_t>(std::strtol(position.c_str() + slash + 1, nullptr, 10))};
  const std::int64_t offset = std::strtoll(position.c_str() + at + 1, nullptr, 10);
  // A dead letter has the payload only: key, time and headers are those of the message in Kafka.
  if (shared->wants_keys || shared->wants_times || shared->wants_metadata) {
    auto consumer = TRY(Consumer::open(shared->settings.client));
    auto found = consumer->message_at(partition, offset, kTimeoutMs);
    if (!found)
      return fail(std::move(found).error().with_note(
          "rows of this source need the key, time or headers of their message, and the dead letter has its payload "
          "only"));
    return piece_of(shared, **found, partition, payload);
  }
  rd_kafka_message_t alone{};
  alone.partition = partition.id;
  alone.offset = offset;
  return piece_of(shared, alone, partition, payload);
}

// ---------------------------------------------------------------- texts

void Texts::push(const void* data, std::size_t size) {
  if (data == nullptr) {
    spans_.emplace_back(0, kNone);
    return;
  }
  spans_.emplace_back(static_cast<std::uint32_t>(bytes_.size()), static_cast<std::uint32_t>(size));
  bytes_.append(static_cast<const char*>(data), size);
}

// ---------------------------------------------------------------- block

MessageBlock::MessageBlock(std::shared_ptr<const SourceShared> shared, std::shared_ptr<const std::string> topic,
                           std::int32_t partition)
    : shared_(std::move(shared)),
      topic_(std::move(topic)),
      partition_(partition),
      keeps_line_ends_(shared_->settings.format == Format::kRaw || shared_->settings.format == Format::kPlainText ||
                       shared_->settings.format == Format::kAvro),
      drops_frames_(shared_->settings.format == Format::kJson && shared_->settings.registry) {}

void MessageBlock::reserve(std::size_t payload_bytes, std::size_t messages) {
  block_ = shared_->pool->take(payload_bytes);
  ends_.reserve(messages);
}

void MessageBlock::add(const rd_kafka_message_t& message) {
  const std::size_t index = ends_.size();
  if (index == 0) first_offset_ = message.offset;
  if (offsets_.empty() && message.offset != first_offset_ + static_cast<std::int64_t>(index))
    for (std::size_t i = 0; i < index; ++i) offsets_.push_back(first_offset_ + static_cast<std::int64_t>(i));
  if (!offsets_.empty()) offsets_.push_back(message.offset);
  const bool tombstone = message.payload == nullptr;
  if (tombstone && tombstones_.empty()) tombstones_.resize(index);
  if (tombstone || !tombstones_.empty()) tombstones_.push_back(tombstone);

  char* const at = block_->data() + filled_;
  std::string_view payload(static_cast<const char*>(message.payload), message.len);
  if (drops_frames_ && framed_schema(payload)) payload.remove_prefix(kFrameBytes);
  if (!payload.empty()) std::memcpy(at, payload.data(), payload.size());
  // In JSON a line end is a blank or an error; so is a carriage return, and it does not end the record.
  if (!keeps_line_ends_)
    for (char* p = at;
         (p = static_cast<char*>(std::memchr(p, '\n', static_cast<std::size_t>(at + payload.size() - p))));)
      *p++ = '\r';
  at[payload.size()] = '\n';
  filled_ += payload.size() + 1;
  ends_.push_back(static_cast<std::uint32_t>(filled_ - 1));

  if (shared_->wants_keys) keys_.push(message.key, message.key_len);
  if (shared_->wants_times) {
    rd_kafka_timestamp_type_t type{};
    times_ms_.push_back(rd_kafka_message_timestamp(&message, &type));
  }
  if (shared_->wants_metadata) headers_.push_back(headers_of(message));
}

void MessageBlock::seal() {
  block_->seal(filled_);
  sealed_ = std::exchange(block_, nullptr);
}

std::size_t MessageBlock::bytes() const {
  std::size_t out = filled_ + keys_.bytes() + times_ms_.size() * sizeof(std::int64_t);
  for (const std::string& header : headers_) out += header.size() + sizeof(std::string);
  return out;
}

std::string_view MessageBlock::payload(std::size_t index) const {
  const std::size_t begin = index == 0 ? 0 : ends_[index - 1] + 1;
  return sealed_->view().substr(begin, ends_[index] - begin);
}

std::int64_t MessageBlock::offset(std::size_t index) const {
  return offsets_.empty() ? first_offset_ + static_cast<std::int64_t>(index) : offsets_[index];
}

BlockInfo MessageBlock::info() const {
  BlockInfo out;
  out.path = topic_;
  out.key_source = key_source(shared_->name, *topic_, partition_);
  out.key_first = static_cast<std::uint64_t>(first_offset_);
  out.envelope = this;
  out.gaps = !offsets_.empty();
  return out;
}

Key MessageBlock::key(std::size_t index) const {
  return sequence_key(key_source(shared_->name, *topic_, partition_), static_cast<std::uint64_t>(offset(index)));
}

std::string MessageBlock::position(std::size_t index) const {
  return fmt::format("{}/{}@{}", *topic_, partition_, offset(index));
}

std::string MessageBlock::metadata(std::size_t index) const {
  std::string out = fmt::format(R"({{"headers":{},"offset":{},"partition":{},"timestamp_millis":)", headers_[index],
                                offset(index), partition_);
  out += times_ms_[index] < 0 ? "null" : std::to_string(times_ms_[index]);
  out += ",\"topic\":";
  append_json_string(*topic_, out);
  return out + "}";
}

void MessageBlock::fill(RowWriter& rows, std::size_t index) const {
  const RecordLayout& layout = shared_->layout;
  bool key_fields = false;
  for (std::size_t i = layout.num_payload; i < layout.fields.size(); ++i) {
    const RecordField& field = layout.fields[i];
    switch (field.from) {
      case From::kTime:
        if (times_ms_[index] < 0)
          rows.fill_missing(i, nullptr);
        else
          rows.put_int(i, field.type.is(Kind::kInt) ? times_ms_[index] : times_ms_[index] * kNsPerMs);
        break;
      case From::kPartition: rows.put_int(i, partition_); break;
      case From::kMetadata: rows.put_text_copy(i, metadata(index)); break;
      case From::kKey: key_fields = true; break;
      case From::kPayload: break;
    }
  }
  if (key_fields) fill_from_key(rows, index, layout.num_payload, layout.fields.size());
}

// The fields of [begin, end) that a key has: members of a JSON object, or the whole key where it is one column's.
void MessageBlock::fill_from_key(RowWriter& rows, std::size_t index, std::size_t begin, std::size_t end) const {
  const auto& fields = shared_->layout.fields;
  std::size_t wanted = 0;
  for (std::size_t i = begin; i < end; ++i) wanted += fields[i].from == From::kKey || fields[i].primary_key;
  const bool present = keys_.has(index);
  const std::string_view key = keys_[index];
  std::optional<json::JsonObject> object;
  if (present && key.starts_with('{')) object = json::JsonObject::parse(key);
  for (std::size_t i = begin; i < end; ++i) {
    const RecordField& field = fields[i];
    if (field.from != From::kKey && !(field.from == From::kPayload && field.primary_key)) continue;
    std::optional<Value> value;
    bool missing = !present;
    if (const bool of_object = object && (wanted > 1 || !object->find(field.external_name).empty()); of_object) {
      const std::string_view member = object->find(field.external_name);
      missing = member.empty();
      if (!missing) value = json::text_to_value(field.type, member);
    } else if (present && wanted == 1) {
      value = whole_key(field.type, key);
    }
    if (value)
      rows.put_value(i, *value);
    else if (missing)
      rows.fill_missing(i, nullptr);
    else
      rows.put_error(i, nullptr, fmt::format("is not in the key of the message as {}", field.type.to_text()));
  }
}

void MessageBlock::empty(RowWriter& rows, const char* record, std::size_t index) const {
  if (!is_tombstone(index)) return rows.bad_record(record, record, index, "the message is empty");
  if (!shared_->upsert)
    return rows.bad_record(record, record, index,
                           "the message has no content (a tombstone), and without a primary key there is nothing that "
                           "it deletes");
  for (std::size_t i = 0; i < rows.num_fields(); ++i) rows.put_none(i);
  // The parts of the row's key that messages have in their content: a deletion has them in its key.
  const auto& fields = shared_->layout.fields;
  const bool in_content = std::any_of(fields.begin(), fields.begin() + static_cast<std::ptrdiff_t>(rows.num_fields()),
                                      [](const RecordField& field) { return field.primary_key; });
  if (in_content) fill_from_key(rows, index, 0, rows.num_fields());
  rows.finish_row(record, index, -1);
}

void MessagePiece::decode(RowSink& out) {
  Reporter report(out, *shared_->policy);
  shared_->decoder->decode(*messages_, report);
  messages_.reset();
}

}  // namespace thalweg::kafka
