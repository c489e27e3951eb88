#include "pipeline_lang/diagnostics.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "engine/base/edit_distance.h"

namespace thalweg::lang {
namespace {

constexpr std::size_t kLineBytesShown = 160;

std::size_t code_points(std::string_view text) {
  return static_cast<std::size_t>(
      std::count_if(text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; }));
}

std::string place_text(const SourceSpan& span, const FileTable& files) {
  if (!span.known()) return {};
  const LineColumn at = files.locate(span);
  return std::string(files.name(span.file)) + ":" + std::to_string(at.line) + ":" + std::to_string(at.column) + ": ";
}

// The line of the span, and carets under the part of the span that is on it.
std::string excerpt(const SourceSpan& span, const FileTable& files) {
  if (!span.known()) return {};
  const LineColumn at = files.locate(span);
  std::string_view line = files.line_at(span.file, span.begin);
  if (line.empty()) return {};
  const std::string_view text = files.text(span.file);
  const auto line_begin = static_cast<std::size_t>(line.data() - text.data());
  std::size_t from = span.begin - line_begin;
  std::size_t to = std::min<std::size_t>(std::max(span.end, span.begin) - line_begin, line.size());
  from = std::min(from, line.size());
  if (from > kLineBytesShown / 2) {  // a long line is shown from a little before the span
    std::size_t cut = from - kLineBytesShown / 2;
    while (cut < from && (static_cast<unsigned char>(line[cut]) & 0xC0) == 0x80) ++cut;
    line.remove_prefix(cut);
    from -= cut;
    to = to > cut ? to - cut : 0;
  }
  if (line.size() > kLineBytesShown) {
    std::size_t cut = kLineBytesShown;
    while (cut > 0 && (static_cast<unsigned char>(line[cut]) & 0xC0) == 0x80) --cut;
    line = line.substr(0, cut);
  }
  to = std::min(to, line.size());
  from = std::min(from, line.size());
  const std::string number = std::to_string(at.line);
  std::string out = "  " + number + " | " + std::string(line) + "\n";
  out += "  " + std::string(number.size(), ' ') + " | ";
  for (std::size_t i = 0; i < from; ++i)
    if ((static_cast<unsigned char>(line[i]) & 0xC0) != 0x80) out += line[i] == '\t' ? '\t' : ' ';
  const std::size_t width = to > from ? code_points(line.substr(from, to - from)) : 1;
  out += std::string(std::max<std::size_t>(width, 1), '^') + "\n";
  return out;
}

}  // namespace

Diagnostic& Diagnostics::add(Severity severity, SourceSpan span, std::string message) {
  if (severity == Severity::kError && softened_ > 0) severity = Severity::kWarning;
  for (Diagnostic& known : all_)
    if (known.span == span && known.message == message) {
      overflow_ = {};
      return overflow_;  // notes of the second one are dropped with it
    }
  if (severity == Severity::kError) ++num_errors_;
  if (all_.size() > kDiagnosticsMax) return overflow_ = {};
  if (all_.size() == kDiagnosticsMax) {
    all_.push_back({severity, "there are more problems than these; they are not shown", {}, {}});
    return overflow_ = {};
  }
  all_.push_back({severity, std::move(message), span, {}});
  return all_.back();
}

Diagnostic& Diagnostics::error(SourceSpan span, std::string message) {
  return add(Severity::kError, span, std::move(message));
}

Diagnostic& Diagnostics::warning(SourceSpan span, std::string message) {
  return add(Severity::kWarning, span, std::move(message));
}

void Diagnostics::report(Error error) {
  Diagnostic& diagnostic = add(Severity::kError, error.span, std::move(error.message));
  for (Note& note : error.notes) diagnostic.notes.push_back(std::move(note));
}

void Diagnostics::sort() {
  std::stable_sort(all_.begin(), all_.end(), [](const Diagnostic& a, const Diagnostic& b) {
    const bool a_known = a.span.known(), b_known = b.span.known();
    if (a_known != b_known) return a_known;
    if (a.span.file != b.span.file) return a.span.file < b.span.file;
    return a.span.begin < b.span.begin;
  });
}

void Diagnostics::drop_after(std::size_t mark) {
  while (all_.size() > mark) {
    if (all_.back().severity == Severity::kError) --num_errors_;
    all_.pop_back();
  }
}

std::string render_text(const Diagnostic& diagnostic, const FileTable& files) {
  std::string out = place_text(diagnostic.span, files);
  out += diagnostic.severity == Severity::kError ? "error: " : "warning: ";
  out += diagnostic.message + "\n";
  out += excerpt(diagnostic.span, files);
  for (const Note& note : diagnostic.notes) {
    out += "  note: " + (note.span.known() ? place_text(note.span, files) : std::string()) + note.text + "\n";
    if (note.span.known() && !(note.span == diagnostic.span)) out += excerpt(note.span, files);
  }
  // What a file says must not steer a terminal.
  std::ranges::replace_if(out, [](unsigned char c) { return (c < 0x20 && c != '\n' && c != '\t') || c == 0x7F; }, '?');
  return out;
}

std::string render_text(const Diagnostics& diagnostics, const FileTable& files) {
  std::string out;
  for (const Diagnostic& diagnostic : diagnostics.all()) out += render_text(diagnostic, files);
  return out;
}

namespace {

void put_place(nlohmann::ordered_json& out, const SourceSpan& span, const FileTable& files) {
  if (!span.known()) return;
  const LineColumn begin = files.locate(span.file, span.begin);
  const LineColumn end = files.locate(span.file, std::max(span.begin, span.end));
  out["file"] = std::string(files.name(span.file));
  out["line"] = begin.line;
  out["column"] = begin.column;
  out["end_line"] = end.line;
  out["end_column"] = end.column;
}

}  // namespace

std::string render_json(const Diagnostics& diagnostics, const FileTable& files) {
  nlohmann::ordered_json out = nlohmann::ordered_json::array();
  for (const Diagnostic& diagnostic : diagnostics.all()) {
    nlohmann::ordered_json one;
    one["severity"] = diagnostic.severity == Severity::kError ? "error" : "warning";
    put_place(one, diagnostic.span, files);
    one["message"] = diagnostic.message;
    one["notes"] = nlohmann::ordered_json::array();
    for (const Note& note : diagnostic.notes) {
      nlohmann::ordered_json item;
      item["message"] = note.text;
      put_place(item, note.span, files);
      one["notes"].push_back(std::move(item));
    }
    out.push_back(std::move(one));
  }
  return out.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

void suggest(Diagnostic& diagnostic, std::string_view name, std::span<const std::string> names) {
  if (const auto near = nearest_name(name, names)) diagnostic.note("did you mean `" + *near + "`?");
}

}  // namespace thalweg::lang
