#include "connectors/process/line_process.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <mutex>
#include <utility>

extern char** environ;

namespace thalweg::process {

namespace {

constexpr std::size_t kErrorLineMax = 4096;
constexpr std::int64_t kTermGraceMs = 500;

std::int64_t now_ms() {
  return std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

class Fd {
 public:
  explicit Fd(int fd = -1) : fd_(fd) {}
  Fd(Fd&& other) noexcept : fd_(other.release()) {}
  Fd& operator=(Fd&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~Fd() {
    if (fd_ >= 0) ::close(fd_);
  }
  [[nodiscard]] int get() const { return fd_; }
  int release() { return std::exchange(fd_, -1); }

 private:
  int fd_;
};

struct Pipe {
  Fd read, write;
};
Result<Pipe> make_pipe() {
  int fds[2];
  if (::pipe2(fds, O_CLOEXEC) != 0) return fail(Code::kUnavailable, std::string("pipe: ") + std::strerror(errno));
  return Pipe{Fd(fds[0]), Fd(fds[1])};
}

void set_nonblocking(int fd) { ::fcntl(fd, F_SETFL, ::fcntl(fd, F_GETFL) | O_NONBLOCK); }

// A program that ends while we write to it is an error of the write, not our end. Whoever wants the signal has a
// handler.
void ignore_broken_pipes() {
  static std::once_flag once;
  std::call_once(once, [] {
    struct sigaction now{};
    if (::sigaction(SIGPIPE, nullptr, &now) == 0 && now.sa_handler == SIG_DFL) ::signal(SIGPIPE, SIG_IGN);
  });
}

// posix_spawn's two objects, freed.
struct Spawn {
  posix_spawn_file_actions_t actions;
  posix_spawnattr_t attributes;
  Spawn() {
    posix_spawn_file_actions_init(&actions);
    posix_spawnattr_init(&attributes);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    posix_spawnattr_setpgroup(&attributes, 0);
    sigset_t none, all;
    sigemptyset(&none);
    sigfillset(&all);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setsigdefault(&attributes, &all);
  }
  ~Spawn() {
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attributes);
  }
  Spawn(const Spawn&) = delete;
  Spawn& operator=(const Spawn&) = delete;
};

std::vector<std::string> environment_of(const Command& command) {
  std::vector<std::string> out;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string_view text = *entry;
    const auto same = [&](const auto& own) { return text.starts_with(own.first + "="); };
    if (std::ranges::none_of(command.environment, same)) out.emplace_back(text);
  }
  for (const auto& [name, value] : command.environment) out.push_back(name + "=" + value);
  return out;
}

std::vector<char*> pointers(std::vector<std::string>& texts) {
  std::vector<char*> out;
  for (std::string& text : texts) out.push_back(text.data());
  out.push_back(nullptr);
  return out;
}

}  // namespace

Command command_of(const std::vector<std::string>& words, bool shell) {
  Command out;
  out.words = shell && words.size() == 1 ? std::vector<std::string>{"/bin/sh", "-c", words[0]} : words;
  return out;
}

Result<std::unique_ptr<LineProcess>> LineProcess::start(const Command& command) {
  if (command.words.empty()) return fail(Code::kInvalidArgument, "the command is empty");
  ignore_broken_pipes();
  Pipe in = TRY(make_pipe()), out = TRY(make_pipe()), err = TRY(make_pipe());
  Spawn spawn;
  posix_spawn_file_actions_adddup2(&spawn.actions, in.read.get(), 0);
  posix_spawn_file_actions_adddup2(&spawn.actions, out.write.get(), 1);
  posix_spawn_file_actions_adddup2(&spawn.actions, err.write.get(), 2);
  if (!command.directory.empty()) posix_spawn_file_actions_addchdir_np(&spawn.actions, command.directory.c_str());
  std::vector<std::string> words = command.words, environment = environment_of(command);
  std::vector<char*> argv = pointers(words), envp = pointers(environment);
  pid_t pid = -1;
  if (int error = ::posix_spawnp(&pid, argv[0], &spawn.actions, &spawn.attributes, argv.data(), envp.data());
      error != 0) {
    std::string what = "cannot start `" + command.words[0] + "`: " + std::strerror(error);
    if (!command.directory.empty()) what += " (in " + command.directory + ")";
    return fail(Code::kUnavailable, std::move(what));
  }
  std::unique_ptr<LineProcess> process(new LineProcess);
  process->name_ = command.name;
  process->pid_ = pid;
  process->in_fd_ = in.write.release();
  process->out_fd_ = out.read.release();
  process->err_fd_ = err.read.release();
  for (int fd : {process->in_fd_, process->out_fd_, process->err_fd_}) set_nonblocking(fd);
  return process;
}

LineProcess::~LineProcess() {
  if (in_fd_ >= 0) ::close(in_fd_);
  in_fd_ = -1;
  if (!ended_) {
    ::kill(-pid_, SIGTERM);
    if (!wait_end(kTermGraceMs)) {
      kill();
      (void)wait_end(kTermGraceMs);
    }
  }
  ::kill(-pid_, SIGKILL);  // what it left behind in its group
  for (int fd : {out_fd_, err_fd_})
    if (fd >= 0) ::close(fd);
}

void LineProcess::send(std::string_view line) {
  if (out_done_ > 0 && out_done_ == out_.size()) {
    out_.clear();
    out_done_ = 0;
  }
  out_ += line;
  out_ += '\n';
}

void LineProcess::close_input() { close_when_sent_ = true; }

// False: the program has closed its input.
bool LineProcess::write_input() {
  while (unsent() > 0) {
    const ssize_t n = ::write(in_fd_, out_.data() + out_done_, unsent());
    if (n > 0)
      out_done_ += static_cast<std::size_t>(n);
    else if (n < 0 && errno == EINTR)
      continue;
    else
      return n < 0 && errno == EAGAIN;
  }
  return true;
}

// Whether anything came, the end included.
bool LineProcess::read_output() {
  if (in_done_ > 0 && in_done_ * 2 >= in_.size()) {
    in_.erase(0, in_done_);
    in_searched_ -= in_done_;
    in_done_ = 0;
  }
  constexpr std::size_t kPiece = 64 * 1024;
  const std::size_t size = in_.size();
  in_.resize(size + kPiece);
  const ssize_t n = ::read(out_fd_, in_.data() + size, kPiece);
  in_.resize(size + static_cast<std::size_t>(std::max<ssize_t>(n, 0)));
  if (n < 0) return errno != EAGAIN && errno != EINTR;
  if (n == 0) {
    if (in_.size() > in_done_ && in_.back() != '\n') in_ += '\n';  // a last line without its end counts
    ::close(out_fd_);
    out_fd_ = -1;
  }
  too_long_ = too_long_ || in_.size() - in_done_ > kLineMax;
  return true;
}

void LineProcess::log_line(std::string_view line) {
  last_error_ = line;
  std::fprintf(stderr, "%s: %.*s\n", name_.c_str(), static_cast<int>(line.size()), line.data());
}

void LineProcess::read_errors() {
  std::array<char, 4096> bytes;
  const ssize_t n = ::read(err_fd_, bytes.data(), bytes.size());
  if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (n <= 0) {
    if (!err_.empty()) log_line(std::exchange(err_, {}));
    ::close(err_fd_);
    err_fd_ = -1;
    return;
  }
  err_.append(bytes.data(), static_cast<std::size_t>(n));
  for (std::size_t end; (end = err_.find('\n')) != std::string::npos || err_.size() > kErrorLineMax;) {
    const std::size_t size = std::min(end, kErrorLineMax);
    if (size > 0) log_line(std::string_view(err_).substr(0, size));
    err_.erase(0, end == std::string::npos ? size : size + (size == end ? 1 : 0));
  }
}

Result<void> LineProcess::pump(std::int64_t timeout_ms, bool until_sent, int wake_fd) {
  const std::int64_t deadline = now_ms() + timeout_ms;
  while (true) {
    if (in_fd_ >= 0 && unsent() > 0 && !write_input()) {
      ::close(in_fd_);
      in_fd_ = -1;
    }
    if (in_fd_ >= 0 && unsent() == 0 && close_when_sent_) {
      ::close(in_fd_);
      in_fd_ = -1;
    }
    const bool line = in_.find('\n', in_searched_) != std::string::npos;
    if (line || out_fd_ < 0 || (until_sent && (unsent() == 0 || in_fd_ < 0))) return {};
    in_searched_ = in_.size();
    if (too_long_) return fail(Code::kBadData, "`" + name_ + "` wrote a line of more than 64 MiB");
    const std::int64_t left = deadline - now_ms();
    if (left < 0) return {};
    std::array<pollfd, 4> fds{
        {{out_fd_, POLLIN, 0}, {err_fd_, POLLIN, 0}, {unsent() > 0 ? in_fd_ : -1, POLLOUT, 0}, {wake_fd, POLLIN, 0}}};
    if (::poll(fds.data(), fds.size(), static_cast<int>(std::min<std::int64_t>(left, 60'000))) < 0 && errno != EINTR)
      return fail(Code::kIo, std::string("poll: ") + std::strerror(errno));
    if (fds[1].revents != 0) read_errors();
    if (fds[0].revents != 0) read_output();
    if (fds[3].revents != 0) return {};
  }
}

std::optional<std::string> LineProcess::take_line() {
  const std::size_t end = in_.find('\n', std::max(in_done_, std::min(in_searched_, in_.size())));
  if (end == std::string::npos) return std::nullopt;
  std::string line = in_.substr(in_done_, end - in_done_);
  if (line.ends_with('\r')) line.pop_back();
  in_done_ = end + 1;
  in_searched_ = in_done_;
  return line;
}

void LineProcess::kill() { ::kill(-pid_, SIGKILL); }

std::string LineProcess::end_text() const {
  std::string text = WIFSIGNALED(status_) ? "was ended by signal " + std::to_string(WTERMSIG(status_))
                                          : "exited with status " + std::to_string(WEXITSTATUS(status_));
  if (!last_error_.empty()) text += ": " + last_error_;
  return text;
}

std::optional<std::string> LineProcess::wait_end(std::int64_t timeout_ms) {
  const std::int64_t deadline = now_ms() + timeout_ms;
  while (!ended_) {
    const pid_t done = ::waitpid(pid_, &status_, WNOHANG);
    if (done == pid_ || (done < 0 && errno == ECHILD)) {
      ended_ = true;
      for (int round = 0; round < 1000 && err_fd_ >= 0; ++round) {  // what it said last
        pollfd fd{err_fd_, POLLIN, 0};
        if (::poll(&fd, 1, 0) <= 0) break;
        read_errors();
      }
      if (!err_.empty()) log_line(std::exchange(err_, {}));
      break;
    }
    if (now_ms() >= deadline) return std::nullopt;
    // Its end closes its stderr, unless a child of it lives on.
    pollfd fd{err_fd_, POLLIN, 0};
    ::poll(&fd, 1, 5);
    if (fd.revents != 0 && err_fd_ >= 0) {
      const bool hung_up = (fd.revents & POLLIN) == 0;
      read_errors();
      if (hung_up && err_fd_ < 0) ::poll(nullptr, 0, 1);
    }
  }
  return end_text();
}

}  // namespace thalweg::process
