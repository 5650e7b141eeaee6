// SPDX-License-Identifier: MIT
// Where a mesh takes its peers in.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include "net/raw_socket.h"
#include "small.h"

using namespace dl;
using test::kLong;
using test::Problem;
using test::small;

namespace {

// Two ranks that reach each other at this host; what each threw.
std::vector<std::string> meet_at(test::Nodes& nodes, const std::string& host, std::uint32_t generation) {
  const Problem problem = small(2);
  comm::MeshGroup group{"run", generation, 0, {}};
  for (const auto& mesh : nodes.meshes) group.members.push_back({host, mesh->port()});
  return test::as_threads(2, [&, group](std::uint32_t rank) {
    comm::MeshGroup own = group;
    own.rank = rank;
    const auto end = nodes.meshes[rank]->connect(own, problem.plan(), kLong);
    test::whole_round(*end, problem, 0);
  });
}

}  // namespace

TEST_CASE("mesh: of a loopback run nothing listens elsewhere, by IPv4 or IPv6") {
  test::Nodes nodes(2, comm::Transport::tcp, {}, "");
  const std::uint16_t port = nodes.meshes[0]->port();
  std::uint32_t generation = 0;
  for (const char* host : {"127.0.0.1", "::1"}) {
    CAPTURE(host);
    if (host == std::string("::1") && !test::has_ipv6()) continue;
    for (const std::string& what : meet_at(nodes, host, ++generation)) CHECK(what == "");
    CHECK(test::attempt({host, port}) == 0);
    CHECK(test::attempt({"127.0.0.2", port}) == ECONNREFUSED);
  }
}

TEST_CASE("mesh: a group with a member elsewhere is met at every address, at the same port") {
  test::Nodes nodes(2, comm::Transport::tcp, {}, "");
  const std::uint16_t port = nodes.meshes[0]->port();
  CHECK(test::attempt({"127.0.0.2", port}) == ECONNREFUSED);
  for (const std::string& what : meet_at(nodes, "127.0.0.2", 1)) CHECK(what == "");
  CHECK(nodes.meshes[0]->port() == port);
  CHECK(test::attempt({"127.0.0.2", port}) == 0);
  for (const std::string& what : meet_at(nodes, "127.0.0.1", 2)) CHECK(what == "");
}
