// SPDX-License-Identifier: MIT
#include "linalg/arithmetic.h"

#include <utility>

#include "base/error.h"
#include "linalg/kernels.h"
#include "linalg/openblas.h"

namespace dl::linalg {

namespace {

constexpr std::pair<Kernel, std::string_view> kNames[] = {
    {Kernel::automatic, "automatic"},
    {Kernel::scalar, "scalar"},
    {Kernel::avx2, "avx2"},
    {Kernel::avx512, "avx512"},
};

bool has_fma() {
#if defined(__x86_64__)
  return __builtin_cpu_supports("fma") != 0;
#else
  return true;
#endif
}

const Kernels& table_of(Kernel kernel) {
#if defined(__x86_64__)
  if (kernel == Kernel::avx512) return avx512_kernels();
  if (kernel == Kernel::avx2) return avx2_kernels();
  if (has_fma()) return scalar_fma_kernels();
#endif
  (void)kernel;
  return scalar_kernels();
}

std::string_view name_of(Kernel kernel) {
  for (const auto& [value, name] : kNames) {
    if (value == kernel) return name;
  }
  return "";
}

}  // namespace

std::vector<Kernel> available_kernels() {
  std::vector<Kernel> kernels = {Kernel::scalar};
#if defined(__x86_64__)
  if (has_fma() && __builtin_cpu_supports("avx2")) kernels.push_back(Kernel::avx2);
  if (has_fma() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq")) {
    kernels.push_back(Kernel::avx512);
  }
#endif
  return kernels;
}

Arithmetic Arithmetic::defined(Kernel kernel) {
  const std::vector<Kernel> available = available_kernels();
  if (kernel == Kernel::automatic) kernel = available.back();
  for (const Kernel known : available) {
    if (known == kernel) return {table_of(kernel), "defined", false};
  }
  fail(Exit::usage, "this CPU has no {} instructions; --kernel automatic takes what it has",
       name_of(kernel));
}

Arithmetic Arithmetic::openblas() {
  return {openblas_kernels(table_of(available_kernels().back())), "openblas-" + openblas_core(),
          true};
}

std::string_view Arithmetic::kernel_name() const {
  return kernels_->name;
}

Arithmetic choose(std::string_view kernel, std::string_view arithmetic) {
  if (arithmetic != "defined" && arithmetic != "openblas") {
    fail(Exit::usage, "--arithmetic {} is neither defined nor openblas", shown(arithmetic));
  }
  for (const auto& [value, name] : kNames) {
    if (name != kernel) continue;
    const bool openblas = arithmetic == "openblas" || (value == Kernel::automatic && !has_fma());
    return openblas ? Arithmetic::openblas() : Arithmetic::defined(value);
  }
  fail(Exit::usage, "--kernel {} is not one of automatic, scalar, avx2, avx512", shown(kernel));
}

}  // namespace dl::linalg
