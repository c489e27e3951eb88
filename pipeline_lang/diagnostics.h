// pipeline_lang/diagnostics.h
//
// Errors and warnings about a pipeline, collected so that one run reports all of them.
//
// D1  One place gets one error: a second error with the same span and message is dropped.
// D2  At most kDiagnosticsMax are kept; then a last one says that there are more.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/file_table.h"
#include "engine/base/result.h"
#include "engine/base/source_span.h"

namespace thalweg::lang {

enum class Severity : std::uint8_t { kError, kWarning };

struct Diagnostic {
  Severity severity = Severity::kError;
  std::string message;
  SourceSpan span;
  std::vector<Note> notes;

  Diagnostic& note(std::string text, SourceSpan where = {}) {
    notes.push_back({std::move(text), where});
    return *this;
  }
};

class Diagnostics {
 public:
  static constexpr std::size_t kDiagnosticsMax = 200;

  // The reference is good until the next call.
  Diagnostic& error(SourceSpan span, std::string message);
  Diagnostic& warning(SourceSpan span, std::string message);
  void report(Error error);  // as an error
  // While above zero, errors become warnings: inside a variable that nothing reaches.
  void soften() { ++softened_; }
  void harden() { --softened_; }

  [[nodiscard]] bool has_errors() const { return num_errors_ > 0; }
  [[nodiscard]] std::size_t num_errors() const { return num_errors_; }
  [[nodiscard]] const std::vector<Diagnostic>& all() const { return all_; }
  // By place in the text, errors and warnings together.
  void sort();
  // Takes the warnings and errors that came after `mark` (a former all().size()) away again.
  void drop_after(std::size_t mark);

 private:
  Diagnostic& add(Severity severity, SourceSpan span, std::string message);
  std::vector<Diagnostic> all_;
  Diagnostic overflow_;
  std::size_t num_errors_ = 0;
  int softened_ = 0;
};

// `file:line:column: error: message`, the source line with carets under the span, notes.
[[nodiscard]] std::string render_text(const Diagnostic& diagnostic, const FileTable& files);
[[nodiscard]] std::string render_text(const Diagnostics& diagnostics, const FileTable& files);
// A JSON array of {severity, file, line, column, end_line, end_column, message, notes}.
[[nodiscard]] std::string render_json(const Diagnostics& diagnostics, const FileTable& files);

// " did you mean `x`?" as a note, where a name is near enough.
void suggest(Diagnostic& diagnostic, std::string_view name, std::span<const std::string> names);

}  // namespace thalweg::lang
