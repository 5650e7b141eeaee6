// SPDX-License-Identifier: MIT
// NPY, the format of numpy.save: bytes 93 'NUMPY' MAJOR MINOR, the length of the header (uint16 in
// version 1, uint32 in 2 and 3, little-endian), the header, then the values. The header is a Python
// dictionary with the keys 'descr', 'fortran_order' and 'shape'.
#include <algorithm>
#include <array>
#include <charconv>
#include <optional>
#include <utility>

#include "base/error.h"
#include "data/array_file.h"

namespace dl::data {

namespace {

constexpr std::string_view kMagic("\x93NUMPY", 6);
constexpr std::uint32_t kLongestHeader = 1U << 16;
constexpr std::size_t kMostDimensions = 32;

// What may stand in a header, and nothing else: texts without escapes, True, False, whole numbers and
// tuples of them.
class HeaderParser {
 public:
  HeaderParser(std::string_view text, const std::string& name) : text_(text), name_(name) {}

  ArrayHeader parse() {
    ArrayHeader header;
    bool descr = false, order = false, shape = false;
    expect('{');
    while (!accept('}')) {
      const std::string_view key = quoted();
      expect(':');
      if (key == "descr" && !std::exchange(descr, true)) {
        parse_descr(header);
      } else if (key == "fortran_order" && !std::exchange(order, true)) {
        if (truth()) {
          fail(Exit::data, "{}: its values are in Fortran's order; save numpy.ascontiguousarray(a) instead",
               name_);
        }
      } else if (key == "shape" && !std::exchange(shape, true)) {
        parse_shape(header);
      } else {
        refuse();
      }
      if (accept(',')) continue;
      expect('}');
      break;
    }
    blank();
    if (at_ != text_.size() || !descr || !order || !shape) refuse();
    return header;
  }

 private:
  [[noreturn]] void refuse() const {
    fail(Exit::data, "{}: its NPY header does not make sense, at character {}: {}", name_, at_,
         shown(text_.substr(std::min(at_, text_.size()), 40)));
  }
  void blank() {
    while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\n')) ++at_;
  }
  bool accept(char c) {
    blank();
    if (at_ == text_.size() || text_[at_] != c) return false;
    ++at_;
    return true;
  }
  void expect(char c) {
    if (!accept(c)) refuse();
  }
  bool accept(std::string_view word) {
    blank();
    if (text_.substr(at_, word.size()) != word) return false;
    at_ += word.size();
    return true;
  }
  bool truth() {
    if (accept("True")) return true;
    if (!accept("False")) refuse();
    return false;
  }
  std::string_view quoted() {
    const char quote = accept('\'') ? '\'' : '"';
    if (quote == '"') expect('"');
    const std::size_t end = text_.find(quote, at_);
    if (end == std::string_view::npos) refuse();
    const std::string_view inside = text_.substr(at_, end - at_);
    at_ = end + 1;
    return inside;
  }

  void parse_descr(ArrayHeader& header) {
    if (accept('[')) {
      fail(Exit::data, "{}: its elements are records with several fields; save a plain array of numbers",
           name_);
    }
    const std::string_view descr = quoted();
    if (descr.substr(0, 2) == "|O" || descr == "O") {
      fail(Exit::data, "{}: holds Python objects, which are never read; save numbers (a.astype('f8'))", name_);
    }
    constexpr std::array<std::pair<std::string_view, Element>, 12> kKnown = {{
        {"b1", Element::b1}, {"i1", Element::i1}, {"i2", Element::i2}, {"i4", Element::i4},
        {"i8", Element::i8}, {"u1", Element::u1}, {"u2", Element::u2}, {"u4", Element::u4},
        {"u8", Element::u8}, {"f2", Element::f2}, {"f4", Element::f4}, {"f8", Element::f8}}};
    if (descr.size() == 3) {
      for (const auto& [text, element] : kKnown) {
        if (descr.substr(1) != text) continue;
        const bool ordered = descr[0] == '<' || descr[0] == '>';
        if (!ordered && !(descr[0] == '|' && bytes_of(element) == 1)) break;
        header.element = element;
        header.big_endian = descr[0] == '>';
        return;
      }
    }
    fail(Exit::data, "{}: its elements are of type {}; save numbers of up to 64 bits (a.astype('f8'))", name_,
         shown(descr));
  }

  void parse_shape(ArrayHeader& header) {
    expect('(');
    while (!accept(')')) {
      blank();
      std::uint64_t size = 0;
      const char* const begin = text_.data() + at_;
      const auto [end, error] = std::from_chars(begin, text_.data() + text_.size(), size);
      if (error != std::errc() || header.shape.size() == kMostDimensions) refuse();
      at_ += static_cast<std::size_t>(end - begin);
      header.shape.push_back(size);
      if (accept(',')) continue;
      if (header.shape.size() == 1) refuse();  // (3) is a number in Python, not a tuple
      expect(')');
      break;
    }
  }

  std::string_view text_;
  const std::string& name_;
  std::size_t at_ = 0;
};

}  // namespace

bool looks_like_npy(std::string_view head) { return head.substr(0, kMagic.size()) == kMagic; }

ArrayHeader read_npy_header(ByteSource& source) {
  const std::string& name = source.name();
  const auto refuse_end = [&name] { fail(Exit::data, "{}: ends inside its NPY header", name); };
  std::array<unsigned char, 12> bytes{};
  char* const to = reinterpret_cast<char*>(bytes.data());
  if (source.read(to, 8) < 8) refuse_end();
  if (bytes[6] < 1 || bytes[6] > 3 || bytes[7] != 0) {
    fail(Exit::data, "{}: NPY version {}.{}; 1.0, 2.0 and 3.0 are known", name, bytes[6], bytes[7]);
  }
  const std::size_t width = bytes[6] == 1 ? 2 : 4;
  if (source.read(to + 8, width) < width) refuse_end();
  std::uint32_t length = 0;
  for (std::size_t i = 0; i < width; ++i) length |= std::uint32_t{bytes[8 + i]} << 8 * i;
  if (length > kLongestHeader) {
    fail(Exit::data, "{}: its NPY header would have {} bytes, at most {} are read", name, length,
         kLongestHeader);
  }
  std::string text(length, '\0');
  if (source.read(text.data(), length) < length) refuse_end();
  return HeaderParser(text, name).parse();
}

}  // namespace dl::data
