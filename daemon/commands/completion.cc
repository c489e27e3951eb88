#include <cstdio>
#include <string>

#include "daemon/commands/commands.h"

// The scripts are generated from the table of commands, so they cannot lag behind it.
namespace thalweg::daemon {
namespace {

std::string words(const std::vector<CommandDoc>& commands, const std::string& prefix) {
  std::string out;
  for (const CommandDoc& command : commands) {
    if (command.name.rfind(prefix, 0) != 0) continue;
    std::string rest = command.name.substr(prefix.size());
    if (rest.find(' ') == std::string::npos) out += (out.empty() ? "" : " ") + rest;
  }
  return out;
}

std::string joined_words(const std::vector<std::string>& options) {
  std::string out;
  for (const std::string& option : options) out += (out.empty() ? "" : " ") + option;
  return out;
}

std::string bash_script(const std::vector<CommandDoc>& commands) {
  std::string out =
      "_thalweg() {\n"
      "  local cur=${COMP_WORDS[COMP_CWORD]} command=${COMP_WORDS[1]}\n"
      "  if [ \"$COMP_CWORD\" -eq 1 ]; then\n"
      "    COMPREPLY=($(compgen -W \"" +
      words(commands, "") +
      "\" -- \"$cur\")); return\n"
      "  fi\n"
      "  if [[ $cur == -* ]]; then\n"
      "    case $command in\n";
  for (const CommandDoc& command : commands)
    if (command.name.find(' ') == std::string::npos)
      out += "      " + command.name + ") COMPREPLY=($(compgen -W \"" + joined_words(command.options) +
             "\" -- \"$cur\")) ;;\n";
  return out +
         "    esac\n"
         "    return\n"
         "  fi\n"
         "  COMPREPLY=($(compgen -f -- \"$cur\"))\n"
         "}\n"
         "complete -o filenames -F _thalweg thalweg\n";
}

std::string zsh_quoted(const std::string& text) {
  std::string out;
  for (char c : text) {
    if (c == '\'')
      out += "'\\''";
    else if (c == ':')
      out += "\\:";
    else
      out += c;
  }
  return out;
}

std::string zsh_script(const std::vector<CommandDoc>& commands) {
  std::string out =
      "#compdef thalweg\n"
      "_thalweg() {\n"
      "  local -a commands\n"
      "  commands=(\n";
  for (const CommandDoc& command : commands)
    if (command.name.find(' ') == std::string::npos)
      out += "    '" + command.name + ":" + zsh_quoted(command.doc) + "'\n";
  out +=
      "  )\n"
      "  if (( CURRENT == 2 )); then _describe command commands; return; fi\n"
      "  case $words[2] in\n";
  for (const CommandDoc& command : commands)
    if (command.name.find(' ') == std::string::npos)
      out += "    " + command.name + ") [[ $PREFIX == -* ]] && compadd -- " + joined_words(command.options) +
             " || _files ;;\n";
  return out +
         "  esac\n"
         "}\n"
         "compdef _thalweg thalweg\n";
}

std::string fish_quoted(const std::string& text) {
  std::string out;
  for (char c : text) out += c == '\'' ? std::string("\\'") : std::string(1, c);
  return out;
}

std::string fish_script(const std::vector<CommandDoc>& commands) {
  std::string out;
  for (const CommandDoc& command : commands) {
    if (command.name.find(' ') != std::string::npos) continue;
    out += "complete -c thalweg -n __fish_use_subcommand -f -a " + command.name + " -d '" + fish_quoted(command.doc) +
           "'\n";
    for (const std::string& option : command.options)
      out += "complete -c thalweg -n '__fish_seen_subcommand_from " + command.name + "' -l " + option.substr(2) + "\n";
  }
  return out;
}

}  // namespace

int run_command(const CompletionArgs& args) {
  std::vector<CommandDoc> commands = command_docs();
  std::string script = args.shell == "bash"  ? bash_script(commands)
                       : args.shell == "zsh" ? zsh_script(commands)
                                             : fish_script(commands);
  std::fputs(script.c_str(), stdout);
  return kExitOk;
}

}  // namespace thalweg::daemon
