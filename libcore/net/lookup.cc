// SPDX-License-Identifier: MIT
#include "net/lookup.h"

#include <netdb.h>

#include <cstring>
#include <mutex>
#include <string>
#include <system_error>
#include <thread>

namespace dl::net {

namespace {

std::vector<Tcp::endpoint> endpoints_of(const Address& address) {
  addrinfo hints{};
  hints.ai_flags = AI_NUMERICSERV;
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* list = nullptr;
  const char* host = address.host.empty() ? nullptr : address.host.c_str();
  std::vector<Tcp::endpoint> out;
  if (::getaddrinfo(host, std::to_string(address.port).c_str(), &hints, &list) != 0) return out;
  for (const addrinfo* one = list; one != nullptr; one = one->ai_next) {
    Tcp::endpoint endpoint;
    if (one->ai_addrlen > endpoint.capacity()) continue;
    std::memcpy(endpoint.data(), one->ai_addr, one->ai_addrlen);
    endpoint.resize(one->ai_addrlen);
    out.push_back(endpoint);
  }
  ::freeaddrinfo(list);
  return out;
}

}  // namespace

// What the thread and the Lookup share. Without a loop nobody wants to know any more.
struct Lookup::Wish {
  std::mutex mutex;
  Loop* loop = nullptr;
  std::function<void(std::vector<Tcp::endpoint>)> found;
};

Lookup::Lookup(Loop& loop, const Address& address, std::function<void(std::vector<Tcp::endpoint>)> found)
    : wish_(std::make_shared<Wish>()) {
  wish_->loop = &loop;
  wish_->found = std::move(found);
  const auto answer = [wish = wish_](std::vector<Tcp::endpoint> endpoints) {
    const std::lock_guard lock(wish->mutex);  // the loop lives as long as this is held
    if (wish->loop == nullptr) return;
    wish->loop->post([wish, endpoints = std::move(endpoints)] {
      if (wish->loop == nullptr) return;  // it is set on this thread
      const auto call = std::move(wish->found);  // it may end the Lookup
      call(endpoints);
    });
  };
  try {
    std::thread([answer, address] { answer(endpoints_of(address)); }).detach();
  } catch (const std::system_error&) {  // no thread to be had: as with no answer, it is tried again
    answer({});
  }
}

Lookup::~Lookup() {
  const std::lock_guard lock(wish_->mutex);
  wish_->loop = nullptr;
}

}  // namespace dl::net
