// SPDX-License-Identifier: MIT
#include "data/byte_source.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <boost/iostreams/filter/gzip.hpp>
#include <boost/iostreams/filter/zstd.hpp>
#include <boost/iostreams/filtering_streambuf.hpp>
#include <cerrno>
#include <cstring>
#include <optional>
#include <string_view>
#include <thread>

#include "base/error.h"
#include "data/read_ahead.h"
#include "data/zstd_frames.h"

namespace dl::data {

namespace {

namespace io = boost::iostreams;

constexpr std::size_t kBuffer = std::size_t{1} << 18;

// The bytes as they lie in the file.
struct Packed {
  int fd = -1;
  bool owned = false;
  std::string name;
  std::function<void()> interrupted;
  std::string head;          // looked at to tell the packing, not yet handed out
  std::atomic<std::uint64_t> total = 0;

  ~Packed() {
    if (owned) ::close(fd);
  }

  std::size_t read_once(char* to, std::size_t most) {
    for (;;) {
      const ssize_t n = ::read(fd, to, most);
      if (n >= 0) {
        total += static_cast<std::uint64_t>(n);
        return static_cast<std::size_t>(n);
      }
      if (errno != EINTR) fail_errno(Exit::no_input, errno, name);
      if (interrupted) interrupted();
    }
  }

  std::size_t read(char* to, std::size_t most) {
    std::size_t done = std::min(most, head.size());
    std::memcpy(to, head.data(), done);
    head.erase(0, done);
    while (done < most) {
      const std::size_t n = read_once(to + done, most - done);
      if (n == 0) break;
      done += n;
    }
    return done;
  }
};

// What Boost.Iostreams reads from.
class Device {
 public:
  using char_type = char;
  using category = io::source_tag;
  Device(Packed* packed, ZstdFrames* frames) : packed_(packed), frames_(frames) {}
  std::streamsize read(char* to, std::streamsize most) {
    const std::size_t n = packed_->read(to, static_cast<std::size_t>(most));
    if (frames_) frames_->follow({to, n});
    return n == 0 ? -1 : static_cast<std::streamsize>(n);
  }

 private:
  Packed* packed_;
  ZstdFrames* frames_;  // null: gzip
};

}  // namespace

struct ByteSource::State {
  Packed packed;
  const char* packing = nullptr;  // "gzip", "zstd"
  ZstdFrames frames;
  std::uint64_t max_expansion = 0, total = 0;  // unpacked
  std::string ahead;                           // peeked at; not yet read from `ahead_at` on
  std::size_t ahead_at = 0;
  std::unique_ptr<io::filtering_streambuf<io::input>> unpacked;
  // Only of files: a thread that waits for a pipe could not be called back.
  bool may_read_ahead = false;
  std::unique_ptr<ReadAhead> read_ahead;  // last: its thread uses all of the above
};

ByteSource::ByteSource(const std::string& file, ReadOptions options)
    : state_(std::make_unique<State>()) {
  Packed& packed = state_->packed;
  packed.interrupted = std::move(options.interrupted);
  state_->max_expansion = options.max_expansion;
  packed.owned = file != "-";
  packed.name = packed.owned ? file : "standard input";
  packed.fd = packed.owned ? ::open(file.c_str(), O_RDONLY | O_CLOEXEC) : STDIN_FILENO;
  if (packed.fd < 0) {
    packed.owned = false;
    fail_errno(Exit::no_input, errno, file);
  }
  struct stat status {};
  if (::fstat(packed.fd, &status) == 0 && S_ISDIR(status.st_mode)) {
    fail(Exit::no_input, "{}: is a directory, a file is wanted", packed.name);
  }
  state_->may_read_ahead = S_ISREG(status.st_mode) && std::thread::hardware_concurrency() > 1;
  ::posix_fadvise(packed.fd, 0, 0, POSIX_FADV_SEQUENTIAL);

  std::string head(4, '\0');
  head.resize(packed.read(head.data(), head.size()));
  packed.head = head;
  const bool gzip = head.size() >= 2 && head[0] == '\x1f' && head[1] == '\x8b';
  const bool zstd = head == std::string_view("\x28\xb5\x2f\xfd", 4);
  if (!gzip && !zstd) return;
  state_->packing = gzip ? "gzip" : "zstd";
  state_->unpacked = std::make_unique<io::filtering_streambuf<io::input>>();
  if (gzip) {
    state_->unpacked->push(io::gzip_decompressor(io::zlib::default_window_bits, kBuffer), kBuffer);
  } else {
    state_->unpacked->push(io::zstd_decompressor(kBuffer), kBuffer);
  }
  state_->unpacked->push(Device(&packed, gzip ? nullptr : &state_->frames), kBuffer);
}

ByteSource::~ByteSource() = default;
ByteSource::ByteSource(ByteSource&&) noexcept = default;
ByteSource& ByteSource::operator=(ByteSource&&) noexcept = default;

// Unpacked bytes, on whichever thread unpacks.
std::size_t ByteSource::unpack(State& state, char* to, std::size_t most) {
  const auto refuse = [&] {
    fail(Exit::data, "{}: its {} data is damaged, ends early or has something else behind it, after {} packed bytes",
         state.packed.name, state.packing, state.packed.total.load());
  };
  std::size_t n = 0;
  try {
    n = static_cast<std::size_t>(
        std::max<std::streamsize>(0, state.unpacked->sgetn(to, static_cast<std::streamsize>(most))));
  } catch (const Error&) {
    throw;
  } catch (const std::exception&) {
    refuse();
  }
  // Boost.Iostreams takes the end of the input for the end of any frame but the first.
  if (n < most && !state.frames.at_border()) refuse();
  state.total += n;
  if (state.total > kExpansionIsFree && (state.total - 1) / state.max_expansion >= state.packed.total) {
    fail(Exit::data, "{}: unpacks to more than {} times its size ({} bytes from {}); if that is right, say --max-expansion {}",
         state.packed.name, state.max_expansion, state.total, state.packed.total.load(), 10 * state.max_expansion);
  }
  return n;
}

// As read(), behind what was peeked at.
std::size_t ByteSource::read_on(char* to, std::size_t most) {
  State& state = *state_;
  if (state.unpacked == nullptr) return state.packed.read(to, most);
  if (!state.may_read_ahead) return unpack(state, to, most);
  if (!state.read_ahead) {
    state.read_ahead = std::make_unique<ReadAhead>(
        [&state](char* into, std::size_t wanted) { return unpack(state, into, wanted); });
  }
  return state.read_ahead->read(to, most);
}

std::size_t ByteSource::read(char* to, std::size_t most) {
  State& state = *state_;
  const std::size_t n = std::min(most, state.ahead.size() - state.ahead_at);
  std::memcpy(to, state.ahead.data() + state.ahead_at, n);
  state.ahead_at += n;
  return n == most ? n : n + read_on(to + n, most - n);
}

std::string_view ByteSource::peek(std::size_t most) {
  State& state = *state_;
  std::string& ahead = state.ahead;
  ahead.erase(0, state.ahead_at);
  state.ahead_at = 0;
  if (const std::size_t have = ahead.size(); have < most) {
    std::string more(most - have, '\0');
    more.resize(read_on(more.data(), more.size()));
    ahead += more;
  }
  return std::string_view(ahead).substr(0, most);
}

const std::string& ByteSource::name() const { return state_->packed.name; }

std::uint64_t ByteSource::packed_bytes() const { return state_->packed.total; }

}  // namespace dl::data
