#include "connectors/postgres/cdc_source.h"

#include <unistd.h>

#include <algorithm>

#include <fmt/format.h>
#include <xxhash.h>

#include "engine/io/upsert_marks.h"

namespace thalweg::postgres {

namespace {

constexpr std::size_t kPieceBytes = 1U << 20;
constexpr std::size_t kDataHeader = 25;  // of a message with data: letter, start, end, time
constexpr std::int64_t kSliceNs = 100'000'000;
constexpr std::int64_t kGatherNs = 20'000'000;  // transactions that follow one another closely go together
constexpr std::int64_t kConfirmNs = 1'000'000'000;
constexpr std::int64_t kConfirmQuietNs = 10'000'000'000;
constexpr std::int64_t kPauseNs = 500'000'000;
constexpr std::int64_t kPauseMaxNs = 30'000'000'000;
constexpr std::int64_t kEpochNs = kEpochUs * 1000;

// Changes of whole or parted transactions, each with its length in front; a Begin stands before its changes.
class ChangesPiece final : public CountedPiece {
 public:
  ChangesPiece(std::shared_ptr<ReadShared> shared, std::shared_ptr<const std::vector<std::uint32_t>> columns,
               std::string bytes, bool upsert, Lsn final, std::uint64_t index)
      : shared_(std::move(shared)),
        columns_(std::move(columns)),
        bytes_(std::make_shared<const std::string>(std::move(bytes))),
        upsert_(upsert),
        final_(final),
        index_(index) {}
  [[nodiscard]] std::size_t bytes() const override { return bytes_->size(); }
  [[nodiscard]] std::size_t num_records() const override {
    MessageReader read(*bytes_);
    for (std::size_t count = 0;; ++count) {
      const std::int32_t length = read.int32();
      if (!read.ok()) return std::max<std::size_t>(1, count);
      read.take(static_cast<std::size_t>(length));
    }
  }

  void decode(RowSink& out) override {
    Reporter report(out, shared_->policy);
    RowDecoder decoder(shared_->shape, bytes_, report);
    Change change;
    MessageReader read(*bytes_);
    while (true) {
      const std::int32_t length = read.int32();
      if (!read.ok()) break;
      const std::string_view message = read.take(static_cast<std::size_t>(length));
      if (message.starts_with('B')) {
        final_ = read_begin(message).value_or(Begin{}).final;
        index_ = 0;
        continue;
      }
      ++index_;
      if (read_change(message, *columns_, change))
        apply(change, decoder);
      else
        report.bad({.message = "a change cannot be read", .raw = {}, .position = shared_->shape.position});
    }
    decoder.flush();
  }

 private:
  void apply(Change& change, RowDecoder& decoder) const {
    fill_from_old(change);
    const bool tells_old = change.old_kind != '\0';
    switch (change.kind) {
      case 'I': return insert(change.new_row, decoder);
      case 'D': return decoder.row(change.old_row, -1, upsert_);
      case 'U':
        if (tells_old && (!upsert_ || key_differs(change))) decoder.row(change.old_row, -1, upsert_);
        return decoder.row(change.new_row, 1);
      default: return;
    }
  }

  void insert(const std::vector<RawField>& row, RowDecoder& decoder) const {
    const RowShape& shape = shared_->shape;
    if (shape.layout.generates_keys() && !shape.content_keys)
      decoder.row(row, sequence_key(shared_->key_source ^ final_, index_), 1);
    else
      decoder.row(row, 1);
  }

  // REPLICA IDENTITY FULL tells large values that did not change in the old row.
  static void fill_from_old(Change& change) {
    if (change.old_kind != 'O' || change.kind != 'U') return;
    for (std::size_t i = 0; i < change.new_row.size(); ++i)
      if (change.new_row[i].state == RawField::State::kUnchanged) change.new_row[i] = change.old_row[i];
  }

  [[nodiscard]] bool key_differs(const Change& change) const {
    return std::ranges::any_of(shared_->shape.layout.key_fields, [&](std::uint32_t part) {
      const RawField& before = change.old_row[part];
      const RawField& after = change.new_row[part];
      return after.state != RawField::State::kUnchanged && (before.state != after.state || before.bytes != after.bytes);
    });
  }

  const std::shared_ptr<ReadShared> shared_;
  const std::shared_ptr<const std::vector<std::uint32_t>> columns_;
  const std::shared_ptr<const std::string> bytes_;
  const bool upsert_;
  Lsn final_;
  std::uint64_t index_;
};

Error lost(const std::string& what) {
  return Error{
      Code::kNotFound, what, {}, {{"`on_loss: resnapshot` reads the table again and tells the difference", {}}}};
}

bool is_loss(const Error& error) {
  return error.code == Code::kNotFound &&
         (error.message.starts_with("SLOT_") || error.message.starts_with("UPSTREAM_"));
}

}  // namespace

CdcSource::CdcSource(const plan::Source& source, ReadSettings settings)
    : source_(source),
      shared_(std::make_shared<ReadShared>(std::move(settings), source.name)),
      upsert_(source.upsert) {}

void CdcSource::on_durable(const std::string& position) {
  const auto at = Position::from(position);
  if (!at) return;
  Lsn known = durable_.load();
  while (known < at->lsn && !durable_.compare_exchange_weak(known, at->lsn)) {
  }
}

Result<void> CdcSource::run(SourceContext& context) {
  if (!shared_->settings.dead_letters.empty())
    TRY(BadRowPolicy::check_dead_letters(context.env(), shared_->settings.dead_letters));
  keeps_positions_ = context.keeps_positions();
  if (!context.resume_position().empty()) {
    last_ = Position::from(context.resume_position());
    if (!last_)
      return fail(Code::kInvalidArgument,
                  "the position to go on from is not one of `io.postgres.read`: " + context.resume_position());
    durable_ = last_->lsn;
  }
  std::int64_t rest = kPauseNs;
  while (!context.stopping()) {
    const auto before = last_ ? last_->lsn : 0;
    auto done = follow(context);
    connection_.reset();
    replication_.reset();
    if (done) return {};
    if (!is_transient(done.error())) return done;
    if (last_ && last_->lsn != before) rest = kPauseNs;
    context.warn(done.error().message + fmt::format("; trying again in {} ms", rest / 1'000'000));
    if (!context.wait(rest)) return {};
    rest = std::min(rest * 2, kPauseMaxNs);
  }
  return {};
}

Result<void> CdcSource::follow(SourceContext& context) {
  TRY(prepare(context));
  bool whole = true;
  if (!last_) {
    whole = TRY(take_snapshot(context, false));
  } else if (slot_is_temporary_) {
    if (!upsert_)
      return fail(Error{Code::kNotFound,
                        "SLOT_LOST: the connection broke, and with it the temporary slot",
                        {},
                        {{"`replication_slot_name` makes one that lasts", {}}}});
    whole = TRY(take_snapshot(context, true));
  } else if (auto checked = check_position(); !checked) {
    const bool may_read_anew = is_loss(checked.error()) && shared_->settings.resnapshot_on_loss && upsert_;
    if (!may_read_anew) return checked;
    context.warn(checked.error().message + "; the table is read again");
    whole = TRY(take_snapshot(context, true));
  }
  if (!whole) return {};
  return stream(context);
}

Result<void> CdcSource::prepare(SourceContext& context) {
  const ReadSettings& settings = shared_->settings;
  connection_ = TRY(Connection::open(settings.access, context.env()));
  TRY(check_server(*connection_));
  table_ = TRY(find_table(*connection_, settings.table));
  const bool first = shared_->shape.position.empty();
  RowShape shape = TRY(RowShape::of(source_, table_, settings.table));
  shape.content_keys = shape.layout.generates_keys() && !settings.append_only;
  TRY(check_identity(table_, shape, upsert_, settings.append_only));
  if (first) {
    shared_->shape = std::move(shape);  // workers read it from now on
  } else {
    for (std::size_t i = 0; i < shape.wires.size(); ++i)
      if (shape.wires[i].oid != shared_->shape.wires[i].oid)
        return fail(Code::kInvalidArgument, fmt::format("SCHEMA_CHANGED: column `{}` of `{}` has another type now",
                                                        shape.layout.fields[i].name, settings.table.text()));
  }
  publication_ =
      TRY(find_publication(*connection_, settings.publication, settings.table, shared_->shape, settings.append_only));
  replication_ = TRY(Connection::open(settings.access, context.env(), true));
  system_ = TRY(identify(*replication_));
  columns_.reset();
  in_transaction_ = false;
  bytes_.clear();
  whole_bytes_ = 0;
  pending_end_ = 0;
  received_ = keepalive_end_ = told_ = 0;
  return {};
}

Result<void> CdcSource::check_position() const {
  if (last_->system != system_.identifier)
    return fail(
        lost(fmt::format("UPSTREAM_RESTORED: the server is not the one that was read before (system {} now, {} "
                         "then)",
                         system_.identifier, last_->system)));
  if (last_->timeline != system_.timeline)
    return fail(lost(fmt::format("UPSTREAM_RESTORED: the server is on timeline {} now, and was on {}", system_.timeline,
                                 last_->timeline)));
  const auto slot = TRY(find_slot(*connection_, last_->slot));
  if (!slot) return fail(lost(fmt::format("SLOT_LOST: replication slot `{}` is gone", last_->slot)));
  if (slot->lost)
    return fail(
        lost(fmt::format("SLOT_LOST: the server has dropped what replication slot `{}` needs "
                         "(max_slot_wal_keep_size)",
                         last_->slot)));
  if (slot->confirmed > last_->lsn)
    return fail(
        lost(fmt::format("SLOT_AHEAD: replication slot `{}` is at {}, and this pipeline has read up to {}; "
                         "somebody else has read from it",
                         last_->slot, lsn_text(slot->confirmed), lsn_text(last_->lsn))));
  if (slot->active)
    return fail(Code::kUnavailable, fmt::format("replication slot `{}` is in use (process {} of the server)",
                                                last_->slot, slot->active_pid));
  return {};
}

// Makes the slot, or, where it is there, a short-lived one whose snapshot tells where to begin.
Result<NewSlot> CdcSource::open_slot(const std::string& name, bool temporary) {
  const auto there = TRY(find_slot(*connection_, name));
  if (!there) return create_slot(*replication_, name, temporary);
  if (there->active)
    return fail(Code::kUnavailable,
                fmt::format("replication slot `{}` is in use (process {} of the server)", name, there->active_pid));
  if (there->lost) {
    if (!shared_->settings.resnapshot_on_loss)
      return fail(lost(fmt::format("SLOT_LOST: the server has dropped what replication slot `{}` needs", name)));
    TRY(connection_->run("SELECT pg_catalog.pg_drop_replication_slot($1)", {name}));
    return create_slot(*replication_, name, false);
  }
  const std::string helper = own_name("thalweg_snapshot", fmt::format("{} {}", name, ::getpid()));
  return create_slot(*replication_, helper, true);
}

Result<bool> CdcSource::take_snapshot(SourceContext& context, bool anew) {
  const ReadSettings& settings = shared_->settings;
  slot_is_temporary_ = settings.slot.empty() && !keeps_positions_;
  std::string name = settings.slot;
  if (name.empty() && keeps_positions_) name = own_name("thalweg", source_.name + " " + settings.table.text());
  if (name.empty())
    name = own_name("thalweg_tmp", fmt::format("{} {} {}", source_.name, ::getpid(), context.env().rng->next()));
  const NewSlot slot = TRY(open_slot(name, slot_is_temporary_));
  if (anew && !context.deliver(clear_all(shared_->shape.layout.column_types))) return false;
  if (!TRY(read_table(shared_, table_, slot.snapshot, context))) return false;
  last_ = Position{slot.consistent, system_.identifier, system_.timeline, name};
  partial_ = {};
  context.commit(last_->text());
  return true;
}

Result<void> CdcSource::stream(SourceContext& context) {
  TRY(replication_->begin_copy(
      fmt::format("START_REPLICATION SLOT {} LOGICAL {} (proto_version '1', publication_names {}, binary 'true')",
                  quoted_name(last_->slot), lsn_text(last_->lsn), quoted_literal(quoted_name(publication_))),
      PGRES_COPY_BOTH));
  connection_.reset();
  while (!context.stopping()) {
    std::string_view message;
    switch (TRY(replication_->take_copy(message))) {
      case Connection::Got::kMessage:
        if (!TRY(take_message(message, context))) return {};
        continue;
      case Connection::Got::kEnd: return fail(Code::kUnavailable, "the server ended the stream of changes");
      case Connection::Got::kNothingYet: break;
    }
    if (!hand_over(context)) return {};
    context.idle();
    TRY(confirm(context, false));
    (void)context.wait(kSliceNs, replication_->socket());
  }
  return confirm(context, true);
}

// False: the run is stopping.
Result<bool> CdcSource::take_message(std::string_view message, SourceContext& context) {
  MessageReader read(message);
  const char kind = read.letter();
  if (kind == 'k') {
    const auto end = static_cast<Lsn>(read.int64());
    (void)read.int64();
    const bool wants_reply = read.letter() != '\0';
    if (nothing_open()) keepalive_end_ = std::max(keepalive_end_, end);
    received_ = std::max(received_, end);
    TRY(confirm(context, wants_reply));
    return true;
  }
  if (kind != 'w' || message.size() < kDataHeader) return true;
  received_ = std::max(received_, static_cast<Lsn>(load_be<std::int64_t>(message.data() + 1)));
  const bool go_on = TRY(take_payload(message.substr(kDataHeader), context));
  if (!go_on) return false;
  const std::int64_t now = context.env().clock->monotonic_ns();
  if (!in_transaction_ && pending_end_ != 0 && (bytes_.size() >= kPieceBytes || now - pending_since_ns_ > kGatherNs)) {
    if (!hand_over(context)) return false;
    TRY(confirm(context, false));
  }
  return true;
}

Result<bool> CdcSource::take_payload(std::string_view payload, SourceContext& context) {
  switch (payload.empty() ? '\0' : payload[0]) {
    case 'B': {
      const auto begin = read_begin(payload);
      if (!begin) return fail(Code::kUnavailable, "the stream of changes cannot be read (Begin)");
      transaction_ = *begin;
      in_transaction_ = true;
      changes_ = 0;
      skip_ = partial_.final == begin->final ? partial_.changes : 0;
      partial_ = {};
      if (bytes_.empty() && pending_end_ == 0) pending_since_ns_ = context.env().clock->monotonic_ns();
      if (bytes_.empty()) {
        piece_final_ = begin->final;
        piece_index_ = 0;
      } else {
        append_be(static_cast<std::int32_t>(payload.size()), bytes_);
        bytes_ += payload;
      }
      return true;
    }
    case 'C': {
      const auto commit = read_commit(payload);
      if (!commit) return fail(Code::kUnavailable, "the stream of changes cannot be read (Commit)");
      in_transaction_ = false;
      pending_end_ = commit->end;
      whole_bytes_ = bytes_.size();
      partial_ = {};
      return true;
    }
    case 'R': TRY(take_relation(payload, context)); return true;
    case 'I':
    case 'U':
    case 'D': return take_change(payload, context);
    case 'T': return take_truncate(payload, context);
    default: return true;
  }
}

Result<void> CdcSource::take_relation(std::string_view payload, SourceContext& context) {
  const auto relation = read_relation(payload);
  if (!relation) return fail(Code::kUnavailable, "the stream of changes cannot be read (Relation)");
  if (relation->oid != table_.oid) return {};
  if (!deliver_changes(context)) return {};  // they have the columns as they were
  const std::string name = shared_->settings.table.text();
  const auto changed = [&](const std::string& what) {
    return fail(Error{Code::kInvalidArgument,
                      fmt::format("SCHEMA_CHANGED: {} (at {})", what, lsn_text(received_)),
                      {},
                      {{"change the schema here to what the table is now, and start anew", {}}}});
  };
  if (relation->schema + "." + relation->table != name)
    return changed(fmt::format("table `{}` is called `{}.{}` now", name, relation->schema, relation->table));
  if (relation->replica_identity == 'n' && !shared_->settings.append_only)
    return changed(fmt::format("`{}` has REPLICA IDENTITY NOTHING now", name));
  if (table_.replica_identity == 'f' && relation->replica_identity != 'f' && !upsert_)
    return changed(fmt::format("`{}` no longer has REPLICA IDENTITY FULL", name));
  auto columns = std::make_shared<std::vector<std::uint32_t>>();
  for (const RecordField& field : shared_->shape.layout.fields) {
    const auto found = std::ranges::find(relation->columns, field.external_name, &RelationColumn::name);
    if (found == relation->columns.end())
      return changed(fmt::format("table `{}` no longer has column `{}`", name, field.external_name));
    const TableColumn* before = table_.find(field.external_name);
    if (before == nullptr || before->declared_oid != found->type)
      return changed(fmt::format("column `{}` of `{}` has another type now", field.external_name, name));
    columns->push_back(static_cast<std::uint32_t>(found - relation->columns.begin()));
  }
  columns_ = std::move(columns);
  return {};
}

Result<bool> CdcSource::take_change(std::string_view payload, SourceContext& context) {
  if (relation_of(payload) != table_.oid) return true;  // the publication has other tables, too
  if (!columns_) return fail(Code::kUnavailable, "the stream of changes does not say what its columns are");
  ++changes_;
  if (skip_ > 0) {
    --skip_;
    return true;
  }
  if (shared_->settings.append_only && payload[0] != 'I')
    return fail(Code::kBadData,
                fmt::format("`is_append_only: true`, and a row of `{}` was {} (at {})", shared_->settings.table.text(),
                            payload[0] == 'U' ? "updated" : "deleted", lsn_text(received_)));
  if (bytes_.empty()) {
    piece_final_ = transaction_.final;
    piece_index_ = changes_ - 1;
  }
  append_be(static_cast<std::int32_t>(payload.size()), bytes_);
  bytes_ += payload;
  if (bytes_.size() < kPieceBytes) return true;
  return deliver_changes(context);
}

Result<bool> CdcSource::take_truncate(std::string_view payload, SourceContext& context) {
  const auto tables = read_truncate(payload);
  if (std::ranges::find(tables, table_.oid) == tables.end()) return true;
  ++changes_;
  if (skip_ > 0) {
    --skip_;
    return true;
  }
  if (!upsert_)
    return fail(Error{Code::kBadData,
                      fmt::format("`{}` was truncated (at {}), and its rows are not known here",
                                  shared_->settings.table.text(), lsn_text(received_)),
                      {},
                      {{"with a primary key in the schema, TRUNCATE deletes all rows", {}}}});
  if (!deliver_changes(context)) return false;
  partial_ = {transaction_.final, changes_};
  return context.deliver(clear_all(shared_->shape.layout.column_types));
}

// What has come so far, the running transaction too. False: the run is stopping.
bool CdcSource::deliver_changes(SourceContext& context) {
  if (in_transaction_ && pending_end_ != 0 && !hand_over_whole(context)) return false;
  if (bytes_.empty()) return true;
  if (in_transaction_) partial_ = {transaction_.final, changes_};
  return context.deliver(std::make_unique<ChangesPiece>(shared_, columns_, std::exchange(bytes_, {}), upsert_,
                                                        piece_final_, piece_index_)) &&
         !shared_->policy.failed();
}

// The whole transactions before the running one: after a lost connection only what is behind them comes again.
bool CdcSource::hand_over_whole(SourceContext& context) {
  std::string running = bytes_.substr(whole_bytes_);
  bytes_.resize(whole_bytes_);
  if (!bytes_.empty() && !context.deliver(std::make_unique<ChangesPiece>(shared_, columns_, std::exchange(bytes_, {}),
                                                                         upsert_, piece_final_, piece_index_)))
    return false;
  last_->lsn = std::exchange(pending_end_, 0);
  context.commit(last_->text());
  bytes_ = std::move(running);
  whole_bytes_ = 0;
  piece_final_ = transaction_.final;
  piece_index_ = 0;
  return true;
}

bool CdcSource::hand_over(SourceContext& context) {
  if (in_transaction_ || pending_end_ == 0) return true;
  if (!deliver_changes(context)) return false;
  last_->lsn = std::exchange(pending_end_, 0);
  context.commit(last_->text());
  return true;
}

Result<void> CdcSource::confirm(SourceContext& context, bool now) {
  const std::int64_t time = context.env().clock->monotonic_ns();
  // A quiet table in a busy cluster: the position moves on with the server's.
  if (nothing_open() && keepalive_end_ > last_->lsn) {
    const bool due = time - position_ns_ >= kConfirmQuietNs;
    if (!keeps_positions_) {
      last_->lsn = keepalive_end_;
    } else if (due && durable_.load() >= last_->lsn) {
      last_->lsn = keepalive_end_;
      position_ns_ = time;
      context.commit(last_->text());
    }
  }
  const Lsn flushed = keeps_positions_ ? durable_.load() : last_->lsn;
  const std::int64_t since = time - confirmed_ns_;
  if (!now && !(flushed > told_ && since >= kConfirmNs) && since < kConfirmQuietNs) return {};
  std::string reply = "r";
  append_be(static_cast<std::int64_t>(std::max(received_, flushed)), reply);
  append_be(static_cast<std::int64_t>(flushed), reply);
  append_be(static_cast<std::int64_t>(flushed), reply);
  append_be((context.env().clock->wall_ns() - kEpochNs) / 1000, reply);
  reply += '\0';
  TRY(replication_->copy(reply));
  TRY(replication_->flush());
  told_ = flushed;
  confirmed_ns_ = time;
  return {};
}

}  // namespace thalweg::postgres
