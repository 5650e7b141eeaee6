// SPDX-License-Identifier: MIT
#include "support/disk_trace.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstring>
#include <fstream>
#include <sstream>

#include "support/scratch.h"

namespace dl::test {

namespace fs = std::filesystem;

namespace {

constexpr std::uint64_t kTraced = std::uint64_t{1} << 32;  // numbers of files that the trace saw opened

std::string read_all(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  std::ostringstream text;
  text << in.rdbuf();
  return text.str();
}

class Tracer {
 public:
  explicit Tracer(const fs::path& directory) : directory_(fs::canonical(directory)) {}

  bool run(const std::function<void()>& work) {
    const pid_t child = ::fork();
    if (child == 0) {
      if (::ptrace(PTRACE_TRACEME, 0, nullptr, nullptr) != 0) ::_exit(2);
      ::raise(SIGSTOP);
      work();
      ::_exit(0);
    }
    int status = 0;
    ::waitpid(child, &status, 0);
    if (!WIFSTOPPED(status)) return false;
    const long options = PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACECLONE | PTRACE_O_EXITKILL;
    if (::ptrace(PTRACE_SETOPTIONS, child, nullptr, options) != 0) return false;
    ::ptrace(PTRACE_SYSCALL, child, nullptr, nullptr);
    for (;;) {
      const pid_t at = ::waitpid(-1, &status, __WALL);
      if (at < 0) return false;
      if (WIFEXITED(status) || WIFSIGNALED(status)) {
        if (at == child) return WIFEXITED(status) && WEXITSTATUS(status) == 0;
        continue;
      }
      int signal = 0;
      if (WSTOPSIG(status) == (SIGTRAP | 0x80)) {
        look(at);
      } else if (WSTOPSIG(status) != SIGTRAP && WSTOPSIG(status) != SIGSTOP) {
        signal = WSTOPSIG(status);
      }
      ::ptrace(PTRACE_SYSCALL, at, nullptr, signal);
    }
  }
  std::vector<DiskCall> calls;

 private:
  struct Entry {
    std::uint64_t number = 0;
    std::uint64_t args[6]{};
    std::string from, to;  // texts are read on the way in
  };

  // Each call stops on its way in and out; only what succeeded counts.
  void look(pid_t at) {
    __ptrace_syscall_info info{};
    if (::ptrace(PTRACE_GET_SYSCALL_INFO, at, sizeof(info), &info) <= 0) return;
    if (info.op == PTRACE_SYSCALL_INFO_ENTRY) {
      Entry& entry = entries_[at];
      entry = {};
      entry.number = info.entry.nr;
      std::memcpy(entry.args, info.entry.args, sizeof(entry.args));
      enter(at, entry);
    } else if (info.op == PTRACE_SYSCALL_INFO_EXIT && info.exit.is_error == 0) {
      leave(entries_[at], info.exit.rval);
    }
  }

  void enter(pid_t at, Entry& e) {
    switch (e.number) {
      case SYS_openat: case SYS_unlinkat: case SYS_mkdirat: e.from = text(at, e.args[1]); break;
      case SYS_open: case SYS_unlink: case SYS_mkdir: case SYS_rmdir: e.from = text(at, e.args[0]); break;
      case SYS_rename: case SYS_symlink: e.from = text(at, e.args[0]); e.to = text(at, e.args[1]); break;
      case SYS_symlinkat: e.from = text(at, e.args[0]); e.to = text(at, e.args[2]); break;
      case SYS_renameat: case SYS_renameat2: e.from = text(at, e.args[1]); e.to = text(at, e.args[3]); break;
      case SYS_write: case SYS_pwrite64: e.from = bytes(at, e.args[1], e.args[2]); break;
      default: break;
    }
  }

  void leave(const Entry& e, long result) {
    const int fd = static_cast<int>(e.args[0]);
    const auto open = open_.find(fd);
    const bool known = open != open_.end();
    using Kind = DiskCall::Kind;
    switch (e.number) {
      case SYS_open: opened(e.from, e.args[1], static_cast<int>(result)); break;
      case SYS_openat: opened(e.from, e.args[2], static_cast<int>(result)); break;
      case SYS_close: open_.erase(fd); break;
      case SYS_write:
        if (!known) break;
        add({Kind::write, open->second.path, "", open->second.file, open->second.append ? UINT64_MAX : open->second.at,
             e.from.substr(0, static_cast<std::size_t>(result))});
        open->second.at += static_cast<std::uint64_t>(result);
        break;
      case SYS_pwrite64:
        if (known) add({Kind::write, open->second.path, "", open->second.file, e.args[3],
                        e.from.substr(0, static_cast<std::size_t>(result))});
        break;
      case SYS_ftruncate:
        if (known) add({Kind::truncate, open->second.path, "", open->second.file, e.args[1], ""});
        break;
      case SYS_fsync: case SYS_fdatasync:
        if (known) add({open->second.directory ? Kind::sync_directory : Kind::sync_file, open->second.path, "",
                        open->second.file, 0, ""});
        break;
      case SYS_rename: case SYS_renameat: case SYS_renameat2: named(Kind::rename, e.from, e.to); break;
      case SYS_symlink: case SYS_symlinkat:
        if (const auto path = inside(e.to)) add({Kind::link, *path, e.from, 0, 0, ""});
        break;
      case SYS_unlink: case SYS_unlinkat: case SYS_rmdir: named(Kind::remove, e.from, ""); break;
      default: break;
    }
  }

  void named(DiskCall::Kind kind, const std::string& from, const std::string& to) {
    const auto path = inside(from);
    if (path) add({kind, *path, to.empty() ? "" : inside(to).value_or(""), 0, 0, ""});
  }

  void opened(const std::string& name, std::uint64_t flags, int fd) {
    const auto path = inside(name);
    if (!path) return;
    const bool directory = (flags & O_DIRECTORY) != 0;
    if (!directory && (flags & O_ACCMODE) == O_RDONLY) return;
    const std::uint64_t file = kTraced + ++opens_;
    open_[fd] = {*path, file, directory, (flags & O_APPEND) != 0, 0};
    // Another open of the same name is the same file; CrashedDisk knows.
    if (!directory) add({DiskCall::Kind::create, *path, (flags & O_TRUNC) != 0 ? "truncated" : "", file, 0, ""});
  }

  std::optional<std::string> inside(const std::string& name) const {
    const fs::path path = fs::weakly_canonical(fs::path(name).parent_path()) / fs::path(name).filename();
    if (path == directory_ || fs::path(name) == directory_) return ".";
    const fs::path relative = path.lexically_relative(directory_);
    if (relative.empty() || *relative.begin() == "..") return std::nullopt;
    return relative.string();
  }

  static std::string bytes(pid_t at, std::uint64_t address, std::uint64_t size) {
    std::string out(size, '\0');
    iovec here{out.data(), size}, there{reinterpret_cast<void*>(address), size};
    const ssize_t n = ::process_vm_readv(at, &here, 1, &there, 1, 0);
    out.resize(n < 0 ? 0 : static_cast<std::size_t>(n));
    return out;
  }
  static std::string text(pid_t at, std::uint64_t address) {
    std::string out;
    for (;;) {
      const std::string next = bytes(at, address + out.size(), 1);
      if (next.empty() || next[0] == '\0') return out;
      out += next;
    }
  }

  void add(DiskCall call) { calls.push_back(std::move(call)); }

  struct Open {
    std::string path;
    std::uint64_t file;
    bool directory, append;
    std::uint64_t at;
  };
  fs::path directory_;
  std::map<pid_t, Entry> entries_;
  std::map<int, Open> open_;
  std::uint64_t opens_ = 0;
};

}  // namespace

std::optional<std::vector<DiskCall>> trace_disk(const fs::path& directory, const std::function<void()>& work) {
  Tracer tracer(directory);
  if (!tracer.run(work)) return std::nullopt;
  return std::move(tracer.calls);
}

CrashedDisk::CrashedDisk(const fs::path& directory) {
  for (const auto& entry : fs::recursive_directory_iterator(directory)) {
    if (entry.is_directory() && !entry.is_symlink()) continue;
    File file;
    file.link = entry.is_symlink();
    if (file.link) {
      file.points_at = fs::read_symlink(entry.path()).string();
    } else {
      file.now = file.synced = read_all(entry.path());
    }
    now_[entry.path().lexically_relative(directory).string()] = ++before_;
    files_[before_] = std::move(file);
  }
  synced_ = now_;
}

void CrashedDisk::apply(const DiskCall& call) {
  using Kind = DiskCall::Kind;
  switch (call.kind) {
    case Kind::create: {
      const auto found = now_.find(call.path);
      if (found == now_.end()) {
        now_[call.path] = call.file;
        files_[call.file] = {};
        return;
      }
      // An open of what is there: the two numbers mean one file.
      files_[call.file].points_at = std::to_string(found->second);
      if (!call.other.empty()) files_[found->second].now.clear();
      return;
    }
    case Kind::write:
    case Kind::truncate:
    case Kind::sync_file: {
      std::uint64_t number = call.file;
      while (!files_[number].link && !files_[number].points_at.empty()) number = std::stoull(files_[number].points_at);
      File& file = files_[number];
      if (call.kind == Kind::sync_file) {
        file.synced = file.now;
      } else if (call.kind == Kind::truncate) {
        file.now.resize(call.offset);
      } else {
        const std::size_t at = call.offset == UINT64_MAX ? file.now.size() : call.offset;
        if (file.now.size() < at + call.bytes.size()) file.now.resize(at + call.bytes.size());
        file.now.replace(at, call.bytes.size(), call.bytes);
      }
      return;
    }
    case Kind::sync_directory: {
      const auto in = [&](const std::string& name) {
        const std::string parent = fs::path(name).parent_path().string();
        return parent == (call.path == "." ? "" : call.path);
      };
      std::erase_if(synced_, [&](const auto& entry) { return in(entry.first); });
      for (const auto& [name, file] : now_) {
        if (in(name)) synced_[name] = file;
      }
      return;
    }
    case Kind::rename: {
      const auto found = now_.find(call.path);
      if (found == now_.end()) return;
      const std::uint64_t file = found->second;
      now_.erase(found);
      if (!call.other.empty()) now_[call.other] = file;
      return;
    }
    case Kind::remove: now_.erase(call.path); return;
    case Kind::link: {
      File file;
      file.link = true;
      file.points_at = call.other;
      now_[call.path] = ++before_;
      files_[before_] = std::move(file);
      return;
    }
  }
}

void CrashedDisk::restore(const fs::path& empty_directory, Fate fate) const {
  const bool names_synced = fate == Fate::nothing_unsynced || fate == Fate::contents_first;
  for (const auto& [name, number] : names_synced ? synced_ : now_) {
    const File& file = files_.at(number);
    const fs::path path = empty_directory / name;
    fs::create_directories(path.parent_path());
    if (file.link) {
      fs::create_symlink(file.points_at, path);
      continue;
    }
    std::string bytes = file.now;
    if (fate == Fate::nothing_unsynced || fate == Fate::names_first) bytes = file.synced;
    if (fate == Fate::torn && file.now.size() > file.synced.size()) {
      bytes = file.now.substr(0, file.synced.size() + (file.now.size() - file.synced.size()) / 2);
    }
    std::ofstream(path, std::ios::binary) << bytes;
  }
}

const char* name_of(CrashedDisk::Fate fate) {
  switch (fate) {
    case CrashedDisk::Fate::killed: return "killed";
    case CrashedDisk::Fate::nothing_unsynced: return "nothing unsynced";
    case CrashedDisk::Fate::names_first: return "names first";
    case CrashedDisk::Fate::contents_first: return "contents first";
    case CrashedDisk::Fate::torn: return "torn";
  }
  return "?";
}

std::size_t for_each_crash(const fs::path& before, const std::vector<DiskCall>& calls,
                           const std::function<void(const fs::path&, std::size_t, CrashedDisk::Fate)>& check) {
  CrashedDisk disk(before);
  std::size_t count = 0;
  for (std::size_t made = 0;; ++made) {
    for (const CrashedDisk::Fate fate : CrashedDisk::kFates) {
      const Scratch found;
      disk.restore(found.path(), fate);
      check(found.path(), made, fate);
      ++count;
    }
    if (made == calls.size()) return count;
    disk.apply(calls[made]);
  }
}

}  // namespace dl::test
