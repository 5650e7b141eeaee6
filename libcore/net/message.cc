// SPDX-License-Identifier: MIT
#include "net/message.h"

#include <boost/archive/binary_iarchive.hpp>
#include <boost/archive/binary_oarchive.hpp>
#include <streambuf>

namespace dl::net {

namespace {

constexpr unsigned kFlags = boost::archive::no_header | boost::archive::no_codecvt;

class Sink : public std::streambuf {
 public:
  Bytes bytes;

 protected:
  int_type overflow(int_type c) override {
    if (c != traits_type::eof()) bytes.push_back(static_cast<std::byte>(c));
    return traits_type::not_eof(c);
  }
  std::streamsize xsputn(const char* from, std::streamsize count) override {
    const auto* begin = reinterpret_cast<const std::byte*>(from);
    bytes.insert(bytes.end(), begin, begin + count);
    return count;
  }
};

// Exactly the given bytes; there is nothing to refill from.
class Source : public std::streambuf {
 public:
  explicit Source(ByteView bytes) {
    auto* begin = reinterpret_cast<char*>(const_cast<std::byte*>(bytes.data()));
    setg(begin, begin, begin + bytes.size());
  }
  std::size_t left() const { return static_cast<std::size_t>(egptr() - gptr()); }
};

}  // namespace

std::string_view name(Type type) {
  switch (type) {
    case Type::hello: return "hello";
    case Type::welcome: return "welcome";
    case Type::refuse: return "refuse";
    case Type::ready: return "ready";
    case Type::pause: return "pause";
    case Type::paused: return "paused";
    case Type::send_state: return "send_state";
    case Type::state_begin: return "state_begin";
    case Type::state_chunk: return "state_chunk";
    case Type::state_end: return "state_end";
    case Type::start: return "start";
    case Type::signal: return "signal";
    case Type::heartbeat: return "heartbeat";
    case Type::progress: return "progress";
    case Type::report: return "report";
    case Type::done: return "done";
    case Type::goodbye: return "goodbye";
    case Type::fetch: return "fetch";
    case Type::file_piece: return "file_piece";
    case Type::load: return "load";
    case Type::loaded: return "loaded";
    case Type::pace: return "pace";
    case Type::updates: return "updates";
    case Type::mesh_hello: return "mesh_hello";
    case Type::part: return "part";
    case Type::result: return "result";
    case Type::record: return "record";
    case Type::gather: return "gather";
    case Type::message: return "message";
    case Type::mesh_stay: return "mesh_stay";
  }
  return "?";
}

struct Encoder::Archive {
  Sink sink;
  boost::archive::binary_oarchive archive{sink, kFlags};
};

Encoder::Encoder() : archive_(std::make_unique<Archive>()) {}
Encoder::~Encoder() = default;

void Encoder::put_number(std::uint8_t value) { archive_->archive << value; }
void Encoder::put_number(std::uint16_t value) { archive_->archive << value; }
void Encoder::put_number(std::uint32_t value) { archive_->archive << value; }
void Encoder::put_number(std::uint64_t value) { archive_->archive << value; }

void Encoder::text(std::string_view text) {
  put_number(static_cast<std::uint32_t>(text.size()));
  if (!text.empty()) archive_->archive.save_binary(text.data(), text.size());
}

Bytes Encoder::take() { return std::move(archive_->sink.bytes); }

struct Decoder::Archive {
  Archive(ByteView bytes, Type its_type) : source(bytes), type(its_type) {}

  [[noreturn]] void refuse(std::string_view why) const {
    fail(Exit::data, "a {} message that {}", name(type), why);
  }
  void need(std::size_t bytes) const {
    if (source.left() < bytes) refuse("ends too early");
  }
  template <typename T>
  void get(T& value) {
    need(sizeof value);
    archive >> value;
  }

  Source source;
  Type type;
  boost::archive::binary_iarchive archive{source, kFlags};
};

Decoder::Decoder(ByteView bytes, Type type) : archive_(std::make_unique<Archive>(bytes, type)) {}
Decoder::~Decoder() = default;

void Decoder::get_number(std::uint8_t& value) { archive_->get(value); }
void Decoder::get_number(std::uint16_t& value) { archive_->get(value); }
void Decoder::get_number(std::uint32_t& value) { archive_->get(value); }
void Decoder::get_number(std::uint64_t& value) { archive_->get(value); }

bool Decoder::truth() {
  const auto value = number<std::uint8_t>();
  if (value > 1) archive_->refuse("holds a truth value other than 0 and 1");
  return value == 1;
}

std::uint32_t Decoder::count(std::size_t most) {
  const auto value = number<std::uint32_t>();
  if (value > most) archive_->refuse(fmt::format("holds {} where {} may be", value, most));
  archive_->need(value);  // no element is shorter than a byte
  return value;
}

std::string Decoder::text(std::size_t most) {
  std::string out(count(most), '\0');
  if (!out.empty()) archive_->archive.load_binary(out.data(), out.size());
  return out;
}

void Decoder::end() {
  if (archive_->source.left() > 0) {
    archive_->refuse(fmt::format("has {} bytes too many", archive_->source.left()));
  }
}

}  // namespace dl::net
