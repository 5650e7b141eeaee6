// SPDX-License-Identifier: MIT
// Runs a fuzz target without a fuzzer: over every file of its corpus, then over mutations of them that are
// the same every time. What a sanitizer build or the target itself finds ends the process.
// usage: TARGET CORPUS
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <exception>
#include <filesystem>
#include <vector>

#include "base/file.h"
#include "target.h"

namespace {

constexpr std::uint64_t kMutations = 20000;
constexpr std::chrono::seconds kLongest{1};

// A small sequence of its own: mutations are the same on every machine.
class Dice {
 public:
  std::size_t below(std::size_t end) {
    state_ = state_ * 6364136223846793005U + 1442695040888963407U;
    return end == 0 ? 0 : (state_ >> 33) % end;
  }

 private:
  std::uint64_t state_ = 1;
};

std::string mutate(const std::string& seed, const std::string& other, Dice& dice) {
  std::string bytes = seed;
  for (std::size_t times = 1 + dice.below(4); times > 0; --times) {
    const std::size_t at = dice.below(bytes.size() + 1);
    const std::size_t length = dice.below(std::min<std::size_t>(bytes.size() - at, 64) + 1);
    switch (dice.below(6)) {
      case 0:
        if (at < bytes.size()) bytes[at] = static_cast<char>(bytes[at] ^ 1 << dice.below(8));
        break;
      case 1:
        if (at < bytes.size()) bytes[at] = static_cast<char>("\0\xff\x7f\x80\n\",;: 09-.eE#"[dice.below(18)]);
        break;
      case 2: bytes.erase(at, length); break;
      case 3: bytes.insert(at, bytes.substr(at, length)); break;
      case 4: bytes.resize(at); break;
      default: bytes = bytes.substr(0, at) + other.substr(dice.below(other.size() + 1)); break;
    }
  }
  return bytes;
}

void run(const std::string& bytes) {
  LLVMFuzzerTestOneInput(reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size());
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) return 64;
  std::vector<std::filesystem::path> files;
  for (const auto& entry : std::filesystem::directory_iterator(argv[1])) files.push_back(entry.path());
  std::sort(files.begin(), files.end());
  std::vector<std::string> seeds;
  std::string what;
  try {
    for (const auto& file : files) {
      what = file.string();
      seeds.push_back(dl::read_file(file, 1 << 20));
      run(seeds.back());
    }
    if (seeds.empty()) {
      std::fprintf(stderr, "%s: no seeds\n", argv[1]);
      return 1;
    }
    Dice dice;
    const auto start = std::chrono::steady_clock::now();
    std::uint64_t done = 0;
    for (; done < kMutations && std::chrono::steady_clock::now() - start < kLongest; ++done) {
      what = "mutation " + std::to_string(done);
      const std::string& seed = seeds[dice.below(seeds.size())];
      run(mutate(seed, seeds[dice.below(seeds.size())], dice));
    }
    std::printf("%zu seeds, %llu mutations\n", seeds.size(), static_cast<unsigned long long>(done));
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s: %s\n", what.c_str(), error.what());
    return 1;
  }
  return 0;
}
