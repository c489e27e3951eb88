// connectors/postgres/slot.h
//
// Publications and replication slots: whether they serve, making them, where they stand.
#pragma once

#include <optional>
#include <string>

#include "connectors/postgres/catalog.h"
#include "connectors/postgres/pgoutput.h"

namespace thalweg::postgres {

// How far a source has come, as text in checkpoints: `0/16B3748 7301542 1 slot_name`.
struct Position {
  Lsn lsn = 0;
  std::string system;  // identifier of the cluster
  std::int64_t timeline = 0;
  std::string slot;
  [[nodiscard]] std::string text() const;
  static std::optional<Position> from(std::string_view text);
};

struct System {
  std::string identifier;
  std::int64_t timeline = 0;
};
[[nodiscard]] Result<System> identify(Connection& replication);

// The server can do what is needed, and the table says enough of its changes.
[[nodiscard]] Result<void> check_server(Connection& connection);
[[nodiscard]] Result<void> check_identity(const TableInfo& table, const RowShape& shape, bool upsert, bool append_only);
// Finds the publication, or makes it where `given` is empty. The name.
[[nodiscard]] Result<std::string> find_publication(Connection& connection, const std::string& given,
                                                   const TableName& table, const RowShape& shape, bool append_only);

struct SlotState {
  bool active = false;
  std::string active_pid;
  bool lost = false;
  std::string plugin;
  Lsn confirmed = 0;
};
[[nodiscard]] Result<std::optional<SlotState>> find_slot(Connection& connection, const std::string& name);

struct NewSlot {
  Lsn consistent = 0;
  std::string snapshot;  // good until the next command of the connection that made it
};
[[nodiscard]] Result<NewSlot> create_slot(Connection& replication, const std::string& name, bool temporary);

// A name of our own: letters, digits and underscores, at most 63.
[[nodiscard]] std::string own_name(std::string_view prefix, std::string_view for_what);

}  // namespace thalweg::postgres
