// SPDX-License-Identifier: MIT
// A name server that does not answer: this binary's getaddrinfo() waits for one host until the test lets it go.
#include <dlfcn.h>
#include <doctest/doctest.h>
#include <netdb.h>

#include <future>
#include <optional>
#include <string_view>

#include "base/clock.h"
#include "net/dial.h"
#include "net/listener.h"

using namespace dl;

namespace {

struct Silence {
  std::promise<void> asked, over;
  std::shared_future<void> end = over.get_future().share();
};
std::shared_ptr<Silence> silence;  // of this test; the thread that waits holds it too

}  // namespace

extern "C" int getaddrinfo(const char* node, const char* service, const addrinfo* hints, addrinfo** found) {
  if (node != nullptr && std::string_view(node) == "silent.test") {
    const auto mine = silence;
    mine->asked.set_value();
    mine->end.wait_for(std::chrono::seconds(5));
    return EAI_AGAIN;
  }
  static const auto real = reinterpret_cast<decltype(&getaddrinfo)>(::dlsym(RTLD_NEXT, "getaddrinfo"));
  return real(node, service, hints, found);
}

TEST_CASE("dial: who waits for a name server that says nothing can leave at once") {
  silence = std::make_shared<Silence>();
  std::int64_t begin = 0;
  {
    net::Loop loop;
    loop.start();
    std::optional<net::Dial> dial;
    loop.call([&] {
      dial.emplace(loop, net::Address{"silent.test", 7000}, net::Milliseconds(60'000),
                   net::Dial::Events{[](auto) {}, [](const std::string&) {}});
    });
    silence->asked.get_future().wait();
    begin = monotonic_ns();
    loop.call([&] { dial.reset(); });
  }
  CHECK(seconds_between(begin, monotonic_ns()) < 2);
  silence->over.set_value();
}

TEST_CASE("dial: a host by its name is found, and one that is not there is named so") {
  net::Loop loop;
  net::Listener listener(loop, {"localhost", 0}, [](auto) {});
  std::shared_ptr<net::Connection> made;
  std::string why;
  const net::Dial dial(loop, {"localhost", listener.port()}, net::Milliseconds(20'000),
                       {[&](std::shared_ptr<net::Connection> c) {
                          made = std::move(c);
                          loop.stop();
                        },
                        [&](const std::string&) { loop.stop(); }});
  loop.run();
  CHECK(made);
  net::Loop other;
  const net::Dial nowhere(other, {"no host has blanks", 1}, net::Milliseconds(1),
                          {[](auto) {}, [&](const std::string& reason) {
                             why = reason;
                             other.stop();
                           }});
  other.run();
  CHECK((why == "no such host" || why == "no answer"));
}
