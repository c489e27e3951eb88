// PDF → text per page, by `pdftotext` of Poppler in a process of its own.
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstring>

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fmt/format.h>

#include "llm/parsers/parsers.h"

extern char** environ;

namespace thalweg::llm {

namespace {

constexpr int kSecondsMax = 60;
constexpr std::size_t kOutputMax = 64U << 20;
// Two GiB of memory and a minute of processor.
constexpr const char* kCommand = "ulimit -v 2097152 -t 60; exec pdftotext -q -enc UTF-8 - -";

struct Pipe {
  int ends[2] = {-1, -1};
  ~Pipe() {
    close_end(0);
    close_end(1);
  }
  Pipe() = default;
  Pipe(const Pipe&) = delete;
  Pipe& operator=(const Pipe&) = delete;
  bool open() { return ::pipe2(ends, O_CLOEXEC) == 0; }
  void close_end(int which) {
    if (ends[which] >= 0) ::close(ends[which]);
    ends[which] = -1;
  }
};

// Feeds the child and reads what it says, until it closes its output. False: too late or too much.
bool converse(Pipe& in, Pipe& out, std::string_view input, std::string& output) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(kSecondsMax);
  ::fcntl(in.ends[1], F_SETFL, O_NONBLOCK);
  char buffer[64 * 1024];
  for (;;) {
    const auto left =
        std::chrono::duration_cast<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now()).count();
    if (left <= 0 || output.size() > kOutputMax) return false;
    pollfd waits[2] = {{out.ends[0], POLLIN, 0}, {in.ends[1], POLLOUT, 0}};
    const nfds_t count = in.ends[1] >= 0 ? 2 : 1;
    if (::poll(waits, count, static_cast<int>(left)) < 0 && errno != EINTR) return false;
    if (count == 2 && waits[1].revents != 0) {
      const ssize_t wrote = ::write(in.ends[1], input.data(), std::min<std::size_t>(input.size(), sizeof buffer));
      if (wrote > 0) input.remove_prefix(static_cast<std::size_t>(wrote));
      if ((wrote < 0 && errno != EAGAIN && errno != EINTR) || input.empty()) in.close_end(1);
    }
    if (waits[0].revents != 0) {
      const ssize_t got = ::read(out.ends[0], buffer, sizeof buffer);
      if (got == 0) return true;
      if (got < 0 && errno != EINTR) return false;
      if (got > 0) output.append(buffer, static_cast<std::size_t>(got));
    }
  }
}

Result<std::string> run_pdftotext(std::string_view bytes) {
  Pipe in, out;
  if (!in.open() || !out.open()) return fail(Code::kIo, "no pipes for pdftotext");
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, in.ends[0], 0);
  posix_spawn_file_actions_adddup2(&actions, out.ends[1], 1);
  posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0);
  char shell[] = "sh", flag[] = "-c";
  std::string command = kCommand;
  char* const argv[] = {shell, flag, command.data(), nullptr};
  pid_t child = 0;
  const int failed = ::posix_spawn(&child, "/bin/sh", &actions, nullptr, argv, environ);
  posix_spawn_file_actions_destroy(&actions);
  if (failed != 0) return fail(Code::kIo, std::string("pdftotext did not start: ") + std::strerror(failed));
  in.close_end(0);
  out.close_end(1);
  std::string text;
  const bool whole = converse(in, out, bytes, text);
  if (!whole) ::kill(child, SIGKILL);
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  if (!whole) return fail(Code::kTooLarge, "the PDF takes too long or has too much text");
  if (WIFEXITED(status) && WEXITSTATUS(status) == 127)
    return fail(Code::kUnavailable, "PDFs are read by `pdftotext`, which is not installed (package poppler-utils)");
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) return fail(Code::kBadData, "the PDF cannot be read");
  return text;
}

}  // namespace

Result<ParsedParts> parse_pdf(std::string_view bytes) {
  const std::string text = TRY(run_pdftotext(bytes));
  if (!is_valid_utf8(text)) return fail(Code::kBadData, "the PDF has no readable text");
  ParsedParts out;
  for (std::size_t begin = 0; begin < text.size();) {  // pages end with a form feed
    const std::size_t end = std::min(text.find('\f', begin), text.size());
    ParsedPart part;
    part.text = text.substr(begin, end - begin);
    while (part.text.ends_with('\n')) part.text.pop_back();
    part.metadata_json = fmt::format(R"({{"filetype":"pdf","page_number":{}}})", out.size());
    out.push_back(std::move(part));
    begin = end + 1;
  }
  return out;
}

}  // namespace thalweg::llm
