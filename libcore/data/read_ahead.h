// SPDX-License-Identifier: MIT
// Bytes that a second thread gets ready while the first works on those before: unpacking beside parsing.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>

namespace dl::data {

class ReadAhead {
 public:
  // Fills a buffer; fewer bytes only at the end. Called on the second thread, and never again once it
  // gave fewer bytes or threw.
  using Source = std::function<std::size_t(char*, std::size_t)>;
  explicit ReadAhead(Source source);
  ~ReadAhead();  // waits for the source to return
  ReadAhead(const ReadAhead&) = delete;
  ReadAhead& operator=(const ReadAhead&) = delete;

  // As the source; what it threw is thrown here, behind the bytes that came before.
  std::size_t read(char* to, std::size_t most);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace dl::data
