// SPDX-License-Identifier: MIT
#include "checkpoint/checkpoint.h"

#include <cmath>
#include <set>
#include <string_view>

#include "base/error.h"
#include "base/hash.h"
#include "checkpoint/safetensors.h"

namespace dl::checkpoint {

namespace {

constexpr const char* kFormat = "dl 1";
constexpr std::size_t kMostNames = 65536;

bool is_own_key(std::string_view key) {
  return key == "format" || key == "parameters" || key == "slots" || key == "extras" || key == "sha256";
}

bool is_parameter_name(std::string_view name) {
  return !name.empty() && !name.starts_with("optimizer.") && !name.starts_with("cursor.") &&
         !name.starts_with("state.") && name != "__metadata__";
}

std::uint64_t elements_of(const TensorShape& tensor) {
  std::uint64_t elements = 1;
  for (const std::uint64_t extent : tensor.shape) {
    if (__builtin_mul_overflow(elements, extent, &elements)) {
      fail(Exit::bug, "the shape of {} is too large", shown(tensor.name));
    }
  }
  return elements;
}

std::string slot_tensor(const std::string& slot, const std::string& tensor) {
  return fmt::format("optimizer.{}.{}", slot, tensor);
}

// One number as a tensor; `value` must live as long as it.
template <typename T>
Tensor scalar(const std::string& name, Dtype dtype, const T& value) {
  return {"cursor." + name, dtype, {}, as_bytes_of(std::span<const T>(&value, 1))};
}

void check_finite(std::span<const float> values, const std::string& name, const std::string& what) {
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (!std::isfinite(values[i])) {
      fail(Exit::data, "{}: {} is {} at element {}: not a usable state", what, shown(name), values[i], i);
    }
  }
}

// Views of a checkpoint as the container has them.
Safetensors views_of(const Checkpoint& checkpoint, const std::string& what) {
  Safetensors content;
  Json names = Json::array();
  for (const TensorShape& tensor : checkpoint.tensors) {
    if (!is_parameter_name(tensor.name)) {
      fail(Exit::bug, "{} is no name for a parameter", shown(tensor.name));
    }
    names.push_back(tensor.name);
  }
  for (const auto& [key, value] : checkpoint.metadata.items()) {
    if (!is_own_key(key)) content.metadata[key] = dump_line(value);
  }
  content.metadata["format"] = kFormat;
  content.metadata["parameters"] = dump_line(names);
  content.metadata["slots"] = dump_line(Json(checkpoint.slot_names));

  const auto add = [&](std::span<const float> flat, const std::string* slot) {
    std::uint64_t at = 0;
    for (const TensorShape& tensor : checkpoint.tensors) {
      const std::uint64_t elements = elements_of(tensor);
      if (elements > flat.size() - at) fail(Exit::bug, "{}: fewer floats than its shapes", what);
      const std::span<const float> part = flat.subspan(at, elements);
      std::string name = slot == nullptr ? tensor.name : slot_tensor(*slot, tensor.name);
      check_finite(part, name, what);
      content.tensors.push_back({std::move(name), Dtype::f32, tensor.shape, as_bytes_of(part)});
      at += elements;
    }
    if (at != flat.size()) fail(Exit::bug, "{}: more floats than its shapes", what);
  };
  // Numbers of eight bytes come first, so that every array is aligned to its elements.
  for (const auto& [name, value] : checkpoint.cursors) {
    content.tensors.push_back(scalar(name, Dtype::u64, value));
  }
  for (const auto& [name, value] : checkpoint.figures) {
    content.tensors.push_back(scalar(name, Dtype::f64, value));
  }
  add(checkpoint.parameters, nullptr);
  if (checkpoint.slots.size() != checkpoint.slot_names.size()) {
    fail(Exit::bug, "{}: {} slots with {} names", what, checkpoint.slots.size(),
         checkpoint.slot_names.size());
  }
  for (std::size_t i = 0; i < checkpoint.slots.size(); ++i) {
    add(checkpoint.slots[i], &checkpoint.slot_names[i]);
  }
  Json extras = Json::array();
  for (const auto& [name, values] : checkpoint.extras) {
    extras.push_back(name);
    check_finite(values, "state." + name, what);
    content.tensors.push_back({"state." + name, Dtype::f32, {values.size()}, as_bytes_of(std::span<const float>(values))});
  }
  if (!extras.empty()) content.metadata["extras"] = dump_line(extras);
  content.metadata["sha256"] = digest(content, "sha256");
  return content;
}

// Takes a container apart; what was asked for is marked, so that nothing is left over.
class Reader {
 public:
  Reader(const Safetensors& content, const std::string& what) : content_(content), what_(what) {
    for (const Tensor& tensor : content.tensors) tensors_[tensor.name] = &tensor;
  }

  Checkpoint read() {
    const std::string format = own("format");
    if (format != kFormat) {
      fail(Exit::data, "{}: the format is {}, not '{}' (another version of dl?)", what_,
           shown(format), kFormat);
    }
    if (own("sha256") != digest(content_, "sha256")) {
      fail(Exit::data, "{}: damaged: the SHA-256 of its content is not the recorded one", what_);
    }
    Checkpoint checkpoint;
    read_parameters(checkpoint);
    for (const std::string& slot : names("slots")) read_slot(checkpoint, slot);
    if (content_.metadata.contains("extras")) {
      for (const std::string& name : names("extras")) read_extra(checkpoint, name);
    }
    for (const auto& [name, tensor] : tensors_) read_cursor(checkpoint, name, *tensor);
    for (const auto& [key, text] : content_.metadata) {
      if (!is_own_key(key)) checkpoint.metadata[key] = parse_json(text, what_ + ": " + key);
    }
    return checkpoint;
  }

 private:
  const std::string& own(const char* key) const {
    const auto at = content_.metadata.find(key);
    if (at == content_.metadata.end()) {
      fail(Exit::data, "{}: not a checkpoint of dl: __metadata__ has no '{}'", what_, key);
    }
    return at->second;
  }

  std::vector<std::string> names(const char* key) const {
    const Json list = parse_json(own(key), what_ + ": " + key);
    if (!list.is_array() || list.size() > kMostNames) {
      fail(Exit::data, "{}: '{}' is not a list of names", what_, key);
    }
    std::vector<std::string> names;
    std::set<std::string> seen;
    for (const Json& name : list) {
      if (!name.is_string() || !seen.insert(name.get<std::string>()).second) {
        fail(Exit::data, "{}: '{}' has {}, which is no name or stands twice", what_, key,
             shown(dump_line(name)));
      }
      names.push_back(name.get<std::string>());
    }
    return names;
  }

  const Tensor& take(const std::string& name, const std::vector<std::uint64_t>* shape) {
    const auto at = tensors_.find(name);
    if (at == tensors_.end()) fail(Exit::data, "{}: tensor {} is missing", what_, shown(name));
    const Tensor& tensor = *at->second;
    if (tensor.dtype != Dtype::f32 || (shape != nullptr && tensor.shape != *shape)) {
      fail(Exit::data, "{}: tensor {} has another type or shape than its parameter", what_,
           shown(name));
    }
    tensors_.erase(at);
    return tensor;
  }

  void append(std::vector<float>& flat, const Tensor& tensor) const {
    const std::size_t at = flat.size();
    flat.resize(at + tensor.bytes.size() / sizeof(float));
    if (!tensor.bytes.empty()) std::memcpy(flat.data() + at, tensor.bytes.data(), tensor.bytes.size());
    check_finite(std::span(flat).subspan(at), tensor.name, what_);
  }

  void read_parameters(Checkpoint& checkpoint) {
    for (const std::string& name : names("parameters")) {
      if (!is_parameter_name(name)) {
        fail(Exit::data, "{}: {} is no name for a parameter", what_, shown(name));
      }
      const Tensor& tensor = take(name, nullptr);
      append(checkpoint.parameters, tensor);
      checkpoint.tensors.push_back({name, tensor.shape});
    }
  }

  void read_slot(Checkpoint& checkpoint, const std::string& slot) {
    checkpoint.slot_names.push_back(slot);
    std::vector<float>& flat = checkpoint.slots.emplace_back();
    for (const TensorShape& parameter : checkpoint.tensors) {
      append(flat, take(slot_tensor(slot, parameter.name), &parameter.shape));
    }
  }

  void read_extra(Checkpoint& checkpoint, const std::string& name) {
    const Tensor& tensor = take("state." + name, nullptr);
    if (tensor.shape.size() != 1) {
      fail(Exit::data, "{}: tensor state.{} has {} dimensions instead of one", what_, shown(name), tensor.shape.size());
    }
    append(checkpoint.extras.emplace_back(name, std::vector<float>()).second, tensor);
  }

  void read_cursor(Checkpoint& checkpoint, const std::string& name, const Tensor& tensor) const {
    constexpr std::string_view kPrefix = "cursor.";
    if (!name.starts_with(kPrefix) || tensor.dtype == Dtype::f32 || !tensor.shape.empty()) {
      fail(Exit::data, "{}: tensor {} belongs to nothing that the checkpoint names", what_,
           shown(name));
    }
    const std::string key = name.substr(kPrefix.size());
    if (tensor.dtype == Dtype::u64) {
      std::memcpy(&checkpoint.cursors[key], tensor.bytes.data(), sizeof(std::uint64_t));
    } else {
      std::memcpy(&checkpoint.figures[key], tensor.bytes.data(), sizeof(double));
    }
  }

  const Safetensors& content_;
  const std::string& what_;
  std::map<std::string, const Tensor*> tensors_;
};

}  // namespace

Checkpoint decode_checkpoint(ByteView file, const std::string& what) {
  const Safetensors content = decode(file, what);
  return Reader(content, what).read();
}

Checkpoint read_checkpoint(const fs::path& path) {
  const MappedFile file(path);
  return decode_checkpoint(file.bytes(), path.string());
}

void write_checkpoint(const fs::path& path, const Checkpoint& checkpoint) {
  const Safetensors content = views_of(checkpoint, path.string());
  AtomicFile file(path);
  file.write(encode_header(content));
  for (const Tensor& tensor : content.tensors) file.write(tensor.bytes);
  {
    const MappedFile written(file.temporary());
    const Safetensors back = decode(written.bytes(), path.string());
    if (back.metadata != content.metadata || digest(back, "sha256") != content.metadata.at("sha256")) {
      fail(Exit::io, "{}: what was read back is not what was written", path.string());
    }
  }
  file.commit();
}

std::string params_sha256(std::span<const float> parameters) {
  return sha256_hex(as_bytes_of(parameters));
}

}  // namespace dl::checkpoint
