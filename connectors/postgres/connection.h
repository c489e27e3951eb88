// connectors/postgres/connection.h
//
// A connection to Postgres. Passwords are in no message; messages of the server are.
#pragma once

#include <libpq-fe.h>

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "connectors/postgres/settings.h"
#include "engine/base/env.h"

namespace thalweg::postgres {

class Rows {
 public:
  explicit Rows(PGresult* result) : result_(result, &PQclear) {}
  [[nodiscard]] int size() const { return PQntuples(result_.get()); }
  [[nodiscard]] bool is_null(int row, int column) const { return PQgetisnull(result_.get(), row, column) != 0; }
  [[nodiscard]] std::string text(int row, int column) const {
    return {PQgetvalue(result_.get(), row, column), static_cast<std::size_t>(PQgetlength(result_.get(), row, column))};
  }
  [[nodiscard]] std::int64_t number(int row, int column) const;
  [[nodiscard]] bool flag(int row, int column) const { return text(row, column) == "t"; }
  [[nodiscard]] std::uint64_t affected() const;

 private:
  std::unique_ptr<PGresult, decltype(&PQclear)> result_;
};

// Threads  one at a time.
class Connection {
 public:
  // Once; who may wait tries again while the error is kUnavailable.
  [[nodiscard]] static Result<std::unique_ptr<Connection>> open(const Access& access, Env& env,
                                                                bool replication = false);
  ~Connection();
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  // One or more statements; the rows of the last one.
  [[nodiscard]] Result<Rows> run(const std::string& sql);
  [[nodiscard]] Result<Rows> run(const std::string& sql, const std::vector<std::string>& parameters);

  [[nodiscard]] Result<void> begin_copy_in(const std::string& sql);
  [[nodiscard]] Result<void> copy(std::string_view bytes);
  [[nodiscard]] Result<void> end_copy_in();

  [[nodiscard]] Result<void> begin_copy(const std::string& sql, ExecStatusType expected);
  enum class Got : std::uint8_t { kMessage, kNothingYet, kEnd };
  // The next message of COPY OUT or of a replication stream, without waiting. The view is good until the next call.
  [[nodiscard]] Result<Got> take_copy(std::string_view& message);
  [[nodiscard]] Result<void> flush();
  [[nodiscard]] int socket() const { return PQsocket(connection_); }
  [[nodiscard]] PGconn* raw() const { return connection_; }
  [[nodiscard]] int server_version() const { return PQserverVersion(connection_); }
  // SQLSTATE of the last error of a statement; empty if the connection itself has failed.
  [[nodiscard]] const std::string& state() const { return state_; }
  [[nodiscard]] bool is_broken() const { return PQstatus(connection_) != CONNECTION_OK; }

 private:
  explicit Connection(PGconn* connection, std::string place) : connection_(connection), place_(std::move(place)) {}
  [[nodiscard]] Error error_of(const PGresult* result);
  [[nodiscard]] Result<Rows> checked(PGresult* result);
  void drop_results();

  PGconn* connection_;
  const std::string place_;
  std::string state_;
  char* message_ = nullptr;  // of take_copy
};

// A failure that another attempt may not meet: the server went away or restarts, a deadlock, a lost race.
[[nodiscard]] bool is_transient(const Error& error);

}  // namespace thalweg::postgres
