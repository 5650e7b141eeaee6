// SPDX-License-Identifier: MIT
// Who has a certificate of the CA is in, on either side; everybody else is told why, and gets nothing.
#include "net/certificate.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include "base/clock.h"
#include "base/error.h"
#include "house.h"
#include "relay.h"
#include "support/keys.h"
#include "support/pki.h"
#include "support/scratch.h"

using namespace dl;
using test::Authority;
using test::Guest;
using test::House;
using test::kSecret;
using test::Paper;
using test::Relay;
using test::shown_by;
using test::Stranger;
using Shown = std::shared_ptr<const net::Credentials>;

namespace {

struct Meeting {
  std::string house, guest;  // what each said of the other, where it did not let it in
  bool let_in = false;
};

// Both sides know how it ended, and nobody who was not let in has said or heard a word.
Meeting meet(const Shown& house_shows, const Shown& guest_shows) {
  House house(house_shows);
  Guest guest(house, house.listener->address(), guest_shows);
  house.run_until([&] {
    return (!guest.told.empty() && !house.heard.empty()) || (!guest.denied.empty() && !house.refused.empty());
  });
  const Meeting out{house.refused.empty() ? "" : house.refused.front(), guest.denied, !guest.told.empty()};
  CHECK(house.guests.empty() == !out.let_in);
  CHECK(house.heard.empty() == !out.let_in);
  CHECK((guest.connection == nullptr) == !out.let_in);
  guest.connection.reset();
  house.guests.clear();
  return out;
}

// The code and the words with which these files are refused.
std::pair<Exit, std::string> refused(const net::CertificateFiles& files, bool dials = true) {
  try {
    net::read_certificate(files, dials);
  } catch (const Error& error) {
    return {error.code(), error.what()};
  }
  return {Exit::ok, ""};
}

// Three files, as a site has them.
struct Files {
  explicit Files(const Paper& paper, const std::string& ca)
      : names{(scratch / "node.pem").string(), (scratch / "node.key").string(), (scratch / "ca.pem").string()} {
    write_file(names.certificate, paper.certificate);
    write_file(names.key, paper.key);
    write_file(names.ca, ca);
    ::chmod(names.key.c_str(), 0600);
    ::chmod(names.ca.c_str(), 0644);
  }
  const test::Scratch scratch;
  const net::CertificateFiles names;
};

bool has(const std::string& text, const std::string& words) { return text.find(words) != std::string::npos; }

}  // namespace

TEST_CASE("certificate: who has one of our CA is in, and nothing is to be read on the wire") {
  const Authority ca("the cluster");
  House house(shown_by(ca.issue("house"), ca.certificate()));
  Relay wire(house.listener->address());
  Guest guest(house, wire.address(), shown_by(ca.issue("guest"), ca.certificate()));
  house.run_until([&] { return !house.heard.empty() && !guest.told.empty(); });
  CHECK(house.heard == std::vector<std::string>{"good evening"});
  CHECK(guest.told == kSecret);
  guest.connection.reset();
  house.guests.clear();
  const Bytes& said = wire.said();
  for (const std::string words : {"evening", "guest"}) {  // nor who they are
    const ByteView bytes = as_bytes_of(std::string_view(words));
    CHECK(std::search(said.begin(), said.end(), bytes.begin(), bytes.end()) == said.end());
  }
}

TEST_CASE("certificate: one that is not good is refused on either side, and both know why") {
  const Authority ca("the cluster"), others("others");
  const std::string trusted = ca.certificate();
  const Shown good = shown_by(ca.issue("good"), trusted);
  const auto as_guest = [&](const Paper& paper) { return meet(good, shown_by(paper, trusted)); };
  const auto as_house = [&](const Paper& paper) { return meet(shown_by(paper, trusted), good); };
  const std::string not_taken = "it does not take our certificate";

  Meeting met = as_guest(others.issue("stranger"));
  CHECK(met.house == "its certificate 'CN=stranger' is not signed by a CA of ours");
  CHECK(met.guest == not_taken + ": none of its CAs has signed it");
  met = as_house(others.issue("stranger"));
  CHECK(met.guest == "its certificate 'CN=stranger' is not signed by a CA of ours");
  CHECK(met.house == not_taken + ": none of its CAs has signed it");

  met = as_guest(ca.issue("old", {.from = -7200, .until = -3600}));
  CHECK(has(met.house, "its certificate 'CN=old' expired on 20"));
  CHECK(met.guest == not_taken + ": by its clock, that has expired");
  met = as_house(ca.issue("old", {.from = -7200, .until = -3600}));
  CHECK(has(met.guest, "its certificate 'CN=old' expired on 20"));
  CHECK(met.house == not_taken + ": by its clock, that has expired");

  met = as_guest(ca.issue("early", {.from = 3600, .until = 7200}));
  CHECK(has(met.house, "its certificate 'CN=early' is for 20"));
  CHECK(has(met.guest, not_taken));

  met = as_guest(ca.issue("server", {.usage = "serverAuth"}));
  CHECK(has(met.house, "its certificate 'CN=server' is not for this side of TLS"));
  CHECK(has(met.guest, not_taken));
  met = as_house(ca.issue("client", {.usage = "clientAuth"}));
  CHECK(has(met.guest, "its certificate 'CN=client' is not for this side of TLS"));
  CHECK(has(met.house, not_taken));

  // One that another certificate of a member has signed.
  const Authority member("member", &others);
  met = as_guest(member.issue("friend"));
  CHECK(has(met.house, "is not signed by a CA of ours"));

  met = as_guest(ca.issue("purpose-free", {.usage = nullptr}));
  CHECK(met.let_in);
}

TEST_CASE("certificate: a key on the other side is refused, and both know why") {
  const Authority ca("the cluster");
  const Shown paper = shown_by(ca.issue("one"), ca.certificate());
  Meeting met = meet(paper, test::key_of(1));
  CHECK(met.house == "it shows a key, where a certificate is wanted");
  CHECK(met.guest == "it wants a certificate (--tls-cert), and no key");
  met = meet(test::key_of(1), paper);
  CHECK(met.house == "it shows no key");
  CHECK(met.guest == "it wants the run's key (--key), and no certificate");
}

TEST_CASE("certificate: a peer that speaks without one is told so in plain words") {
  const Authority ca("the cluster");
  {
    House house(shown_by(ca.issue("house"), ca.certificate()));
    Guest guest(house, house.listener->address(), nullptr);
    house.run_until([&] { return !guest.told.empty(); });
    CHECK(guest.told == "no");
    CHECK(house.refused == std::vector<std::string>{"it speaks without a certificate"});
    CHECK(house.guests.empty());
  }
  House house(nullptr);
  Guest guest(house, house.listener->address(), shown_by(ca.issue("guest"), ca.certificate()));
  house.run_until([&] { return !guest.denied.empty(); });
  CHECK(guest.denied == "it speaks without a certificate");
}

TEST_CASE("certificate: a chain of three with long RSA keys comes in; much that is none is not listened to") {
  const test::PrivateKey slow = test::rsa_key(4096);
  const Authority root("root", nullptr, slow), middle("middle", &root, slow), ca("cluster", &middle, slow);
  Paper paper = ca.issue("long", {.key = slow});
  paper.certificate += ca.certificate() + middle.certificate();
  CHECK(meet(shown_by(paper, root.certificate()), shown_by(paper, root.certificate())).let_in);
  // Without what is between, the root says nothing about it; the cluster's own CA does, alone.
  const Paper alone = ca.issue("alone");
  CHECK(has(meet(shown_by(paper, root.certificate()), shown_by(alone, root.certificate())).house, "is not signed by a CA of ours"));
  CHECK(meet(shown_by(alone, ca.certificate()), shown_by(alone, ca.certificate())).let_in);

  House house(shown_by(alone, ca.certificate()));
  Bytes endless(20'000, std::byte{0});
  const Bytes head = {std::byte{22}, std::byte{3}, std::byte{1}, std::byte{0x40}, std::byte{0},
                      std::byte{1},  std::byte{0}, std::byte{0x7f}, std::byte{0xfc}};
  std::copy(head.begin(), head.end(), endless.begin());
  const Stranger stranger(house, endless);
  house.run_until([&] { return !house.refused.empty(); });
  CHECK(has(house.refused.front(), "certificate"));
  CHECK(stranger.answer().find(kSecret) == std::string::npos);
}

TEST_CASE("certificate: a recorded session, played again, opens nothing") {
  const Authority ca("the cluster");
  const Shown paper = shown_by(ca.issue("one"), ca.certificate());
  House house(paper);
  Bytes recorded;
  {
    Relay wire(house.listener->address());
    Guest guest(house, wire.address(), paper);
    house.run_until([&] { return !house.heard.empty() && !guest.told.empty(); });
    guest.connection.reset();
    house.guests.clear();
    recorded = wire.said();
  }
  house.heard.clear();
  const Stranger again(house, recorded);
  house.run_until([&] { return !house.refused.empty(); });
  CHECK(has(house.refused.front(), "it does not show the certificate"));
  CHECK(house.guests.empty());
  CHECK(house.heard.empty());
  CHECK(again.answer().find(kSecret) == std::string::npos);
}

TEST_CASE("certificate: hundreds who have none do not keep out one who has it") {
  const Authority ca("the cluster");
  const Shown paper = shown_by(ca.issue("one"), ca.certificate());
  House house(paper);
  std::vector<std::unique_ptr<Stranger>> crowd;
  for (int i = 0; i < 100; ++i) {
    crowd.push_back(std::make_unique<Stranger>(house, Bytes{}));
    crowd.push_back(std::make_unique<Stranger>(house, Bytes(1000, static_cast<std::byte>(i))));
  }
  const std::int64_t begin = monotonic_ns();
  Guest guest(house, house.listener->address(), paper);
  house.run_until([&] { return !house.heard.empty() && !guest.told.empty(); });
  CHECK(seconds_between(begin, monotonic_ns()) < 1.0);
  guest.connection.reset();
}

TEST_CASE("certificate: files that do not do are refused before anything starts, with what to do") {
  const Authority ca("the cluster"), others("others");
  const Paper good = ca.issue("node");
  const std::string trusted = ca.certificate();
  {
    const Files files(good, trusted);
    CHECK(refused(files.names).first == Exit::ok);
    ::chmod(files.names.key.c_str(), 0640);
    CHECK(refused(files.names).first == Exit::denied);
    CHECK(has(refused(files.names).second, "others may read this key (mode 0640): chmod 600 "));
    ::chmod(files.names.key.c_str(), 0600);
    ::chmod(files.names.ca.c_str(), 0666);
    CHECK(refused(files.names).first == Exit::denied);
    CHECK(has(refused(files.names).second, "ca.pem: others may write this file"));
    ::chmod(files.names.ca.c_str(), 0644);
    if (::chown(files.names.ca.c_str(), 12345, 0) == 0) {  // as root
      CHECK(refused(files.names).first == Exit::denied);
      CHECK(has(refused(files.names).second, "ca.pem: this file belongs to another user (uid 12345)"));
    }
  }
  for (int missing = 0; missing < 3; ++missing) {
    const Files files(good, trusted);
    const std::string& name = missing == 0 ? files.names.certificate : missing == 1 ? files.names.key : files.names.ca;
    fs::remove(name);
    const auto [code, words] = refused(files.names);
    CHECK(code == Exit::no_input);
    CHECK(has(words, name));
  }
  const auto with = [&](const Paper& paper, const std::string& ca_text, bool dials = true) {
    const Files files(paper, ca_text);
    return refused(files.names, dials);
  };
  const auto is = [](const std::pair<Exit, std::string>& got, Exit code, const std::string& words) {
    INFO(got.second);
    CHECK(got.first == code);
    CHECK(has(got.second, words));
  };
  is(with({"no PEM", good.key}, trusted), Exit::data, "node.pem: no certificate in PEM");
  is(with({good.certificate + "-----BEGIN CERTIFICATE-----\nMIIB\n", good.key}, trusted), Exit::data,
     "node.pem: what follows certificate 1 does not parse");
  is(with({good.certificate, "no PEM"}, trusted), Exit::data, "node.key: no private key in PEM");
  is(with({good.certificate, test::pem_of(test::elliptic_key(), "words")}, trusted), Exit::data,
     "node.key: this key has a passphrase");
  is(with(good, "no PEM"), Exit::data, "ca.pem: no certificate in PEM");
  is(with(good, good.certificate), Exit::data, "ca.pem: certificate 'CN=node' is none of a CA");
  is(with({good.certificate, ca.issue("other").key}, trusted), Exit::denied,
     "node.key: this is not the key of the certificate in ");
  is(with(good, others.certificate()), Exit::denied, "node.pem: certificate 'CN=node' is not signed by a CA of ours");
  is(with(ca.issue("node", {.from = -7200, .until = -3600}), trusted), Exit::denied, "node.pem: certificate 'CN=node' expired on 20");
  is(with(ca.issue("node", {.usage = "clientAuth"}), trusted), Exit::denied, "is not for this side of TLS");
  is(with(ca.issue("node", {.usage = "serverAuth"}), trusted), Exit::denied, "is not for this side of TLS");
  is(with(ca.issue("coordinator", {.usage = "serverAuth"}), trusted, false), Exit::ok, "");
  is(with(ca.issue("node", {.key = test::rsa_key(1024)}), trusted), Exit::data, "node.pem: certificate 'CN=node' cannot be used");
}
