// SPDX-License-Identifier: MIT
// The bytes of an input, unpacked; the only place that sees Boost.Iostreams.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

namespace dl::data {

struct ReadOptions {
  std::function<void()> interrupted;  // called where a signal interrupted a read; what it throws ends the read
  // Packed data that gives more than this many times its own size is refused, once there are more than
  // kExpansionIsFree bytes of it.
  std::uint64_t max_expansion = 1000;
};
inline constexpr std::uint64_t kExpansionIsFree = std::uint64_t{64} << 20;

// A file, or "-" for standard input; gzip and zstd are told by their first bytes, and may have several
// members or frames, one after the other. Not thread-safe; packed files are unpacked ahead by a thread of its
// own where there is more than one core.
class ByteSource {
 public:
  // 66 where it cannot be opened.
  explicit ByteSource(const std::string& file, ReadOptions options = {});
  ~ByteSource();
  ByteSource(ByteSource&&) noexcept;
  ByteSource& operator=(ByteSource&&) noexcept;

  // The first bytes that read() will give: `most` of them, fewer only where the input has no more. The
  // view is valid until the next call of either.
  std::string_view peek(std::size_t most);

  // Fills `to` with `most` bytes; fewer only at the end of the input, then 0. 65 where packed data is
  // damaged, ends early, expands too much or has something else behind it, 66 where the input cannot be read.
  std::size_t read(char* to, std::size_t most);

  const std::string& name() const;       // the path, or "standard input"
  std::uint64_t packed_bytes() const;    // read so far, before unpacking

 private:
  struct State;
  static std::size_t unpack(State& state, char* to, std::size_t most);
  std::size_t read_on(char* to, std::size_t most);

  std::unique_ptr<State> state_;
};

}  // namespace dl::data
