// connectors/s3/settings.h
//
// The arguments of the S3 connectors: a block of access settings, or the same flat, and what of the bucket is read.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "config/option_spec.h"
#include "connectors/file/settings.h"
#include "connectors/objects/object_files.h"
#include "connectors/s3/client.h"

namespace thalweg::s3 {

// Access as a block (`!io.s3.AwsS3Settings {…}`) says it, or flat arguments; `vendor` gives the endpoint where the
// block does not: `minio`, `digital_ocean`, `wasabi`, else Amazon.
[[nodiscard]] Result<BucketSettings> bucket_from(const Setting& args, const Setting* block);

struct ReadSettings {
  BucketSettings bucket;
  objects::ObjectSelection selection;
  std::size_t threads = 1;
  FileReadSettings files;  // without a way to find them

  static Result<ReadSettings> from(const std::string& connector, const Setting& args, Env& env);
};

[[nodiscard]] std::vector<config::OptionSpec> read_options(const std::string& connector);

}  // namespace thalweg::s3
