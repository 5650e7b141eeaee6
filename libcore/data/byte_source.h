// SPDX-License-Identifier: MIT
// The bytes of an input, unpacked; the only place that sees Boost.Iostreams.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

namespace dl::data {

// A file, or "-" for standard input; gzip and zstd are told by their first bytes. Not thread-safe.
class ByteSource {
 public:
  // 66 where it cannot be opened. `interrupted` is called where a signal interrupted a read; what it
  // throws ends the read.
  explicit ByteSource(const std::string& file, std::function<void()> interrupted = {});
  ~ByteSource();
  ByteSource(ByteSource&&) noexcept;
  ByteSource& operator=(ByteSource&&) noexcept;

  // Fills `to` with `most` bytes; fewer only at the end of the input, then 0. 65 where packed data is
  // damaged or ends early, 66 where the input cannot be read.
  std::size_t read(char* to, std::size_t most);

  const std::string& name() const;       // the path, or "standard input"
  std::uint64_t packed_bytes() const;    // read so far, before unpacking

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace dl::data
