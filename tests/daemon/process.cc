#include "tests/daemon/process.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <thread>

namespace thalweg::tests {
namespace {

constexpr int kWaitSeconds = 60;

std::string read_file(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  std::ostringstream out;
  out << in.rdbuf();
  return out.str();
}

[[noreturn]] void become(const std::string& directory, const std::vector<std::string>& args,
                         const std::vector<std::pair<std::string, std::string>>& environment) {
  int out = ::open((directory + "/stdout").c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
  int err = ::open((directory + "/stderr").c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
  ::dup2(out, STDOUT_FILENO);
  ::dup2(err, STDERR_FILENO);
  for (const auto& [name, value] : environment) ::setenv(name.c_str(), value.c_str(), 1);
  if (::chdir(directory.c_str()) != 0) ::_exit(126);
  std::vector<char*> argv;
  std::string binary = THALWEG_BINARY;
  argv.push_back(binary.data());
  for (const std::string& arg : args) argv.push_back(const_cast<char*>(arg.c_str()));
  argv.push_back(nullptr);
  ::execv(binary.c_str(), argv.data());
  ::_exit(127);
}

}  // namespace

Process::Process(std::string directory, const std::vector<std::string>& args,
                 const std::vector<std::pair<std::string, std::string>>& environment)
    : directory_(std::move(directory)), pid_(::fork()) {
  REQUIRE(pid_ >= 0);
  if (pid_ == 0) become(directory_, args, environment);
}

Process::~Process() {
  if (pid_ <= 0) return;
  ::kill(pid_, SIGKILL);
  ::waitpid(pid_, nullptr, 0);
}

void Process::signal(int number) const { ::kill(pid_, number); }

std::string Process::err_so_far() const { return read_file(directory_ + "/stderr"); }

Finished Process::wait() {
  int status = 0;
  for (int i = 0; i < kWaitSeconds * 100; ++i) {
    pid_t done = ::waitpid(pid_, &status, WNOHANG);
    if (done == pid_) {
      pid_ = -1;
      Finished out;
      out.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
      out.out = read_file(directory_ + "/stdout");
      out.err = read_file(directory_ + "/stderr");
      return out;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  FAIL("the process did not end; stderr so far: " << err_so_far());
  return {};
}

Finished thalweg(const std::string& directory, const std::vector<std::string>& args,
                 const std::vector<std::pair<std::string, std::string>>& environment) {
  return Process(directory, args, environment).wait();
}

ScratchDirectory::ScratchDirectory() {
  std::string pattern = (std::filesystem::temp_directory_path() / "thalweg_cli_XXXXXX").string();
  REQUIRE(::mkdtemp(pattern.data()) != nullptr);
  path_ = pattern;
}

ScratchDirectory::~ScratchDirectory() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

std::string ScratchDirectory::write(const std::string& name, const std::string& text, bool append) const {
  std::string path = path_ + "/" + name;
  std::filesystem::create_directories(std::filesystem::path(path).parent_path());
  std::ofstream(path, append ? std::ios::app : std::ios::trunc) << text;
  return path;
}

std::string ScratchDirectory::read(const std::string& name) const { return read_file(path_ + "/" + name); }

}  // namespace thalweg::tests
