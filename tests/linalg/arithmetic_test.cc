// SPDX-License-Identifier: MIT
#include "linalg/arithmetic.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cstdint>
#include <utility>

#include "base/error.h"
#include "linalg/buffer.h"

using dl::linalg::Arithmetic;
using dl::linalg::Kernel;

TEST_CASE("arithmetic: the texts of the command line choose it") {
  CHECK(dl::linalg::choose("scalar", "defined").name() == "defined");
  CHECK(dl::linalg::choose("scalar", "defined").kernel_name() == "scalar");
  CHECK(dl::linalg::choose("automatic", "openblas").name().starts_with("openblas-"));
  CHECK(dl::linalg::choose("automatic", "openblas").kernel_name() == "openblas");
  CHECK(dl::linalg::choose("automatic", "openblas").fixed_shapes());
}

TEST_CASE("arithmetic: automatic takes the widest kernel of this CPU") {
  const auto kernels = dl::linalg::available_kernels();
  CHECK(kernels.front() == Kernel::scalar);
  CHECK(Arithmetic::defined().kernel_name() == Arithmetic::defined(kernels.back()).kernel_name());
}

TEST_CASE("arithmetic: a text that names none, or a kernel that this CPU lacks, is 64") {
  const auto code = [](const char* kernel, const char* arithmetic) {
    try {
      dl::linalg::choose(kernel, arithmetic);
    } catch (const dl::Error& error) {
      return error.code();
    }
    return dl::Exit::ok;
  };
  CHECK(code("sse", "defined") == dl::Exit::usage);
  CHECK(code("", "openblas") == dl::Exit::usage);
  CHECK(code("automatic", "mkl") == dl::Exit::usage);
  const auto kernels = dl::linalg::available_kernels();
  for (const auto& [kernel, name] :
       {std::pair{Kernel::avx2, "avx2"}, std::pair{Kernel::avx512, "avx512"}}) {
    const bool here = std::find(kernels.begin(), kernels.end(), kernel) != kernels.end();
    CHECK(code(name, "defined") == (here ? dl::Exit::ok : dl::Exit::usage));
  }
}

TEST_CASE("buffer: zero at first, at a 64-byte border, and grows") {
  dl::linalg::Buffer buffer(1000003);
  CHECK(reinterpret_cast<std::uintptr_t>(buffer.data()) % 64 == 0);
  CHECK(buffer.data()[1000002] == 0.0F);
  buffer.data()[5] = 1.0F;
  buffer.reserve(10);
  CHECK(buffer.data()[5] == 1.0F);
  buffer.reserve(1000004);
  CHECK(buffer.size() == 1000004);
  CHECK(buffer.data()[5] == 0.0F);
}
