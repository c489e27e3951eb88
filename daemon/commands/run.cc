#include <charconv>
#include <cstdio>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>

#include "connectors/http/web_host.h"
#include "connectors/registry.h"
#include "daemon/commands/commands.h"
#include "daemon/console.h"
#include "daemon/environment.h"
#include "daemon/load.h"
#include "daemon/log.h"
#include "daemon/open_listeners.h"
#include "daemon/persistence.h"
#include "daemon/progress.h"
#include "daemon/rest/rest_server.h"
#include "daemon/rest/table_server.h"
#include "daemon/run_set.h"
#include "daemon/signals.h"
#include "engine/plan/fingerprint.h"
#include "engine/runtime/saved_prints.h"

namespace thalweg::daemon {
namespace {

constexpr std::int64_t kTickNs = 100'000'000;
constexpr std::uint32_t kRunWorkersMax = 256;
constexpr std::uint64_t kRecordingBytesMax = 1 << 20;

// One `thalweg run`, from its files to its exit code.
class RunCommand {
 public:
  explicit RunCommand(const RunArgs& args) : args_(args), files_(args.files), env_(real_env()), loader_(env_) {
    // A recording knows its sources by where they are, whatever folder it is replayed from.
    if (!args.record.empty() || !args.replay.empty())
      for (std::string& file : files_) file = std::filesystem::absolute(file).lexically_normal().string();
  }

  int run() {
    std::optional<net::Address> address;
    if (!args_.listen.empty()) {
      address = net::parse_address(args_.listen);
      if (!address || !may_listen(*address)) return kExitUsage;
    }
    if (auto added = add_env_file(args_.env_file, env_); !added) {
      complain(added.error().message);
      return kExitUsage;
    }
    if (int exit_code = read_recording(); exit_code != kExitOk) return exit_code;
    if (int exit_code = load(); exit_code != kExitOk) return exit_code;
    if (int exit_code = note_recording(); exit_code != kExitOk) return exit_code;
    if (address)
      if (int exit_code = listen(*address); exit_code != kExitOk) return exit_code;
    signals_.on_stop([this] {
      if (!args_.quiet && !stderr_is_terminal()) log(LogLevel::kInfo, "stopping");
      stop_all();
    });
    int exit_code = start();
    if (exit_code == kExitOk) exit_code = wait();
    signals_.on_stop(nullptr);
    server_.reset();
    return exit_code;
  }

 private:
  struct Loaded {
    std::string path;
    std::string name;
    lang::CompileResult compiled;
    std::optional<DurabilityOptions> durability;
  };

  bool may_listen(const net::Address& address) const {
    if (address.is_loopback()) return true;
    complain("--listen " + args_.listen +
             ": without auth only this machine may ask; use 127.0.0.1, [::1] or unix:PATH");
    return false;
  }

  int load() {
    bool valid = true;
    for (const std::string& path : files_) {
      functions::NewAnswerPlaces answers;
      lang::CompileResult compiled = loader_.load(path, args_.overrides);
      std::string name = pipeline_name(compiled, path);
      auto durability = recording_of(name);
      if (!durability) durability = check_persistence(compiled, {.pipeline = name, .state_dir = {}, .env = &env_});
      if (!durability || !durability->replay)
        keep_answers(answers, compiled.settings, {.pipeline = name, .state_dir = {}, .env = &env_});
      print_diagnostics(compiled.diagnostics, *compiled.files);
      valid = valid && compiled.ok();
      for (const Loaded& other : loaded_)
        if (other.name == name) {
          complain("two pipelines have the name `" + name + "`");
          valid = false;
        }
      loaded_.push_back({path, std::move(name), std::move(compiled), std::move(durability)});
    }
    return valid ? kExitOk : kExitInvalid;
  }

  // ---- recordings: a folder for each pipeline, and a file that says which pipelines they are

  // `--record` and `replay` take the place of what the file says of persistence.
  [[nodiscard]] std::optional<DurabilityOptions> recording_of(const std::string& pipeline) const {
    if (args_.record.empty() && !replay_) return std::nullopt;
    DurabilityOptions out;
    out.directory = (replay_ ? args_.replay : args_.record) + "/" + folder_name(pipeline);
    if (replay_)
      out.replay = replay_;
    else
      make_recording(out);
    return out;
  }

  // What `replay` is to run, and how.
  int read_recording() {
    if (args_.replay.empty()) return kExitOk;
    ReplayOptions how{.continue_after = args_.go_on};
    using Pace = ReplayOptions::Pace;
    if (args_.speed == "own" || args_.speed == "realtime") {
      how.pace = Pace::kOwn;
    } else if (args_.speed == "batch") {
      how.pace = Pace::kOneCommit;
    } else if (args_.speed != "fast" && args_.speed != "speedrun") {
      const std::string text = args_.speed.ends_with("x") ? args_.speed.substr(0, args_.speed.size() - 1) : args_.speed;
      auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), how.speed);
      if (error != std::errc() || end != text.data() + text.size() || !(how.speed > 0)) {
        complain("--speed " + args_.speed + ": fast, own, batch, or a factor like 10");
        return kExitUsage;
      }
      how.pace = Pace::kOwn;
    }
    replay_ = how;
    auto text = read_all(*env_.disk, args_.replay + "/recording.json", kRecordingBytesMax);
    const nlohmann::json about = text ? nlohmann::json::parse(*text, nullptr, false) : nlohmann::json();
    if (!about.is_object() || !about.contains("files") || !about["files"].is_array()) {
      complain("there is no recording in '" + args_.replay + "' (`thalweg run FILE --record FOLDER` makes one)");
      return kExitUsage;
    }
    if (!files_.empty()) return kExitOk;
    for (const auto& file : about["files"])
      if (file.is_string()) files_.push_back(file.get<std::string>());
    return kExitOk;
  }

  int note_recording() {
    if (args_.record.empty()) return kExitOk;
    const std::string path = args_.record + "/recording.json";
    if (env_.disk->stat(path)) {
      complain("there is a recording in '" + args_.record + "' already; take another folder, or move it away");
      return kExitUsage;
    }
    const nlohmann::json files = files_;
    Result<void> written = env_.disk->make_directories(args_.record);
    if (written) written = replace_file(*env_.disk, path, nlohmann::json{{"files", files}}.dump(2) + "\n");
    if (written) return kExitOk;
    complain(written.error().message);
    return kExitFailed;
  }

  // Before anything runs: a taken port must not leave half a run behind.
  int listen(const net::Address& address) {
    ApiOptions api;
    api.web = web_;
    auto server = RestServer::listen(address, runs_, env_, {}, api);
    if (!server) {
      complain(server.error().message);
      return kExitFailed;
    }
    server_ = std::move(*server);
    if (!args_.quiet) log(LogLevel::kInfo, "listening", {{"address", server_->address().to_text()}});
    return kExitOk;
  }

  int start() {
    for (Loaded& loaded : loaded_) {
      auto pipeline = std::make_shared<ServedPipeline>();
      pipeline->name = loaded.name;
      pipeline->files = loaded.compiled.files;
      pipeline->workers = workers_of(loaded.compiled);
      pipeline->started_wall_ns = env_.clock->wall_ns();
      plan::Plan plan = std::move(loaded.compiled.plan);
      plan.name = loaded.name;
      plan.terminate_on_error = loaded.compiled.settings.terminate_on_error.value_or(true);
      RunOptions options = options_of(*pipeline, plan);
      options.durability = std::move(loaded.durability);
      for (const OpenListener& open : open_listeners(plan))
        if (open.reachable) log(LogLevel::kWarning, open.warning, {{"pipeline", loaded.name}});
      factories_.push_back(make_connector_factory(services_of(*pipeline)));
      auto run = Run::start(plan, options, *factories_.back(), env_);
      if (!run) run = start_as_before(loaded, options, *pipeline, plan, std::move(run));
      if (!run) return start_failed(run.error(), *pipeline);
      pipeline->plan = std::make_shared<const plan::Plan>(std::move(plan));
      pipeline->run = std::move(*run);
      runs_.add(std::move(pipeline));
    }
    runs_.all_started();
    if (signals_.stopped()) stop_all();
    return kExitOk;
  }

  // State that is not that of the plan may be that of the same pipeline planned as the run before it was. `refused` is
  // what came of the plan; it becomes the other one if that can run.
  Result<std::unique_ptr<Run>> start_as_before(const Loaded& loaded, const RunOptions& options,
                                               const ServedPipeline& pipeline, plan::Plan& plan,
                                               Result<std::unique_ptr<Run>> refused) {
    if (!options.durability || refused.error().code != Code::kBadData) return refused;
    auto before = saved_fingerprints(*options.durability, env_);
    if (!before || before->empty()) return refused;
    lang::CompileResult compiled = loader_.load(loaded.path, args_.overrides, false, std::move(*before));
    compiled.plan.name = plan.name;
    compiled.plan.terminate_on_error = plan.terminate_on_error;
    if (!compiled.ok() || plan::fingerprint(compiled.plan) == plan::fingerprint(plan)) return refused;
    factories_.push_back(make_connector_factory(services_of(pipeline)));
    auto run = Run::start(compiled.plan, options, *factories_.back(), env_);
    if (!run) return refused;
    plan = std::move(compiled.plan);
    return run;
  }

  [[nodiscard]] ConnectorServices services_of(const ServedPipeline& pipeline) const {
    ConnectorServices out;
    out.pipeline = pipeline.name;
    out.run = &pipeline;
    out.web = web_;
    out.has_listener = server_ != nullptr;
    out.serve_table = [tables = tables_.get()](const std::string& name, const std::string& table,
                                               const std::vector<std::string>& below, net::HttpRequest request,
                                               net::HttpReply reply) {
      tables->handle(name, table, below, std::move(request), std::move(reply));
    };
    return out;
  }

  [[nodiscard]] std::uint32_t workers_of(const lang::CompileResult& compiled) const {
    if (args_.workers > 0) return args_.workers;
    if (std::uint32_t wanted = workers_of_environment(); wanted > 0) return wanted;
    return compiled.plan.workers > 0 ? compiled.plan.workers : 1;
  }

  // 0: says nothing.
  [[nodiscard]] std::uint32_t workers_of_environment() const {
    for (const char* name : {"THALWEG_WORKERS", "PATHWAY_THREADS"}) {
      std::string text = env_.variable(name).value_or("");
      std::uint32_t value = 0;
      auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
      if (error == std::errc() && end == text.data() + text.size() && value >= 1 && value <= kRunWorkersMax)
        return value;
      if (!text.empty()) complain(std::string(name) + "=" + text + " is no number of workers; it is left out");
    }
    return 0;
  }

  static RunOptions options_of(const ServedPipeline& pipeline, const plan::Plan& plan) {
    RunOptions options;
    options.workers = pipeline.workers;
    if (plan.autocommit_ms > 0) options.autocommit_ms = plan.autocommit_ms;
    options.locate = [files = pipeline.files](const SourceSpan& span, std::string& file, std::int64_t& line,
                                              std::int64_t& column) {
      if (!span.known()) return;
      LineColumn at = files->locate(span);
      file = files->name(span.file);
      line = at.line;
      column = at.column;
    };
    return options;
  }

  int start_failed(const Error& error, const ServedPipeline& pipeline) {
    print_error(error, pipeline.files.get());
    stop_all();
    wait_for_all();
    return error.code == Code::kInvalidPipeline || error.code == Code::kInvalidArgument ? kExitInvalid : kExitFailed;
  }

  void stop_all() {
    for (const auto& pipeline : runs_.all()) pipeline->run->stop();
  }

  void wait_for_all() {
    for (const auto& pipeline : runs_.all()) pipeline->run->wait(-1);
  }

  int wait() {
    Progress progress(runs_, env_.clock, stderr_is_terminal());
    for (const auto& pipeline : runs_.all()) {
      while (!pipeline->run->wait(kTickNs)) {
        if (!args_.quiet) progress.tick();
        if (is_idle(progress)) stop_all();
      }
    }
    progress.clear_line();
    bool failed = false;
    for (const auto& pipeline : runs_.all()) {
      failed = failed || pipeline->run->state() == RunState::kFailed;
      if (auto failure = pipeline->run->failure()) print_error(*failure, pipeline->files.get());
    }
    if (args_.json)
      std::printf("%s\n", progress.summary_json().c_str());
    else if (!args_.quiet)
      progress.summary();
    return failed ? kExitFailed : kExitOk;
  }

  // --until-idle: everything was read and nothing came for that long.
  bool is_idle(const Progress& progress) {
    if (!args_.until_idle_s) return false;
    std::int64_t now_ns = env_.clock->monotonic_ns();
    std::uint64_t rows = progress.rows_in();
    bool caught_up = true;
    for (const auto& pipeline : runs_.all()) caught_up = caught_up && pipeline->run->caught_up();
    if (rows != idle_rows_ || !caught_up || idle_since_ns_ == 0) {
      idle_rows_ = rows;
      idle_since_ns_ = now_ns;
    }
    return static_cast<double>(now_ns - idle_since_ns_) / 1e9 >= *args_.until_idle_s;
  }

  const RunArgs& args_;
  std::vector<std::string> files_;
  std::optional<ReplayOptions> replay_;
  StopSignals signals_;  // first: every thread inherits its mask
  Env env_;
  Loader loader_;
  std::vector<Loaded> loaded_;
  const std::shared_ptr<web::WebHost> web_ = std::make_shared<web::WebHost>();
  std::vector<std::unique_ptr<ConnectorFactory>> factories_;  // one per pipeline
  RunSet runs_;
  std::unique_ptr<TableServer> tables_ = std::make_unique<TableServer>(runs_, web_->loop(), env_);
  std::unique_ptr<RestServer> server_;
  std::uint64_t idle_rows_ = 0;
  std::int64_t idle_since_ns_ = 0;
};

}  // namespace

int run_command(const ReplayArgs& args) {
  RunArgs run;
  run.files = args.files;
  run.workers = args.workers;
  run.listen = args.listen;
  run.overrides = args.overrides;
  run.env_file = args.env_file;
  run.quiet = args.quiet;
  run.replay = args.directory;
  run.speed = args.speed;
  run.go_on = args.go_on;
  return run_command(run);
}

int run_command(const RunArgs& args) {
  set_up_log(args.quiet ? LogLevel::kWarning : LogLevel::kInfo, LogFormat::kText);
  return RunCommand(args).run();
}

}  // namespace thalweg::daemon
