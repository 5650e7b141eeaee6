// SPDX-License-Identifier: MIT
#include "coord/children.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include "base/clock.h"

namespace dl::coord {

namespace {

constexpr net::Milliseconds kFirstPause(100), kLongestPause(5000);
constexpr double kQuickSeconds = 10;  // who lived longer was no failure to start
constexpr unsigned kMostQuick = 5;
constexpr std::int64_t kReapNs = 1'000'000'000;  // a killed one that is not gone by then hangs in the system

// In the child, after fork: only calls that are safe there.
[[noreturn]] void become(char* const* arguments, char* const* environment, pid_t parent) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != parent) ::_exit(0);  // it died before we could ask
  ::setpgid(0, 0);
  ::signal(SIGPIPE, SIG_DFL);
  sigset_t none;
  ::sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  const int null = ::open("/dev/null", O_RDONLY);
  if (null >= 0) ::dup2(null, STDIN_FILENO);
  ::dup2(STDERR_FILENO, STDOUT_FILENO);
  // Sockets of the parent must not live on here.
  if (::close_range(3, ~0U, 0) != 0) {
    for (int fd = 3; fd < 4096; ++fd) ::close(fd);
  }
  ::execvpe(arguments[0], arguments, environment);
  ::_exit(127);
}

std::vector<std::string> environment_with(std::vector<std::string> variables) {
  std::vector<std::string> all = std::move(variables);
  const std::size_t own = all.size();
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string_view text = *entry;
    const std::string_view name = text.substr(0, text.find('=') + 1);
    const bool replaced = std::any_of(all.begin(), all.begin() + static_cast<std::ptrdiff_t>(own),
                                      [&](const std::string& v) { return v.starts_with(name); });
    if (!replaced) all.emplace_back(text);
  }
  return all;
}

std::vector<char*> pointers(std::vector<std::string>& words) {
  std::vector<char*> all;
  for (std::string& word : words) all.push_back(word.data());
  all.push_back(nullptr);
  return all;
}

bool lasting(int code) {
  const std::array codes = {Exit::usage, Exit::data,     Exit::no_input,
                            Exit::bug,   Exit::disagree, Exit::denied};
  return std::any_of(codes.begin(), codes.end(),
                     [code](Exit e) { return static_cast<int>(e) == code; });
}

std::string how(int status) {
  if (WIFSIGNALED(status)) return fmt::format("was killed by signal {}", WTERMSIG(status));
  return fmt::format("ended with exit code {}", WEXITSTATUS(status));
}

}  // namespace

struct Children::Child {
  explicit Child(net::Loop& loop) : again(loop) {}
  pid_t pid = -1;  // -1: not running
  std::int64_t started_ns = 0;
  unsigned quick_deaths = 0;
  bool ready = false;
  net::Timer again;
};

Children::Children(net::Loop& loop, std::vector<std::string> command,
                   std::vector<std::string> variables,
                   std::function<void(Exit, const std::string&)> failed)
    : loop_(loop),
      command_(std::move(command)),
      environment_(environment_with(std::move(variables))),
      failed_(std::move(failed)) {
  signals_ = std::make_unique<net::Signals>(loop_, std::initializer_list<int>{SIGCHLD},
                                            [this](int) { reap(); });
}

Children::~Children() {
  for (const auto& child : children_) {
    if (child->pid <= 0) continue;
    ::kill(child->pid, SIGKILL);
  }
  const std::int64_t last = monotonic_ns() + kReapNs;
  for (const auto& child : children_) {
    while (child->pid > 0 && ::waitpid(child->pid, nullptr, WNOHANG) == 0 && monotonic_ns() < last) {
      ::usleep(2000);
    }
  }
}

void Children::start(unsigned count) {
  for (unsigned i = 0; i < count; ++i) {
    children_.push_back(std::make_unique<Child>(loop_));
    launch(*children_.back());
  }
}

void Children::launch(Child& child) {
  const std::vector<char*> arguments = pointers(command_), environment = pointers(environment_);
  const pid_t parent = ::getpid();
  const pid_t pid = ::fork();
  if (pid < 0) fail(Exit::again, "cannot start {}: {}", command_[0], std::strerror(errno));
  if (pid == 0) become(arguments.data(), environment.data(), parent);
  child.pid = pid;
  child.started_ns = monotonic_ns();
  child.ready = false;
}

void Children::ready(pid_t pid) {
  for (const auto& child : children_) {
    if (child->pid == pid) child->ready = true;
  }
}

void Children::kill(pid_t pid) {
  for (const auto& child : children_) {
    if (child->pid == pid && pid > 0) ::kill(pid, SIGKILL);
  }
}

void Children::reap() {
  for (const auto& child : children_) {
    int status = 0;
    if (child->pid > 0 && ::waitpid(child->pid, &status, WNOHANG) == child->pid) {
      ended(*child, status);
    }
  }
  const bool gone = std::all_of(children_.begin(), children_.end(),
                                [](const auto& child) { return child->pid <= 0; });
  if (dismissed_ && gone && all_gone_) std::exchange(all_gone_, nullptr)();
}

void Children::ended(Child& child, int status) {
  const pid_t pid = std::exchange(child.pid, -1);
  if (dismissed_) return;
  const bool shot = child.ready && WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
  const bool quick =
      !shot && seconds_between(child.started_ns, monotonic_ns()) < kQuickSeconds;
  child.quick_deaths = quick ? child.quick_deaths + 1 : 1;
  if (WIFEXITED(status) && lasting(WEXITSTATUS(status))) {
    failed_(static_cast<Exit>(WEXITSTATUS(status)),
            fmt::format("the local node with pid {} {}", pid, how(status)));
    return;
  }
  if (child.quick_deaths > kMostQuick) {
    failed_(Exit::unavailable, fmt::format("{} dies at its start, again and again: the last one {}",
                                           command_[0], how(status)));
    return;
  }
  const net::Milliseconds pause =
      std::min(kLongestPause, kFirstPause * (1U << (child.quick_deaths - 1)));
  child.again.after(pause, [this, &child] {
    try {
      if (!dismissed_) launch(child);
    } catch (const Error& error) {
      failed_(error.code(), error.what());
    }
  });
}

void Children::dismiss(std::function<void()> all_gone) {
  dismissed_ = true;
  all_gone_ = std::move(all_gone);
  loop_.post([this] { reap(); });
}

}  // namespace dl::coord
