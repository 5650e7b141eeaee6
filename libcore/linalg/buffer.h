// SPDX-License-Identifier: MIT
// Memory for arrays of floats that products run over.
#pragma once

#include <cstddef>
#include <memory>
#include <span>

namespace dl::linalg {

// Owns `size` floats at a 64-byte border, zero at first; large ones ask for 2 MiB pages, which
// spare the products most of their address translations.
class Buffer {
 public:
  Buffer() = default;
  explicit Buffer(std::size_t size);

  // Makes room for at least `size` floats; what was there is lost where it grows.
  void reserve(std::size_t size);

  std::size_t size() const { return size_; }
  float* data() { return data_.get(); }
  const float* data() const { return data_.get(); }
  std::span<float> span() { return {data(), size_}; }
  std::span<const float> span() const { return {data(), size_}; }

 private:
  struct Free {
    void operator()(float* data) const;
  };
  std::unique_ptr<float[], Free> data_;
  std::size_t size_ = 0;
};

}  // namespace dl::linalg
