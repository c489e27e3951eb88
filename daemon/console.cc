#include "daemon/console.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>

namespace thalweg::daemon {
namespace {

constexpr std::string_view kRed = "\x1b[1;31m";
constexpr std::string_view kYellow = "\x1b[1;33m";
constexpr std::string_view kCyan = "\x1b[36m";
constexpr std::string_view kReset = "\x1b[0m";

bool is_set(const char* variable) {
  const char* value = std::getenv(variable);
  return value != nullptr && *value != '\0';
}

std::string colored(std::string_view text, std::string_view word, std::string_view color) {
  std::size_t at = text.find(word);
  if (at == std::string_view::npos) return std::string(text);
  return std::string(text.substr(0, at)) + std::string(color) + std::string(word) + std::string(kReset) +
         std::string(text.substr(at + word.size()));
}

// Colors the first `error:` or `warning:` and the notes of one rendered diagnostic.
std::string paint(const std::string& text) {
  std::string out;
  bool head = true;
  std::size_t begin = 0;
  while (begin < text.size()) {
    std::size_t end = std::min(text.find('\n', begin), text.size());
    std::string_view line(text.data() + begin, end - begin);
    if (head) {
      out += line.find(" error: ") != std::string_view::npos ? colored(line, "error:", kRed)
                                                             : colored(line, "warning:", kYellow);
    } else {
      out += line.find("note:") != std::string_view::npos ? colored(line, "note:", kCyan) : std::string(line);
    }
    head = false;
    if (end < text.size()) out += '\n';
    begin = end + 1;
  }
  return out;
}

}  // namespace

bool stderr_is_terminal() { return ::isatty(STDERR_FILENO) != 0; }
bool stdout_is_terminal() { return ::isatty(STDOUT_FILENO) != 0; }

bool stderr_has_color() {
  if (is_set("NO_COLOR")) return false;
  if (is_set("FORCE_COLOR") || is_set("CLICOLOR_FORCE")) return true;
  const char* terminal = std::getenv("TERM");
  return stderr_is_terminal() && terminal != nullptr && std::string_view(terminal) != "dumb";
}

void print_diagnostics(const lang::Diagnostics& diagnostics, const FileTable& files) {
  bool color = stderr_has_color();
  for (const lang::Diagnostic& diagnostic : diagnostics.all()) {
    std::string text = lang::render_text(diagnostic, files);
    if (!text.ends_with('\n')) text += '\n';
    std::fputs(color ? paint(text).c_str() : text.c_str(), stderr);
  }
}

void print_error(const Error& error, const FileTable* files) {
  if (files == nullptr || !error.span.known()) {
    complain(error.message);
    for (const Note& note : error.notes) std::fprintf(stderr, "  note: %s\n", note.text.c_str());
    return;
  }
  lang::Diagnostics diagnostics;
  diagnostics.report(error);
  print_diagnostics(diagnostics, *files);
}

void complain(std::string_view message) {
  std::string text = "thalweg: " + std::string(message) + "\n";
  std::fputs(text.c_str(), stderr);
}

std::string short_count(double value) {
  if (value < 1000) return fmt::format("{:.0f}", value);
  if (value < 1e6) return fmt::format("{:.1f}k", value / 1e3);
  if (value < 1e9) return fmt::format("{:.1f}M", value / 1e6);
  return fmt::format("{:.1f}G", value / 1e9);
}

std::string short_bytes(double bytes) {
  if (bytes < 1000) return fmt::format("{:.0f} B", bytes);
  if (bytes < 1e6) return fmt::format("{:.1f} KB", bytes / 1e3);
  if (bytes < 1e9) return fmt::format("{:.1f} MB", bytes / 1e6);
  return fmt::format("{:.1f} GB", bytes / 1e9);
}

std::string short_seconds(double value) {
  if (value < 1) return fmt::format("{:.3f} s", value);
  if (value < 120) return fmt::format("{:.1f} s", value);
  auto whole = static_cast<std::int64_t>(value);
  if (whole < 7200) return fmt::format("{}m{:02}s", whole / 60, whole % 60);
  return fmt::format("{}h{:02}m", whole / 3600, whole / 60 % 60);
}

}  // namespace thalweg::daemon
