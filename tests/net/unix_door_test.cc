// SPDX-License-Identifier: MIT
// The way in for processes of the same host and user: who has a pass comes in, and nobody else.
#include "net/unix_door.h"

#include <doctest/doctest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <optional>
#include <vector>

#include "base/clock.h"
#include "net/asio.h"

using namespace dl;
using net::Connection;
using net::Header;
using net::Loop;
using net::Milliseconds;
using net::Type;
using net::UnixDial;
using net::UnixDoor;
using net::UnixPass;

namespace {

constexpr uid_t kNobody = 65534;

sockaddr_un address_of(const std::string& name, socklen_t& size) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path + 1, name.data(), name.size());
  size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + name.size());
  return address;
}

// A plain socket at the door; -1 where it is not let in. The caller closes it.
int raw(const std::string& name) {
  const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  socklen_t size = 0;
  const sockaddr_un address = address_of(name, size);
  if (::connect(fd, reinterpret_cast<const sockaddr*>(&address), size) == 0) return fd;
  ::close(fd);
  return -1;
}

void send_all(int fd, ByteView bytes) {
  static_cast<void>(::send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL));
}

// Closed, and nothing was said before. Waits for neither.
bool turned_away(int fd) {
  std::byte one{};
  const ssize_t count = ::recv(fd, &one, 1, MSG_DONTWAIT);
  return count == 0 || (count < 0 && errno == ECONNRESET);
}

// The test's own thread runs the loop.
struct House {
  Loop loop;
  net::Timer limit{loop}, look{loop};

  House() {
    limit.after(Milliseconds(20'000), [] { throw std::runtime_error("the test took too long"); });
  }
  void run() {
    loop.core().io.restart();
    loop.run();
  }
  void run_until(const std::function<bool()>& met) {
    watch(met);
    run();
  }
  void watch(const std::function<bool()>& met) {
    look.after(Milliseconds(2), [this, met] { met() ? loop.stop() : watch(met); });
  }
  // How showing this pass ended.
  std::string show(const UnixPass& pass, std::shared_ptr<Connection>& into) {
    std::string how;
    UnixDial dial(loop, pass,
                  {[&](std::shared_ptr<Connection> made) {
                     into = std::move(made);
                     how = "in";
                     loop.stop();
                   },
                   [&](const std::string& why) {
                     how = why;
                     loop.stop();
                   }});
    run();
    return how;
  }
  std::string show(const UnixPass& pass) {
    std::shared_ptr<Connection> made;
    return show(pass, made);
  }
};

}  // namespace

TEST_CASE("unix: who shows a pass is in, and frames go both ways, short ones and megabytes") {
  House house;
  UnixDoor door(house.loop);
  std::shared_ptr<Connection> inside, outside;
  const UnixPass pass = door.invite([&](std::shared_ptr<Connection> came) { inside = std::move(came); });
  CHECK(house.show(pass, outside) == "in");
  REQUIRE(inside);
  const Bytes much(std::size_t{3} << 20, std::byte{7});
  Bytes there(much.size()), back(much.size());
  const auto open = [&](Connection& end, Bytes& into, const std::function<void()>& placed) {
    Connection::Events events;
    events.place = [&into](const Header& header) { return std::span(into).first(header.length); };
    events.placed = [placed](const Header&) { placed(); };
    end.open(std::move(events));
  };
  open(*inside, there, [&] {
    const ByteView all = there;
    inside->send_bulk(Type::message, 1, 6, std::span(&all, 1));
  });
  open(*outside, back, [&] { house.loop.stop(); });
  const ByteView all = much;
  outside->send_bulk(Type::message, 1, 5, std::span(&all, 1));
  house.run();
  CHECK(back == much);
}

TEST_CASE("unix: the end of a process is noticed at once by the other one") {
  House house;
  UnixDoor door(house.loop);
  std::shared_ptr<Connection> inside, outside;
  const UnixPass pass = door.invite([&](std::shared_ptr<Connection> came) { inside = std::move(came); });
  REQUIRE(house.show(pass, outside) == "in");
  std::string closed;
  Connection::Events events;
  events.closed = [&](const std::string& why) {
    closed = why;
    house.loop.stop();
  };
  inside->open(std::move(events));
  outside.reset();
  house.run();
  CHECK(closed == "closed by peer");
}

TEST_CASE("unix: a pass opens once, and not when it was taken back, or is another one") {
  House house;
  UnixDoor door(house.loop), other(house.loop);
  int came = 0;
  const auto count = [&](std::shared_ptr<Connection>) { ++came; };
  const UnixPass once = door.invite(count), back = door.invite(count), good = door.invite(count);
  UnixPass changed = good, elsewhere = good;
  changed.token[31] ^= std::byte{1};
  elsewhere.name = other.invite(count).name;
  door.take_back(back);
  CHECK(house.show(once) == "in");
  const std::string refused = "our pass was not taken";
  CHECK(house.show(once) == refused);
  CHECK(house.show(back) == refused);
  CHECK(house.show(changed) == refused);
  CHECK(house.show(elsewhere) == refused);
  CHECK(house.show(good) == "in");
  CHECK(came == 2);
}

TEST_CASE("unix: no two passes and no two names are the same") {
  House house;
  UnixDoor door(house.loop), other(house.loop);
  const UnixPass one = door.invite([](auto) {}), two = door.invite([](auto) {});
  CHECK(one.name == two.name);
  CHECK(one.token != two.token);
  CHECK(one.name != other.invite([](auto) {}).name);
}

TEST_CASE("unix: where no door is, the reason is told") {
  House house;
  UnixPass pass;
  {
    UnixDoor door(house.loop);
    pass = door.invite([](auto) {});
  }
  CHECK(house.show(pass) == "connection refused");
  pass.name = "";
  CHECK(house.show(pass) == "no such socket");
  pass.name = std::string(200, 'a');
  CHECK(house.show(pass) == "no such socket");
}

TEST_CASE("unix: a stranger that is slow, or says too little, is sent away in time, without a word") {
  House house;
  UnixDoor door(house.loop, Milliseconds(60));
  int came = 0;
  const UnixPass pass = door.invite([&](auto) { ++came; });
  const int silent = raw(pass.name), slow = raw(pass.name), gone = raw(pass.name);
  REQUIRE(silent >= 0);
  send_all(slow, ByteView(pass.token).first(31));
  ::close(gone);
  const std::int64_t begin = monotonic_ns();
  house.run_until([&] { return turned_away(silent) && turned_away(slow); });
  CHECK(monotonic_ns() - begin >= 50'000'000);
  CHECK(came == 0);
  CHECK(house.show(pass) == "in");  // nobody has used it up
  ::close(silent);
  ::close(slow);
}

TEST_CASE("unix: of a stranger's bytes no more is read than a pass is long") {
  House house;
  UnixDoor door(house.loop);
  int came = 0;
  const UnixPass pass = door.invite([&](auto) { ++came; });
  const int fd = raw(pass.name);
  Bytes much(64 * 1024, std::byte{9});
  send_all(fd, much);
  house.run_until([&] { return turned_away(fd); });
  CHECK(came == 0);
  ::close(fd);
}

TEST_CASE("unix: a crowd without a pass does not keep out who has one") {
  House house;
  UnixDoor door(house.loop, Milliseconds(10'000));
  int came = 0;
  std::vector<int> crowd;
  for (int i = 0; i < 100; ++i) crowd.push_back(raw(door.invite([](auto) {}).name));
  const UnixPass pass = door.invite([&](auto) { ++came; });
  CHECK(house.show(pass) == "in");
  CHECK(came == 1);
  // The oldest had to go: 100 and one came, and 64 may wait.
  CHECK(std::ranges::count_if(crowd, turned_away) >= 100 - static_cast<int>(UnixDoor::kMostKnocking));
  CHECK_FALSE(turned_away(crowd.back()));
  for (const int fd : crowd) ::close(fd);
}

TEST_CASE("unix: a process of another user is sent away unheard, though it has the pass") {
  if (::geteuid() != 0) {
    MESSAGE("only root can be two users: skipped");
    return;
  }
  House house;
  UnixDoor door(house.loop);
  int came = 0;
  const UnixPass pass = door.invite([&](auto) { ++came; });
  const pid_t child = ::fork();
  if (child == 0) {
    if (::setuid(kNobody) != 0) ::_exit(3);
    const int fd = raw(pass.name);
    if (fd < 0) ::_exit(4);
    send_all(fd, pass.token);
    std::byte answer{};
    ::_exit(::recv(fd, &answer, 1, 0) > 0 ? 1 : 0);
  }
  int status = -1;
  house.run_until([&] { return ::waitpid(child, &status, WNOHANG) == child; });
  CHECK(status == 0);
  CHECK(came == 0);
  CHECK(house.show(pass) == "in");
}

TEST_CASE("unix: a pass is not shown to a process of another user") {
  if (::geteuid() != 0) {
    MESSAGE("only root can be two users: skipped");
    return;
  }
  House house;
  const std::string name = "dl-test-" + std::to_string(::getpid());
  int ready[2];
  REQUIRE(::pipe(ready) == 0);
  const pid_t child = ::fork();
  if (child == 0) {
    const int fd = ::socket(AF_UNIX, SOCK_STREAM, 0);
    socklen_t size = 0;
    const sockaddr_un address = address_of(name, size);
    if (::setuid(kNobody) != 0 || ::bind(fd, reinterpret_cast<const sockaddr*>(&address), size) != 0 ||
        ::listen(fd, 1) != 0 || ::write(ready[1], "1", 1) != 1) {
      ::_exit(3);
    }
    const int guest = ::accept(fd, nullptr, nullptr);
    std::byte said{};
    ::_exit(::recv(guest, &said, 1, 0) > 0 ? 1 : 0);
  }
  char one = 0;
  REQUIRE(::read(ready[0], &one, 1) == 1);
  CHECK(house.show({name, {}}) == "it is another user's");
  int status = -1;
  house.run_until([&] { return ::waitpid(child, &status, WNOHANG) == child; });
  CHECK(status == 0);
  ::close(ready[0]);
  ::close(ready[1]);
}
