// SPDX-License-Identifier: MIT
// Which loops do the arithmetic: the defined order, by one of three kernels with equal bits, or
// OpenBLAS.
//
// In the defined order every output of a product is one chain of float32 fused multiply-adds in
// index order, and segments' gradients are added in the canonical tree (base/tree.h). So the bits
// do not depend on the kernel, the number of rows, blocking or threads. OpenBLAS's bits depend on
// the CPU's family: all nodes of a run must show the same name().
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace dl::linalg {

struct Kernels;

enum class Kernel { automatic, scalar, avx2, avx512 };

// A small value; copies are equal. Any thread may use one.
class Arithmetic {
 public:
  // The defined order. 64 where this CPU lacks the kernel; automatic takes the widest there is.
  static Arithmetic defined(Kernel kernel = Kernel::automatic);
  // One product of fixed shape per panel of a segment, on one thread.
  static Arithmetic openblas();

  // "defined", or "openblas-" and the core's name: what the nodes of a run must agree on.
  const std::string& name() const { return name_; }
  // "avx512", "avx2", "scalar"; "openblas".
  std::string_view kernel_name() const;
  // Whether each segment must begin a panel of its own, and one thread must do all.
  bool fixed_shapes() const { return fixed_shapes_; }

  const Kernels& kernels() const { return *kernels_; }

 private:
  Arithmetic(const Kernels& kernels, std::string name, bool fixed_shapes)
      : kernels_(&kernels), name_(std::move(name)), fixed_shapes_(fixed_shapes) {}

  const Kernels* kernels_;
  std::string name_;
  bool fixed_shapes_;
};

// The kernels that this CPU has, slowest first; never automatic.
std::vector<Kernel> available_kernels();

// From the texts of --kernel ("automatic", "scalar", "avx2", "avx512") and --arithmetic ("defined",
// "openblas"). A text that is neither, or a kernel that this CPU lacks, is 64. On a CPU without FMA
// "automatic" and "defined" give openblas, which the caller should say: name() tells.
Arithmetic choose(std::string_view kernel, std::string_view arithmetic);

}  // namespace dl::linalg
