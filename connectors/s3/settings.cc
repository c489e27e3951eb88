#include "connectors/s3/settings.h"

#include <fmt/format.h>

#include <algorithm>
#include <thread>

#include "config/decode.h"
#include "connectors/setting_reader.h"

namespace thalweg::s3 {

using config::OptionSpec;
using config::OptionType;

namespace {

// Where a connector finds its block, and what its vendor's endpoint is.
struct Vendor {
  std::string_view connector;
  std::string_view block;
  std::string_view tag;  // of the block
  std::string_view endpoint;
};
constexpr Vendor kVendors[] = {
    {"io.s3.read", "aws_s3_settings", "AwsS3Settings", ""},
    {"io.s3_csv.read", "aws_s3_settings", "AwsS3Settings", ""},
    {"io.minio.read", "minio_settings", "MinIOSettings", ""},
    {"io.s3.read_from_digital_ocean", "do_s3_settings", "DigitalOceanS3Settings", "https://{}.digitaloceanspaces.com"},
    {"io.s3.read_from_wasabi", "wasabi_s3_settings", "WasabiS3Settings", "https://s3.{}.wasabisys.com"},
};

const Vendor& vendor_of(std::string_view connector) {
  for (const Vendor& vendor : kVendors)
    if (vendor.connector == connector) return vendor;
  return kVendors[0];
}

std::vector<OptionSpec> access_options() {
  return {
      {.name = "bucket_name", .doc = "the bucket; a path `s3://bucket/…` names it too", .aliases = {"bucket"}},
      {.name = "access_key",
       .doc = "without it: environment, profile, container, machine",
       .aliases = {"access_key_id", "aws_access_key_id"},
       .secret = true},
      {.name = "secret_access_key",
       .doc = "goes with `access_key`",
       .aliases = {"secret_key", "aws_secret_access_key"},
       .secret = true},
      {.name = "session_token", .doc = "of keys that end", .aliases = {"aws_session_token"}, .secret = true},
      {.name = "region",
       .doc = "where the bucket is; default: AWS_REGION, the profile's, us-east-1",
       .aliases = {"region_name"}},
      {.name = "endpoint", .doc = "another server that speaks S3: `http://minio:9000`", .aliases = {"endpoint_url"}},
      {.name = "with_path_style",
       .type = OptionType::kBool,
       .doc = "the bucket stands in the path, not in the host; default: with an endpoint"},
      {.name = "profile", .doc = "of ~/.aws/credentials and ~/.aws/config", .aliases = {"profile_name"}},
  };
}

// A value that a decoded map or an undecoded block holds under one of its names.
const Setting* find(const Setting* map, const OptionSpec& option) {
  if (map == nullptr) return nullptr;
  if (const Setting* found = map->find(option.name); found && !found->is_null()) return found;
  for (const std::string& alias : option.aliases)
    if (const Setting* found = map->find(alias); found && !found->is_null()) return found;
  return nullptr;
}

// `s3://bucket/key` and `s3a://…`; without a scheme all of it is the key.
struct Place {
  std::string bucket, key;
};
Place place_of(const std::string& path) {
  for (std::string_view scheme : {"s3://", "s3a://", "minio://"}) {
    if (!path.starts_with(scheme)) continue;
    const std::string rest = path.substr(scheme.size());
    const std::size_t slash = std::min(rest.find('/'), rest.size());
    return {rest.substr(0, slash), rest.substr(std::min(slash + 1, rest.size()))};
  }
  return {{}, path.starts_with('/') ? path.substr(1) : path};
}

}  // namespace

Result<BucketSettings> bucket_from(const Setting& args, const Setting* block) {
  BucketSettings out;
  auto text = [&](const OptionSpec& option) {
    const Setting* found = find(block, option);
    if (found == nullptr) found = find(&args, option);
    return found == nullptr ? std::string{} : config::as_text(*found).value_or("");
  };
  for (const OptionSpec& option : access_options()) {
    if (option.name == "bucket_name") out.bucket = text(option);
    if (option.name == "access_key") out.credentials.access_key = text(option);
    if (option.name == "secret_access_key") out.credentials.secret_key = text(option);
    if (option.name == "session_token") out.credentials.session_token = text(option);
    if (option.name == "region") out.region = text(option);
    if (option.name == "endpoint") out.endpoint = text(option);
    if (option.name == "profile") out.credentials.profile = text(option);
    if (option.name != "with_path_style") continue;
    const Setting* found = find(block, option);
    if (found == nullptr) found = find(&args, option);
    if (found != nullptr) out.path_style = config::as_bool(*found);
  }
  if (!out.endpoint.empty()) return out;
  // A block that says whose it is, where the connector does not.
  const std::string tag = block ? block->tag : std::string{};
  for (const Vendor& vendor : kVendors) {
    if (vendor.endpoint.empty() || tag.find(vendor.tag) == std::string::npos) continue;
    if (out.region.empty()) return fail(Code::kInvalidPipeline, fmt::format("`!{}` needs `region`", tag), block->span);
    out.endpoint = fmt::format(fmt::runtime(vendor.endpoint), out.region);
    if (!out.path_style) out.path_style = false;
  }
  if (tag.find("MinIOSettings") != std::string::npos)
    return fail(Code::kInvalidPipeline, fmt::format("`!{}` needs `endpoint`", tag), block->span);
  return out;
}

Result<ReadSettings> ReadSettings::from(const std::string& connector, const Setting& args, Env& env) {
  const SettingReader read(args);
  const Vendor& vendor = vendor_of(connector);
  ReadSettings out;
  const Setting* block = read.map(vendor.block);
  out.bucket = TRY(bucket_from(args, block));
  if (out.bucket.endpoint.empty() && !vendor.endpoint.empty()) {
    if (out.bucket.region.empty())
      return fail(Code::kInvalidPipeline, "the region is missing: `region` names the endpoint",
                  read.span(vendor.block));
    out.bucket.endpoint = fmt::format(fmt::runtime(vendor.endpoint), out.bucket.region);
    if (!out.bucket.path_style) out.bucket.path_style = false;
  }
  if (out.bucket.endpoint.empty() && connector == "io.minio.read")
    return fail(Code::kInvalidPipeline, "`endpoint` is missing: where the MinIO server is", read.span(vendor.block));
  const Place place = place_of(read.text("path"));
  if (!place.bucket.empty() && !out.bucket.bucket.empty() && place.bucket != out.bucket.bucket)
    return fail(Code::kInvalidPipeline,
                fmt::format("`path` names the bucket `{}`, the settings name `{}`", place.bucket, out.bucket.bucket),
                read.span("path"));
  if (!place.bucket.empty()) out.bucket.bucket = place.bucket;
  if (out.bucket.bucket.empty())
    return fail(Code::kInvalidPipeline, "the name of the bucket is missing: `bucket_name`, or `path: s3://bucket/…`",
                read.span(vendor.block));
  out.selection.path = place.key;
  out.selection.object_pattern = read.text("object_pattern", "*");
  out.selection.path_filter = read.text("path_filter");
  const std::size_t cores = std::max(1U, std::thread::hardware_concurrency());
  const auto threads =
      read.integer("downloader_threads_count", static_cast<std::int64_t>(std::clamp<std::size_t>(2 * cores, 4, 16)));
  out.threads = static_cast<std::size_t>(threads);
  // The file connector reads the rest; what it does with a path does not matter here, but for its extension.
  Setting rest = args;
  if (Setting::Map* map = rest.as_map()) {
    std::erase_if(*map, [](const auto& one) { return one.first == "path"; });
    map->emplace_back("path", Setting(place.key.empty() ? std::string("*") : place.key, read.span("path")));
    if (connector == "io.s3_csv.read") {
      std::erase_if(*map, [](const auto& one) { return one.first == "format"; });
      map->emplace_back("format", Setting(std::string("csv")));
    }
  }
  if (!SettingReader(rest).has("format") && !format_of_extension(place.key))
    return fail(Error{Code::kInvalidPipeline,
                      "the format of these objects is not clear: the path has no known extension",
                      read.span("path"),
                      {{"give `format:` csv, json, plaintext, plaintext_by_object or binary", {}}}});
  out.files = TRY(FileReadSettings::from("io.fs.read", rest, *env.disk));
  out.files.selection.path = place.key;
  return out;
}

std::vector<OptionSpec> read_options(const std::string& connector) {
  const Vendor& vendor = vendor_of(connector);
  std::vector<OptionSpec> options;
  options.push_back({.name = "path",
                     .fallback = "",
                     .doc = "a prefix of keys, or a pattern (`*`, `?`, `[a-z]`, `**`), also as `s3://bucket/prefix`; "
                            "`.gz` and `.zst` are decompressed",
                     .aliases = {"prefix"},
                     .example = "orders/2024/"});
  OptionSpec block{.name = std::string(vendor.block),
                   .type = OptionType::kMap,
                   .doc = fmt::format("access to the bucket, `!{}`; the same settings may stand flat", vendor.tag),
                   .fields = access_options(),
                   .open = true};
  if (vendor.block == "aws_s3_settings") block.aliases = {"aws_s3_setting", "s3_settings"};
  options.push_back(std::move(block));
  for (OptionSpec& option : access_options()) options.push_back(std::move(option));
  options.push_back({.name = "path_filter", .doc = "only keys that match: `*` any text, `?` one character"});
  options.push_back({.name = "downloader_threads_count",
                     .type = OptionType::kInt,
                     .doc = "how many small objects are fetched at once",
                     .min = 1,
                     .max = 64});
  for (OptionSpec& option : file_read_options("io.fs.read")) {
    if (option.name == "path" || option.name == "partial_line_timeout") continue;
    if (option.name == "format" && connector == "io.s3_csv.read") continue;
    if (option.name == "refresh_interval") {
      option.fallback = "1s";
      option.doc = "how often the bucket is listed";
    }
    if (option.name == "object_pattern") option.doc = "only objects whose names (after the last `/`) match";
    options.push_back(std::move(option));
  }
  return options;
}

}  // namespace thalweg::s3
