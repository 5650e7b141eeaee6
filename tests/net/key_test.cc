// SPDX-License-Identifier: MIT
#include "net/key.h"

#include <doctest/doctest.h>
#include <sys/stat.h>

#include "base/error.h"
#include "support/scratch.h"

using namespace dl;

namespace {

// The code and the words with which a file is refused as a key.
std::pair<Exit, std::string> refused(const fs::path& file) {
  try {
    net::read_key(file);
  } catch (const Error& error) {
    return {error.code(), error.what()};
  }
  return {Exit::ok, ""};
}

}  // namespace

TEST_CASE("key: a new one is for its owner alone, whole, and another one each time") {
  const test::Scratch scratch;
  const fs::path file = scratch / "key";
  net::make_key(file);
  struct stat facts{};
  REQUIRE(::stat(file.c_str(), &facts) == 0);
  CHECK((facts.st_mode & 07777) == 0600);
  const std::string first = read_file(file, 100);
  CHECK(first.size() == 65);
  CHECK(first.find_first_not_of("0123456789abcdef") == 64);
  CHECK(net::read_key(file));
  net::make_key(file);
  CHECK(read_file(file, 100) != first);
  CHECK(std::distance(fs::directory_iterator(file.parent_path()), fs::directory_iterator()) == 1);
}

TEST_CASE("key: a file that others may read is 77, with what to do") {
  const test::Scratch scratch;
  const fs::path file = scratch / "key";
  net::make_key(file);
  for (const mode_t mode : {0640, 0604, 0620, 0601}) {
    REQUIRE(::chmod(file.c_str(), mode) == 0);
    const auto [code, text] = refused(file);
    CHECK(code == Exit::denied);
    CHECK(text.find("chmod 600 " + file.string()) != std::string::npos);
  }
  REQUIRE(::chmod(file.c_str(), 0400) == 0);
  CHECK(refused(file).first == Exit::ok);
}

TEST_CASE("key: what is no key is refused, and not shown") {
  const test::Scratch scratch;
  const fs::path file = scratch / "key";
  CHECK(refused(file).first == Exit::no_input);
  const std::string good(64, 'a');
  for (const std::string& text :
       {std::string(), std::string("\n"), good.substr(1), good + "a", good + "\n\n", good + " \n",
        good.substr(1) + "g", "0x" + good.substr(2), std::string(64, '\0')}) {
    write_file(file, text);
    REQUIRE(::chmod(file.c_str(), 0600) == 0);
    const auto [code, words] = refused(file);
    CHECK(code == Exit::data);
    CHECK(words.find("aaa") == std::string::npos);
  }
  write_file(file, good);
  REQUIRE(::chmod(file.c_str(), 0600) == 0);
  CHECK(refused(file).first == Exit::ok);
  CHECK(refused(file.parent_path()).first == Exit::data);
}
