// SPDX-License-Identifier: MIT
#include <doctest/doctest.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <set>

#include "base/error.h"
#include "checkpoint/checkpoint.h"
#include "sample.h"
#include "support/scratch.h"

using namespace dl;
using namespace dl::checkpoint;

namespace {

Checkpoint at_step(std::uint64_t step) {
  Checkpoint c = test::sample_checkpoint();
  c.cursors["step"] = step;
  return c;
}

std::set<std::string> names_in(const fs::path& directory) {
  std::set<std::string> names;
  for (const auto& entry : fs::directory_iterator(directory)) {
    names.insert(entry.path().filename().string());
  }
  return names;
}

void damage(const fs::path& path) { fs::resize_file(path, fs::file_size(path) - 1); }

enum class Fate { finished, killed, not_traced };

// Runs `work` in a child that is killed before it enters its system call number `last`.
template <typename Work>
Fate killed_before_call(int last, const Work& work) {
  const pid_t child = ::fork();
  if (child == 0) {
    if (::ptrace(PTRACE_TRACEME, 0, nullptr, nullptr) != 0) ::_exit(2);
    ::raise(SIGSTOP);
    work();
    ::_exit(0);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  for (int stops = 0; WIFSTOPPED(status); ++stops) {
    if (stops == 2 * last) {  // each call stops twice: on its way in and out
      ::kill(child, SIGKILL);
      ::waitpid(child, &status, 0);
      return Fate::killed;
    }
    if (::ptrace(PTRACE_SYSCALL, child, nullptr, nullptr) != 0) break;
    ::waitpid(child, &status, 0);
  }
  return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? Fate::finished : Fate::not_traced;
}

}  // namespace

TEST_CASE("store: the newest few stay, and latest names the newest") {
  const test::Scratch dir;
  Store store(dir.path(), 2);
  CHECK(store.commit(5, at_step(5)).filename() == "step-000000000005.safetensors");
  store.commit(10, at_step(10));
  store.commit(15, at_step(15));
  store.commit_best(at_step(10));
  CHECK(names_in(dir.path()) ==
        std::set<std::string>{"step-000000000010.safetensors", "step-000000000015.safetensors",
                              "best.safetensors", "latest"});
  CHECK(fs::read_symlink(dir / "latest") == "step-000000000015.safetensors");
  CHECK(read_checkpoint(dir / "latest").cursors.at("step") == 15);
  CHECK(read_checkpoint(dir / "best.safetensors").cursors.at("step") == 10);
}

TEST_CASE("store: a damaged checkpoint is passed over and named") {
  const test::Scratch dir;
  Store store(dir.path(), 3);
  std::vector<Error> passed_over;
  CHECK_FALSE(store.newest(passed_over));
  for (const std::uint64_t step : {1, 2, 3}) store.commit(step, at_step(step));
  damage(dir / "step-000000000003.safetensors");
  const auto found = store.newest(passed_over);
  REQUIRE(found);
  CHECK(found->checkpoint == at_step(2));
  CHECK(found->path.filename() == "step-000000000002.safetensors");
  REQUIRE(passed_over.size() == 1);
  CHECK(std::string(passed_over[0].what()).find("step-000000000003.safetensors") != std::string::npos);
  damage(dir / "step-000000000002.safetensors");
  damage(dir / "step-000000000001.safetensors");
  passed_over.clear();
  CHECK_FALSE(store.newest(passed_over));
  CHECK(passed_over.size() == 3);
}

TEST_CASE("store: a damaged later step does not push out what is committed after it") {
  const test::Scratch dir;
  Store store(dir.path(), 1);
  store.commit(9, at_step(9));
  damage(dir / "step-000000000009.safetensors");
  store.commit(4, at_step(4));
  store.commit(5, at_step(5));
  std::vector<Error> passed_over;
  CHECK(store.newest(passed_over)->checkpoint == at_step(5));
  CHECK(fs::read_symlink(dir / "latest") == "step-000000000005.safetensors");
}

TEST_CASE("store: files of others are not touched, leftovers of a dead writer are") {
  const test::Scratch dir;
  const std::set<std::string> others = {"step-1.safetensors", "step-00000000000x.safetensors",
                                        "metrics.jsonl", "address"};
  for (const std::string& name : others) write_file(dir / name, "x");
  write_file(dir / ".step-000000000007.safetensors.123.0.tmp", "half");
  Store store(dir.path(), 1);
  store.commit(1, at_step(1));
  store.commit(2, at_step(2));
  std::set<std::string> wanted = others;
  wanted.insert({"step-000000000002.safetensors", "latest"});
  CHECK(names_in(dir.path()) == wanted);
}

TEST_CASE("store: a missing directory is 73, and nothing to find") {
  const test::Scratch dir;
  Store store(dir / "none", 1);
  std::vector<Error> passed_over;
  CHECK_FALSE(store.newest(passed_over));
  try {
    store.commit(1, at_step(1));
    FAIL("committed");
  } catch (const Error& e) {
    CHECK(e.code() == Exit::cannot_create);
  }
}

TEST_CASE("store: killed before any system call of a commit, the old or the new one is there") {
  int killed = 0, old_ones = 0, new_ones = 0;
  for (int call = 1;; ++call) {
    const test::Scratch dir;
    Store store(dir.path(), 1);
    store.commit(1, at_step(1));
    const Fate fate = killed_before_call(call, [&] { store.commit(2, at_step(2)); });
    if (fate == Fate::not_traced) {
      MESSAGE("ptrace is not allowed here: crash points not tried");
      return;
    }
    if (fate == Fate::killed) ++killed;
    std::vector<Error> passed_over;
    const auto found = store.newest(passed_over);
    REQUIRE(found);
    CHECK(passed_over.empty());
    const std::uint64_t step = found->checkpoint.cursors.at("step");
    CHECK(found->checkpoint == at_step(step));
    step == 1 ? ++old_ones : ++new_ones;
    CHECK(read_checkpoint(dir / "latest").cursors.at("step") <= step);
    store.commit(3, at_step(3));  // and the next writer goes on
    CHECK(names_in(dir.path()) ==
          std::set<std::string>{"step-000000000003.safetensors", "latest"});
    if (fate == Fate::finished) break;
  }
  CHECK(killed > 20);
  CHECK(old_ones > 0);
  CHECK(new_ones > 1);
}
