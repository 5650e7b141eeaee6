// SPDX-License-Identifier: MIT
#include <doctest/doctest.h>

#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <functional>
#include <new>
#include <vector>

#include "nn/model.h"

namespace {

std::atomic<std::uint64_t> allocations{0};

}  // namespace

void* operator new(std::size_t size) {
  ++allocations;
  if (void* memory = std::malloc(size)) return memory;
  throw std::bad_alloc();
}
void operator delete(void* memory) noexcept {
  std::free(memory);
}
void operator delete(void* memory, std::size_t) noexcept {
  std::free(memory);
}

TEST_CASE("model: a step like the ones before allocates nothing") {
  using namespace dl::nn;
  const ModelSpec spec{{300, 10, Loss::softmax_cross_entropy},
                       {{300, 200, Activation::gelu, Initialisation::automatic},
                        {200, 10, Activation::none, Initialisation::automatic}}};
  for (const unsigned threads : {1U, 2U}) {
    dl::Workers workers(threads);
    Model model(spec, dl::linalg::Arithmetic::defined(), workers);
    model.initialise(1);
    Batch batch;
    batch.rows = 80;
    batch.features.assign(80 * 300, 0.25F);
    batch.classes.assign(80, 3);
    batch.offsets = {0, 30, 30, 80};
    std::vector<float> partial(spec.parameter_count());
    float* const pointer = partial.data();
    std::vector<double> losses(3);
    const std::vector<std::uint32_t> groups = {3};
    const std::function<void(std::size_t)> ready = [](std::size_t) {};
    const auto step = [&] { model.backprop(batch, groups, {&pointer, 1}, losses, ready); };
    step();
    const std::uint64_t before = allocations;
    for (int i = 0; i < 3; ++i) step();
    CHECK(allocations == before);
  }
}
