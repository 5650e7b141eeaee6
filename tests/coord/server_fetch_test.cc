// SPDX-License-Identifier: MIT
// The server gives files away, over loopback.
#include <doctest/doctest.h>

#include <thread>

#include "base/hash.h"
#include "coord/fetch.h"
#include "stage.h"
#include "support/scratch.h"

using namespace dl;
using namespace dl::coord;
using test::FakeMesh;
using test::FakeNode;
using test::quick_plan;
using test::Stage;

namespace {

// The client alone, for what a whole node does not say.
class Guest {
 public:
  explicit Guest(const std::string& address) {
    ClientSettings settings;
    settings.coordinator = address;
    settings.hello = Hello{.protocol = kProtocol, .version = "dl test", .host = "guest", .pid = 1,
                           .threads = 1, .kernel = "", .mesh_port = 1};
    client_ = std::make_unique<Client>(loop_, settings);
    loop_.start();
    REQUIRE(std::holds_alternative<Welcome>(take()));
  }
  ~Guest() { loop_.stop(); }
  Guest(const Guest&) = delete;
  Guest& operator=(const Guest&) = delete;

  Client& client() { return *client_; }
  Incoming take() { return client_->mailbox().take(); }
  std::string fetch(const std::string& sha256, std::uint64_t most) {
    FetchedFile file("it", sha256, most);
    std::string came;
    while (!file.whole()) {
      for (const Fetch& wish : file.wishes()) client_->send(wish);
      const Incoming item = take();
      const FilePiece& piece = std::get<FilePiece>(item);
      file.take(piece);
      came.append(reinterpret_cast<const char*>(piece.bytes.data()), piece.bytes.size());
    }
    return came;
  }

 private:
  net::Loop loop_;
  std::unique_ptr<Client> client_;
};

// Five megabytes on disk, and a word in memory.
struct Shelf {
  test::Scratch dir;
  std::string text, digest, word = "manifest", word_digest = sha256_hex(as_bytes_of(word));
  std::shared_ptr<Files> files = std::make_shared<Files>();
  Shelf() {
    for (std::size_t i = 0; i < 5'000'000; ++i) text += static_cast<char>(i * i / 97);
    digest = sha256_hex(as_bytes_of(text));
    write_file(dir / "shard", text);
    files->add(digest, dir / "shard");
    files->add_text(word_digest, word);
  }
};

}  // namespace

TEST_CASE("server: nodes fetch files at the same time, while others train") {
  const Shelf shelf;
  Stage stage(quick_plan(1), nullptr, shelf.files);
  FakeMesh mesh;
  mesh.gate(5);
  FakeNode node(mesh, stage.options());
  stage.wait("group");
  std::vector<std::thread> threads;
  std::atomic<int> good{0};
  for (int i = 0; i < 3; ++i) {
    threads.emplace_back([&] {
      Guest guest(stage.options().address);
      if (guest.fetch(shelf.digest, shelf.text.size()) == shelf.text) ++good;
      if (guest.fetch(shelf.word_digest, 100) == shelf.word) ++good;
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(good == 6);
  mesh.gate(UINT64_MAX);
  stage.wait("done");
  CHECK(stage.end().code == 0);
  CHECK(node.join() == 0);
}

TEST_CASE("server: who asks for what is not the run's, or without measure, is thrown out") {
  const Shelf shelf;
  Stage stage(quick_plan(1), nullptr, shelf.files);
  {
    Guest guest(stage.options().address);
    guest.client().send(Fetch{"../../etc/passwd", 0});
    CHECK(std::holds_alternative<CoordinatorLost>(guest.take()));
  }
  {
    Guest guest(stage.options().address);
    guest.client().send(Fetch{shelf.digest, 1});
    CHECK(std::holds_alternative<CoordinatorLost>(guest.take()));
  }
  {
    Guest guest(stage.options().address);
    // More than any socket takes at once: what is not sent yet is counted.
    for (int i = 0; i < 20'000; ++i) guest.client().send(Fetch{shelf.digest, 0});
    Incoming last = guest.take();
    while (std::holds_alternative<FilePiece>(last)) last = guest.take();
    CHECK(std::holds_alternative<CoordinatorLost>(last));
  }
  FakeMesh mesh;
  FakeNode node(mesh, stage.options());
  stage.wait("done");
  CHECK(stage.end().code == 0);
  CHECK(node.join() == 0);
}

TEST_CASE("server: a file that is gone ends the run with 66 and its name, for nodes too") {
  const Shelf shelf;
  Stage stage(quick_plan(2), nullptr, shelf.files);
  Guest guest(stage.options().address);
  fs::remove(shelf.dir / "shard");
  guest.client().send(Fetch{shelf.digest, 0});
  const Incoming last = guest.take();
  REQUIRE(std::holds_alternative<Goodbye>(last));
  CHECK(std::get<Goodbye>(last).code == 66);
  const Ended ended = stage.end();
  CHECK(ended.code == 66);
  CHECK(ended.text.find((shelf.dir / "shard").string()) != std::string::npos);
}
