// SPDX-License-Identifier: MIT
// Files that their owner alone may read, or write.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/file.h"

namespace dl::net {

// Bytes that are wiped when they go.
class Secret {
 public:
  explicit Secret(std::size_t most) : bytes_(most) {}
  ~Secret();
  Secret(const Secret&) = delete;
  Secret& operator=(const Secret&) = delete;
  Secret(Secret&&) noexcept = default;
  Secret& operator=(Secret&&) = delete;

  std::string_view text() const { return {bytes_.data(), size_}; }

 private:
  friend Secret read_secret(const fs::path& file, std::size_t most, std::string_view what);
  std::vector<char> bytes_;
  std::size_t size_ = 0;
};

// The file, or its first `most` bytes. `what` it is, for messages. 66 where there is none, 65 where it is no
// plain file, 77 where others may read it or it belongs to another user.
Secret read_secret(const fs::path& file, std::size_t most, std::string_view what);

// A text that says whom to trust. 77 where others may write to it: it belongs to a user who is neither this one nor root,
// or its mode says so; else as read_file().
std::string read_trusted(const fs::path& file, std::size_t most);

}  // namespace dl::net
