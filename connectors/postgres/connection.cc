#include "connectors/postgres/connection.h"

#include <charconv>

#include <fmt/format.h>

#include "connectors/process/line_process.h"

namespace thalweg::postgres {

namespace {

constexpr std::size_t kNameMax = 63;  // of Postgres
constexpr std::size_t kPasswordMax = 64 * 1024;
constexpr std::int64_t kPasswordCommandMs = 30'000;

std::string trimmed(std::string text) {
  while (!text.empty() && (text.back() == '\n' || text.back() == '\r' || text.back() == ' ')) text.pop_back();
  return text;
}

Result<std::string> password_from_file(const std::string& path, Env& env) {
  auto file = env.disk->open_read(path);
  if (!file) return fail(std::move(file.error()).with_note("this is the `password_file`"));
  std::string text(kPasswordMax, '\0');
  const std::size_t bytes = TRY((*file)->read_at(0, text.data(), text.size()));
  text.resize(bytes);
  return trimmed(std::move(text));
}

// The first line that the program prints. What it prints is in no message.
Result<std::string> password_from_command(const Access& access, Env& env) {
  process::Command command = process::command_of(access.password_command, access.command_is_shell);
  command.name = "password_command";
  auto program = TRY(process::LineProcess::start(command));
  program->close_input();
  const std::int64_t deadline = env.clock->monotonic_ns() + kPasswordCommandMs * 1'000'000;
  std::optional<std::string> first;
  while (!program->output_ended()) {
    const std::int64_t left_ms = (deadline - env.clock->monotonic_ns()) / 1'000'000;
    if (left_ms <= 0) return fail(Code::kUnavailable, "`password_command` does not end");
    TRY(program->pump(left_ms));
    while (auto line = program->take_line())
      if (!first) first = std::move(line);
  }
  const auto end = program->wait_end((deadline - env.clock->monotonic_ns()) / 1'000'000);
  if (!end || !program->succeeded())
    return fail(Code::kUnavailable, "`password_command` " + end.value_or("does not end"));
  if (!first) return fail(Code::kUnavailable, "`password_command` printed nothing");
  return trimmed(std::move(*first));
}

Result<std::string> password_of(const Access& access, Env& env) {
  if (!access.password_file.empty()) return password_from_file(access.password_file, env);
  if (!access.password_command.empty()) return password_from_command(access, env);
  return access.password;
}

// Before what the user says, which wins.
std::vector<std::pair<std::string, std::string>> usual_parameters(const Access& access) {
  std::string name = access.name.empty() ? "thalweg" : "thalweg:" + access.name;
  name.resize(std::min(name.size(), kNameMax));
  return {{"application_name", std::move(name)},
          {"client_encoding", "UTF8"},
          {"connect_timeout", "30"},
          {"keepalives", "1"},
          {"keepalives_idle", "300"},
          {"keepalives_interval", "30"},
          {"keepalives_count", "3"},
          {"tcp_user_timeout", "300000"}};
}

bool can_pass(std::string_view message) {
  // What the server refuses stays refused, unless it is only starting or full.
  if (message.find("FATAL:") == std::string_view::npos) return true;
  for (const std::string_view passing : {"starting up", "shutting down", "too many clients", "recovery mode",
                                         "remaining connection slots", "not yet accepting"})
    if (message.find(passing) != std::string_view::npos) return true;
  return false;
}

Code code_of(std::string_view state) {
  if (state.empty()) return Code::kUnavailable;
  const std::string_view group = state.substr(0, 2);
  if (group == "08" || group == "57" || group == "53" || state == "40001" || state == "40P01" || state == "25006" ||
      state == "55P03" || state == "55006")
    return Code::kUnavailable;
  if (group == "28" || state == "42501") return Code::kPermission;
  if (group == "42" || group == "3D" || group == "3F") return Code::kNotFound;
  if (group == "22" || group == "23" || group == "21") return Code::kBadData;
  return Code::kInvalidArgument;
}

}  // namespace

bool is_transient(const Error& error) { return error.code == Code::kUnavailable; }

std::int64_t Rows::number(int row, int column) const {
  std::int64_t out = 0;
  const std::string value = text(row, column);
  std::from_chars(value.data(), value.data() + value.size(), out);
  return out;
}

std::uint64_t Rows::affected() const {
  std::uint64_t out = 0;
  const std::string_view value = PQcmdTuples(result_.get());
  std::from_chars(value.data(), value.data() + value.size(), out);
  return out;
}

Result<std::unique_ptr<Connection>> Connection::open(const Access& access, Env& env, bool replication) {
  auto parameters = usual_parameters(access);
  for (const auto& given : access.parameters) {
    std::erase_if(parameters, [&](const auto& have) { return have.first == given.first; });
    parameters.push_back(given);
  }
  const std::string password = TRY(password_of(access, env));
  if (!password.empty()) parameters.emplace_back("password", password);
  if (replication) parameters.emplace_back("replication", "database");
  std::vector<const char*> names;
  std::vector<const char*> values;
  for (const auto& [name, value] : parameters) {
    names.push_back(name.c_str());
    values.push_back(value.c_str());
  }
  names.push_back(nullptr);
  values.push_back(nullptr);
  PGconn* raw = PQconnectdbParams(names.data(), values.data(), 0);
  if (raw == nullptr) return fail(Code::kTooLarge, "no memory for a connection to Postgres");
  std::unique_ptr<Connection> out(new Connection(raw, access.place()));
  if (PQstatus(raw) != CONNECTION_OK) {
    const std::string message = trimmed(PQerrorMessage(raw));
    return fail(can_pass(message) ? Code::kUnavailable : Code::kPermission,
                fmt::format("cannot connect to Postgres at {}: {}", access.place(), message));
  }
  PQsetNoticeProcessor(raw, [](void*, const char*) {}, nullptr);
  return out;
}

Connection::~Connection() {
  if (message_ != nullptr) PQfreemem(message_);
  PQfinish(connection_);
}

Error Connection::error_of(const PGresult* result) {
  const char* state = result != nullptr ? PQresultErrorField(result, PG_DIAG_SQLSTATE) : nullptr;
  state_ = state != nullptr ? state : "";
  const char* primary = result != nullptr ? PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY) : nullptr;
  std::string message = trimmed(primary != nullptr ? primary : PQerrorMessage(connection_));
  Error out{
      is_broken() ? Code::kUnavailable : code_of(state_), fmt::format("Postgres at {}: {}", place_, message), {}, {}};
  if (result == nullptr) return out;
  for (const int field : {PG_DIAG_MESSAGE_DETAIL, PG_DIAG_CONTEXT, PG_DIAG_MESSAGE_HINT})
    if (const char* more = PQresultErrorField(result, field); more != nullptr) out.notes.push_back({more, {}});
  return out;
}

Result<Rows> Connection::checked(PGresult* result) {
  const ExecStatusType status = PQresultStatus(result);
  if (status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK) return Rows(result);
  Error error = error_of(result);
  PQclear(result);
  return fail(std::move(error));
}

Result<Rows> Connection::run(const std::string& sql) { return checked(PQexec(connection_, sql.c_str())); }

Result<Rows> Connection::run(const std::string& sql, const std::vector<std::string>& parameters) {
  std::vector<const char*> values;
  values.reserve(parameters.size());
  for (const std::string& parameter : parameters) values.push_back(parameter.c_str());
  return checked(PQexecParams(connection_, sql.c_str(), static_cast<int>(values.size()), nullptr, values.data(),
                              nullptr, nullptr, 0));
}

Result<void> Connection::begin_copy(const std::string& sql, ExecStatusType expected) {
  PGresult* result = PQexec(connection_, sql.c_str());
  if (PQresultStatus(result) == expected) {
    PQclear(result);
    return {};
  }
  Error error = error_of(result);
  PQclear(result);
  return fail(std::move(error));
}

Result<void> Connection::begin_copy_in(const std::string& sql) { return begin_copy(sql, PGRES_COPY_IN); }

void Connection::drop_results() {
  while (PGresult* result = PQgetResult(connection_)) PQclear(result);
}

Result<void> Connection::copy(std::string_view bytes) {
  if (PQputCopyData(connection_, bytes.data(), static_cast<int>(bytes.size())) == 1) return {};
  return fail(error_of(nullptr));
}

Result<void> Connection::end_copy_in() {
  if (PQputCopyEnd(connection_, nullptr) != 1) return fail(error_of(nullptr));
  PGresult* result = PQgetResult(connection_);
  if (result == nullptr) return fail(error_of(nullptr));
  auto done = checked(result);
  drop_results();
  if (!done) return fail(std::move(done).error());
  return {};
}

Result<Connection::Got> Connection::take_copy(std::string_view& message) {
  if (message_ != nullptr) PQfreemem(std::exchange(message_, nullptr));
  int bytes = PQgetCopyData(connection_, &message_, 1);
  if (bytes == 0) {
    if (PQconsumeInput(connection_) == 0) return fail(error_of(nullptr));
    bytes = PQgetCopyData(connection_, &message_, 1);
  }
  if (bytes > 0) {
    message = {message_, static_cast<std::size_t>(bytes)};
    return Got::kMessage;
  }
  if (bytes == 0) return Got::kNothingYet;
  if (bytes == -2) return fail(error_of(nullptr));
  PGresult* result = PQgetResult(connection_);
  if (result == nullptr) return Got::kEnd;
  const ExecStatusType status = PQresultStatus(result);
  if (status == PGRES_COMMAND_OK || status == PGRES_COPY_BOTH || status == PGRES_COPY_IN) {
    PQclear(result);
    drop_results();
    return Got::kEnd;
  }
  Error error = error_of(result);
  PQclear(result);
  return fail(std::move(error));
}

Result<void> Connection::flush() {
  if (PQflush(connection_) < 0) return fail(error_of(nullptr));
  return {};
}

}  // namespace thalweg::postgres
