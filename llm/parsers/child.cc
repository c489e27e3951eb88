#include "llm/parsers/child.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstring>

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

namespace thalweg::llm {

namespace {

struct Pipe {
  std::array<int, 2> ends = {-1, -1};
  Pipe() = default;
  ~Pipe() {
    close_end(0);
    close_end(1);
  }
  Pipe(const Pipe&) = delete;
  Pipe& operator=(const Pipe&) = delete;
  bool open() { return ::pipe2(ends.data(), O_CLOEXEC) == 0; }
  void close_end(std::size_t which) {
    if (ends[which] >= 0) ::close(ends[which]);
    ends[which] = -1;
  }
};

// Feeds the child and reads what it says, until it closes its output. False: too late or too much.
bool converse(Pipe& in, Pipe& out, std::string_view input, const ChildLimits& limits, std::string& output) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(limits.seconds);
  ::fcntl(in.ends[1], F_SETFL, O_NONBLOCK);
  if (input.empty()) in.close_end(1);
  std::array<char, 64 * 1024> buffer;
  for (;;) {
    const auto left =
        std::chrono::duration_cast<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now()).count();
    if (left <= 0 || output.size() > limits.output_bytes) return false;
    std::array<pollfd, 2> waits = {{{out.ends[0], POLLIN, 0}, {in.ends[1], POLLOUT, 0}}};
    const nfds_t count = in.ends[1] >= 0 ? 2 : 1;
    if (::poll(waits.data(), count, static_cast<int>(left)) < 0 && errno != EINTR) return false;
    if (count == 2 && waits[1].revents != 0) {
      const ssize_t wrote = ::write(in.ends[1], input.data(), std::min(input.size(), buffer.size()));
      if (wrote > 0) input.remove_prefix(static_cast<std::size_t>(wrote));
      if ((wrote < 0 && errno != EAGAIN && errno != EINTR) || input.empty()) in.close_end(1);
    }
    if (waits[0].revents != 0) {
      const ssize_t got = ::read(out.ends[0], buffer.data(), buffer.size());
      if (got == 0) return true;
      if (got < 0 && errno != EINTR) return false;
      if (got > 0) output.append(buffer.data(), static_cast<std::size_t>(got));
    }
  }
}

void limit(int what, std::size_t most) {
  const rlimit value = {most, most};
  (void)::setrlimit(static_cast<__rlimit_resource>(what), &value);
}

// In the child, between fork and exec: nothing but system calls.
[[noreturn]] void become(const Pipe& in, const Pipe& out, char* const* argv, char* const* environment,
                         const ChildLimits& limits, pid_t parent) {
  constexpr std::size_t kFiles = 64;
  (void)::setsid();
  (void)::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != parent) ::_exit(126);
  (void)::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
  if (::unshare(CLONE_NEWNET) != 0) (void)::unshare(CLONE_NEWUSER | CLONE_NEWNET);
  limit(RLIMIT_AS, limits.memory_bytes);
  limit(RLIMIT_CPU, static_cast<std::size_t>(limits.seconds));
  limit(RLIMIT_CORE, 0);
  limit(RLIMIT_FSIZE, 0);
  limit(RLIMIT_NOFILE, kFiles);
  const int nowhere = ::open("/dev/null", O_WRONLY);
  if (::dup2(in.ends[0], 0) < 0 || ::dup2(out.ends[1], 1) < 0 || ::dup2(nowhere, 2) < 0) ::_exit(126);
  (void)::close_range(3, ~0U, 0);
  sigset_t none;
  ::sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  ::signal(SIGPIPE, SIG_DFL);
  if (::chdir("/") != 0) ::_exit(126);
  ::execvpe(argv[0], argv, environment);
  ::_exit(127);
}

}  // namespace

Result<std::string> run_child(const std::vector<std::string>& command, std::string_view input,
                              const ChildLimits& limits) {
  const std::string& program = command.front();
  Pipe in, out;
  if (!in.open() || !out.open()) return fail(Code::kIo, "no pipes for " + program);
  std::vector<std::string> words = command;
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  std::array<std::string, 3> settings = {"PATH=/usr/local/bin:/usr/bin:/bin", "LC_ALL=C.UTF-8", "OMP_THREAD_LIMIT=1"};
  std::array<char*, 4> environment = {settings[0].data(), settings[1].data(), settings[2].data(), nullptr};
  const pid_t parent = ::getpid();
  const pid_t child = ::fork();
  if (child < 0) return fail(Code::kIo, program + " did not start: " + std::strerror(errno));
  if (child == 0) become(in, out, argv.data(), environment.data(), limits, parent);
  in.close_end(0);
  out.close_end(1);
  std::string text;
  const bool whole = converse(in, out, input, limits, text);
  if (!whole) ::kill(child, SIGKILL);
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  if (!whole) return fail(Code::kTooLarge, "the document takes too long or has too much in it for " + program);
  if (WIFEXITED(status) && WEXITSTATUS(status) == 127)
    return fail(Code::kUnavailable, "`" + program + "` is not installed");
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
    return fail(Code::kBadData, "`" + program + "` cannot read the document");
  return text;
}

}  // namespace thalweg::llm
