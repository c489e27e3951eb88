// tests/daemon/process.h
//
// The binary as a user runs it: arguments in, exit code and both outputs out.
#pragma once

#include <sys/types.h>

#include <string>
#include <utility>
#include <vector>

namespace thalweg::tests {

struct Finished {
  int exit_code = -1;  // 128 + n: ended by signal n
  std::string out;
  std::string err;
};

class Process {
 public:
  // `environment` is added to ours. Outputs go to files in `directory`.
  Process(std::string directory, const std::vector<std::string>& args,
          const std::vector<std::pair<std::string, std::string>>& environment = {});
  ~Process();  // kills what still runs
  void signal(int number) const;
  [[nodiscard]] std::string err_so_far() const;
  Finished wait();

 private:
  std::string directory_;
  pid_t pid_ = -1;
};

// Runs to the end.
Finished thalweg(const std::string& directory, const std::vector<std::string>& args,
                 const std::vector<std::pair<std::string, std::string>>& environment = {});

// A directory that goes away with the test.
class ScratchDirectory {
 public:
  ScratchDirectory();
  ~ScratchDirectory();
  [[nodiscard]] const std::string& path() const { return path_; }
  std::string write(const std::string& name, const std::string& text, bool append = false) const;  // its path
  [[nodiscard]] std::string read(const std::string& name) const;

 private:
  std::string path_;
};

}  // namespace thalweg::tests
