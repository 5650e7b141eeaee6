// SPDX-License-Identifier: MIT
// All messages between coordinator and node; the first byte is the type.
#include "coord/messages.h"
#include "target.h"

namespace {

template <typename Message>
void decode(unsigned type, dl::ByteView bytes) {
  using namespace dl;
  if (static_cast<unsigned>(Message::type) != type) return;
  fuzz::accepted([&] {
    const Bytes again = net::encode(net::decode<Message>(bytes));
    fuzz::must(std::equal(again.begin(), again.end(), bytes.begin(), bytes.end()), "what is read is what is written");
  });
}

template <typename... Messages>
void decode_all(unsigned type, dl::ByteView bytes) {
  (decode<Messages>(type, bytes), ...);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace dl::coord;
  if (size == 0) return 0;
  decode_all<Hello, Welcome, Refuse, Ready, Pause, Paused, SendState, StateBegin, StateEnd, Load, Loaded, Fetch, Pace, Updates, Start,
             Signal, Heartbeat, Progress, Report, Done, Goodbye>(
      data[0], {reinterpret_cast<const std::byte*>(data) + 1, size - 1});
  return 0;
}
