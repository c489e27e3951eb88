// llm/local/safetensors.h
//
// A file of named matrices (safetensors), mapped into memory. Numbers are F32, F16 or BF16.
#pragma once

#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/result.h"

namespace thalweg::llm {

class Safetensors {
 public:
  struct Tensor {
    std::vector<std::size_t> shape;
    std::vector<float> numbers;
  };

  [[nodiscard]] static Result<Safetensors> open(const std::string& path);

  [[nodiscard]] bool has(const std::string& name) const { return entries_.contains(name); }
  // The first of the names that there is; empty if none is.
  [[nodiscard]] std::string first_of(std::initializer_list<std::string_view> names) const;
  [[nodiscard]] Result<Tensor> read(const std::string& name) const;
  // An error if it has not this shape.
  [[nodiscard]] Result<std::vector<float>> read(const std::string& name,
                                                std::initializer_list<std::size_t> shape) const;

 private:
  struct Entry {
    std::string kind;
    std::vector<std::size_t> shape;
    std::size_t begin = 0, end = 0, count = 0;
  };
  struct Mapping;
  std::string path_;
  std::shared_ptr<const Mapping> mapping_;
  std::string_view data_;
  std::map<std::string, Entry> entries_;
};

}  // namespace thalweg::llm
