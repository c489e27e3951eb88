// The daemon: configuration, pipelines, REST, signals, systemd.
#include <sys/resource.h>

#include <condition_variable>
#include <cstdio>
#include <future>
#include <map>
#include <optional>

#include "connectors/http/web_host.h"
#include "daemon/commands/commands.h"
#include "daemon/console.h"
#include "daemon/environment.h"
#include "daemon/log.h"
#include "daemon/rest/rest_server.h"
#include "daemon/rest/table_server.h"
#include "daemon/serve/config.h"
#include "daemon/serve/daemon.h"
#include "daemon/serve/notify.h"
#include "daemon/serve/traces.h"
#include "daemon/serve/watch.h"
#include "daemon/signals.h"
#include "daemon/version.h"

namespace thalweg::daemon {
namespace {

constexpr auto kTick = std::chrono::seconds(1);

class ServeCommand {
 public:
  explicit ServeCommand(const ServeArgs& args) : args_(args), env_(real_env()) {}

  int run() {
    if (int code = read_environment(); code != kExitOk) return code;
    if (int code = read_config(); code != kExitOk) return code;
    set_up_log(config_.log_level, config_.log_format);
    auto address = net::parse_address(config_.listen);
    if (!address) {
      complain("`listen: " + config_.listen + "` is no address: use HOST:PORT or unix:PATH");
      return kExitUsage;
    }
    // Whoever has a certificate of `client_ca` is somebody.
    if (!address->is_loopback() && !config_.auth.enabled() && config_.tls.client_ca.empty()) {
      complain("`listen: " + config_.listen +
               "` is open to other machines: this takes `auth:`; without it listen on 127.0.0.1, [::1] or unix:PATH");
      return kExitUsage;
    }
    if (args_.check) return check();
    no_core_dumps();
    Notify notify(env_);
    ConnectorServices services;
    services.web = web_;
    services.has_listener = true;
    services.egress = config_.egress;
    std::unique_ptr<TableServer> tables;
    services.serve_table = [&tables](const std::string& name, const std::string& table,
                                     const std::vector<std::string>& below, net::HttpRequest request,
                                     net::HttpReply reply) {
      tables->handle(name, table, below, std::move(request), std::move(reply));
    };
    llm::set_prices(config_.llm_prices);
    std::unique_ptr<TraceExporter> traces;  // outlives the runs
    if (!config_.otlp_endpoint.empty()) traces = std::make_unique<TraceExporter>(config_.otlp_endpoint, env_);
    Daemon daemon(config_, env_, std::move(services));
    if (traces)
      daemon.on_commit([this, sent_to = traces.get()](const std::string& pipeline, Commit commit,
                                                      std::int64_t opened_ns, std::int64_t visible_ns) {
        const std::int64_t now_ns = env_.clock->wall_ns();
        sent_to->add({pipeline, commit, now_ns - (visible_ns - opened_ns), now_ns});
      });
    tables = std::make_unique<TableServer>(daemon, web_->loop(), env_);
    if (int code = listen(*address, daemon); code != kExitOk) return code;
    signals_.on_stop([this] { ask(Ask::kStop); });
    signals_.on_reload([this] { ask(Ask::kReload); });
    notify.status("starting");
    daemon.on_reload({[&] { notify.reloading(); },
                      [&](std::size_t failed) {
                        std::string refused = failed == 0 ? "" : std::to_string(failed) + " changes were refused; ";
                        notify.ready(refused + daemon.summary());
                      }});
    daemon.start();
    std::optional<FolderWatch> watch;
    if (config_.watch && !config_.pipelines_dir.empty())
      watch.emplace(config_.pipelines_dir, [&daemon] { daemon.look_at_files("watch"); });
    log(LogLevel::kInfo, "ready", {{"version", std::string(version_text())}, {"pipelines", daemon.summary()}});
    notify.ready(daemon.summary());
    loop(daemon, notify);
    log(LogLevel::kInfo, "stopping");
    notify.stopping();
    notify.extend_timeout(config_.limits.stop_ns / 1000);
    daemon.begin_stop();
    reloads_.clear();  // waits for them
    watch.reset();
    daemon.stop_all();
    server_.reset();
    signals_.on_stop(nullptr);
    signals_.on_reload(nullptr);
    log(LogLevel::kInfo, "stopped");
    return kExitOk;
  }

 private:
  enum class Ask : std::uint8_t { kNothing, kReload, kStop };

  int read_environment() {
    if (args_.env_file.empty()) return kExitOk;  // a daemon takes no `.env` from wherever it was started
    auto added = add_env_file(args_.env_file, env_);
    if (!added) complain(added.error().message);
    return added ? kExitOk : kExitUsage;
  }

  int read_config() {
    std::string path = args_.config;
    if (path.empty()) path = env_.variable("THALWEG_CONFIG").value_or("");
    if (path.empty() && env_.disk->stat(std::string(kConfigPath))) path = kConfigPath;
    LoadedConfig loaded = load_config(path, env_);
    print_diagnostics(loaded.diagnostics, *loaded.files);
    if (loaded.diagnostics.has_errors()) return kExitUsage;
    config_ = std::move(loaded.config);
    if (!args_.listen.empty()) config_.listen = args_.listen;
    if (!args_.pipelines_dir.empty()) config_.pipelines_dir = args_.pipelines_dir;
    if (config_.pipelines_dir.empty()) {
      complain("there is no folder of pipelines: set `pipelines_dir` in the configuration, or --pipelines-dir");
      return kExitUsage;
    }
    if (auto made = env_.disk->make_directories(config_.pipelines_dir); !made) {
      complain("cannot use the folder of pipelines: " + made.error().message);
      return kExitUsage;
    }
    return kExitOk;
  }

  int check() {
    InstanceMaker maker(config_, env_);
    auto names = env_.disk->list(config_.pipelines_dir);
    if (!names) {
      complain(names.error().message);
      return kExitUsage;
    }
    bool valid = true;
    for (const std::string& name : *names) {
      if (!is_pipeline_file(name)) continue;
      std::string path = config_.pipelines_dir + "/" + name;
      auto text = read_text(path, 8ULL << 20, *env_.disk);
      Outcome outcome;
      if (text && maker.prepare({name, path, *text}, outcome)) continue;
      valid = false;
      if (!text) complain(text.error().message);
      std::fputs(outcome.diagnostics.c_str(), stderr);
    }
    return valid ? kExitOk : kExitInvalid;
  }

  // Secrets must not end in a core file.
  static void no_core_dumps() {
    rlimit none{0, 0};
    ::setrlimit(RLIMIT_CORE, &none);
  }

  int listen(const net::Address& address, Daemon& daemon) {
    net::HttpServerOptions http;
    http.limits.body_bytes = config_.limits.body_bytes;
    http.limits.header_bytes = config_.limits.header_bytes;
    http.connections_max = config_.limits.connections;
    http.tls = config_.tls;
    ApiOptions api;
    api.auth = config_.auth;
    api.web = web_;
    api.query.time_ns = config_.limits.query_ns;
    api.query.state_bytes = config_.limits.query_bytes;
    api.queries_max = config_.limits.queries;
    api.log_access = config_.log_access;
    auto server = RestServer::listen(address, daemon, env_, http, api, &daemon);
    if (!server) {
      complain(server.error().message);
      return kExitFailed;
    }
    server_ = std::move(*server);
    log(LogLevel::kInfo, "listening",
        {{"address", server_->address().to_text()}, {"auth", config_.auth.enabled() ? "on" : "off"}});
    return kExitOk;
  }

  void ask(Ask what) {
    {
      std::lock_guard lock(mutex_);
      if (asked_ != Ask::kStop) asked_ = what;
    }
    changed_.notify_all();
  }

  // A reload may take long, and the watchdog must hear of us meanwhile. One runs and one waits; what is asked for
  // beyond that is what the waiting one will do.
  void reload_beside(Daemon& daemon) {
    reload_certificates();
    std::erase_if(reloads_, [](std::future<void>& one) {
      return one.wait_for(std::chrono::seconds(0)) == std::future_status::ready;
    });
    if (reloads_.size() >= 2) return;
    reloads_.push_back(std::async(std::launch::async, [&daemon] {
      ChangeOptions options;
      options.trigger = "signal";
      daemon.reload_all(options);
    }));
  }

  void reload_certificates() {
    if (auto done = server_->reload_certificates(); !done)
      log(LogLevel::kError, "the certificates stay as they were", {{"reason", done.error().message}});
    for (const std::string& reason : web_->reload_certificates())
      log(LogLevel::kError, "the certificates stay as they were", {{"reason", reason}});
  }

  void loop(Daemon& daemon, Notify& notify) {
    std::string last = daemon.summary();
    auto alive_at = std::chrono::steady_clock::now();
    for (;;) {
      Ask asked = Ask::kNothing;
      {
        std::unique_lock lock(mutex_);
        auto tick = notify.watchdog_ns() > 0
                        ? std::min<std::chrono::nanoseconds>(kTick, std::chrono::nanoseconds(notify.watchdog_ns()))
                        : kTick;
        changed_.wait_for(lock, tick, [&] { return asked_ != Ask::kNothing; });
        asked = asked_;
        if (asked_ == Ask::kReload) asked_ = Ask::kNothing;
      }
      if (asked == Ask::kStop) return;
      if (notify.watchdog_ns() > 0 && std::chrono::steady_clock::now() >= alive_at) {
        notify.alive();
        alive_at = std::chrono::steady_clock::now() + std::chrono::nanoseconds(notify.watchdog_ns() / 2);
      }
      if (asked == Ask::kReload) reload_beside(daemon);
      std::string now = daemon.summary();
      if (now != last) notify.status(now);
      last = now;
    }
  }

  const ServeArgs& args_;
  StopSignals signals_{true};  // first: every thread inherits its mask
  Env env_;
  ServeConfig config_;
  const std::shared_ptr<web::WebHost> web_ = std::make_shared<web::WebHost>();
  std::unique_ptr<RestServer> server_;
  std::vector<std::future<void>> reloads_;  // of signals
  std::mutex mutex_;
  std::condition_variable changed_;
  Ask asked_ = Ask::kNothing;  // guarded by mutex_
};

}  // namespace

int run_command(const ServeArgs& args) { return ServeCommand(args).run(); }

}  // namespace thalweg::daemon
