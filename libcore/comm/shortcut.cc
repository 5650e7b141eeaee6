// SPDX-License-Identifier: MIT
#include "comm/shortcut.h"

#include <optional>
#include <utility>

#include "base/error.h"
#include "comm/mesh_hello.h"

namespace dl::comm {

using net::Connection;

struct Shortcut::State : std::enable_shared_from_this<Shortcut::State> {
  State(std::shared_ptr<Connection> its_tcp, Events calls)
      : tcp(std::move(its_tcp)), events(std::move(calls)) {}

  void invite(net::UnixDoor& its_door) {
    door = &its_door;
    pass = door->invite([weak = weak_from_this()](std::shared_ptr<Connection> came) {
      if (const auto self = weak.lock(); self && !self->over) self->move_to(std::move(came));
    });
    Connection::Events heard;
    heard.message = [weak = weak_from_this()](const net::Header& header, ByteView payload) {
      const auto self = weak.lock();
      if (!self || self->over) return;
      if (header.type != net::Type::mesh_stay) {
        fail(Exit::data, "a {} message of a peer that was invited", net::name(header.type));
      }
      self->stay(shown(net::decode<MeshStay>(payload).why.str()));
    };
    heard.closed = [weak = weak_from_this()](const std::string& reason) {
      if (const auto self = weak.lock(); self && !self->over) self->lose(reason);
    };
    tcp->open(std::move(heard));
  }

  void follow(net::Loop& loop, const net::UnixPass& its_pass) {
    pass = its_pass;
    const std::weak_ptr<State> weak = weak_from_this();
    Connection::Events heard;
    // It closes TCP when it has let us in, and we may hear of that first.
    heard.closed = [weak](const std::string& reason) {
      if (const auto self = weak.lock()) self->tcp_ended = reason;
    };
    tcp->open(std::move(heard));
    dial.emplace(loop, pass,
                 net::UnixDial::Events{
                     [weak](std::shared_ptr<Connection> made) {
                       if (const auto self = weak.lock(); self && !self->over) {
                         self->move_to(std::move(made));
                       }
                     },
                     [weak](const std::string& why) {
                       const auto self = weak.lock();
                       if (!self || self->over) return;
                       if (!self->tcp_ended.empty()) {
                         self->lose(self->tcp_ended);
                         return;
                       }
                       self->tcp->send(MeshStay{net::Text<128>::cut(why)});
                       self->tcp->flush();
                       self->stay(why);
                     }});
  }

  void move_to(std::shared_ptr<Connection> unix_socket) {
    over = true;
    std::exchange(tcp, nullptr)->close();
    events.settled(std::move(unix_socket), "");
  }

  void stay(const std::string& why) {
    end();
    events.settled(std::exchange(tcp, nullptr), why.empty() ? "no reason given" : why);
  }

  void lose(const std::string& reason) {
    end();
    events.lost(reason);
  }

  void end() {
    if (door != nullptr && !over) door->take_back(pass);
    over = true;
    dial.reset();
  }

  std::shared_ptr<Connection> tcp;
  const Events events;
  net::UnixDoor* door = nullptr;  // where we invite
  net::UnixPass pass;
  std::optional<net::UnixDial> dial;  // where we follow
  std::string tcp_ended;
  bool over = false;
};

Shortcut::Shortcut(net::UnixDoor& door, std::shared_ptr<Connection> tcp, Events events)
    : state_(std::make_shared<State>(std::move(tcp), std::move(events))) {
  state_->invite(door);
}

Shortcut::Shortcut(net::Loop& loop, const net::UnixPass& pass, std::shared_ptr<Connection> tcp,
                   Events events)
    : state_(std::make_shared<State>(std::move(tcp), std::move(events))) {
  state_->follow(loop, pass);
}

Shortcut::~Shortcut() { state_->end(); }

const net::UnixPass& Shortcut::pass() const { return state_->pass; }

}  // namespace dl::comm
