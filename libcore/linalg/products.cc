// SPDX-License-Identifier: MIT
#include "linalg/products.h"

#include <algorithm>
#include <functional>

namespace dl::linalg {

namespace {

constexpr double kWorthATeam = 1 << 18;  // multiply-adds; below, waking threads costs more

// Part `member` of `members` of [0, count), cut at multiples of `grain`.
Range part(std::uint32_t count, std::uint32_t grain, unsigned member, unsigned members) {
  const std::uint64_t grains = (count + grain - 1) / grain;
  const auto border = [&](unsigned m) {
    return static_cast<std::uint32_t>(std::min<std::uint64_t>(count, grains * m / members * grain));
  };
  return {border(member), border(member + 1)};
}

// Of a panel of so many columns: lanes from the `live`th on become zero.
void clear_lanes(float* panel, std::uint32_t columns, std::uint32_t live) {
  for (std::uint32_t c = 0; live < kPanel && c < columns; ++c) {
    std::fill(panel + c * kPanel + live, panel + (c + 1) * kPanel, 0.0F);
  }
}

}  // namespace

Products::Products(const Arithmetic& arithmetic, Workers& workers)
    : arithmetic_(arithmetic), workers_(workers), scratch_(workers.size()) {
  reserve(kPanel);
}

void Products::reserve(std::uint32_t rows) {
  for (Buffer& buffer : scratch_) buffer.reserve(scratch_floats(rows));
}

// Calls work(columns, panels, member) so that the parts tile columns x panels.
template <class Work>
void Products::divide(std::uint32_t columns, std::uint32_t panels, double multiplications,
                      const Work& work) {
  const unsigned members = workers_.size();
  if (members == 1 || arithmetic_.fixed_shapes() || multiplications < kWorthATeam) {
    work(Range{0, columns}, Range{0, panels}, 0U);
    return;
  }
  constexpr std::uint32_t kGrain = 4;
  const bool by_columns = columns >= 16 * members || panels < members;
  const auto share = [&](unsigned member) {
    const Range column_part =
        by_columns ? part(columns, kGrain, member, members) : Range{0, columns};
    const Range panel_part = by_columns ? Range{0, panels} : part(panels, 1, member, members);
    if (column_part.begin < column_part.end && panel_part.begin < panel_part.end) {
      work(column_part, panel_part, member);
    }
  };
  workers_.run(std::ref(share));  // a reference fits into std::function without an allocation
}

void Products::forward(const ForwardArgs& args) {
  divide(args.outputs, panels_of(args.rows), 1.0 * args.rows * args.inputs * args.outputs,
         [&](Range outputs, Range panels, unsigned member) {
           arithmetic_.kernels().forward(args, outputs, panels, scratch(member));
         });
}

void Products::backward(const BackwardArgs& args) {
  divide(args.inputs, panels_of(args.rows), 1.0 * args.rows * args.inputs * args.outputs,
         [&](Range inputs, Range panels, unsigned member) {
           arithmetic_.kernels().backward(args, inputs, panels, scratch(member));
         });
}

void Products::derivative(Map map, float* d, const float* y, std::size_t floats) {
  constexpr std::size_t kAtOnce = std::size_t{1} << 20;
  for (std::size_t at = 0; at < floats; at += kAtOnce) {
    arithmetic_.kernels().derivative(map, d + at, y + at,
                                     static_cast<std::uint32_t>(std::min(kAtOnce, floats - at)));
  }
}

void Products::finish_forward(const ForwardArgs& args) {
  const std::uint32_t panels = panels_of(args.rows), floats = args.outputs * kPanel;
  const unsigned members = 1.0 * floats * panels < kWorthATeam / 4 ? 1 : workers_.size();
  const auto share = [&](unsigned member) {
    const Range mine = part(panels, 1, member, members);
    for (std::uint32_t p = mine.begin; p < mine.end; ++p) {
      float* const y = args.y + std::size_t{p} * floats;
      float* const before = args.map == Map::gelu ? args.before + std::size_t{p} * floats : nullptr;
      const std::uint32_t live = std::min(kPanel, args.rows - p * kPanel);
      for (std::uint32_t o = 0; o < args.outputs; ++o) {
        for (std::uint32_t lane = 0; lane < kPanel; ++lane) y[o * kPanel + lane] += args.bias[o];
      }
      arithmetic_.kernels().map(args.map, y, before, floats);
      clear_lanes(y, args.outputs, live);
      if (before != nullptr) clear_lanes(before, args.outputs, live);
    }
  };
  if (members == 1) {
    share(0);
  } else {
    workers_.run(std::ref(share));
  }
}

void Products::cut_strips(const WeightGradientArgs& args) {
  strips_.clear();
  std::uint32_t segments = 0;
  for (std::uint32_t g = 0; g < args.group_count; ++g) segments += args.groups[g];
  for (std::uint32_t i = 0; i < segments; ++i) {
    std::uint32_t row = args.offsets[i];
    const std::uint32_t end = args.ends != nullptr ? args.ends[i] : args.offsets[i + 1];
    do {
      const std::uint32_t count = std::min(end - row, kPanel - row % kPanel);
      const std::size_t dy = std::size_t{row / kPanel} * args.outputs * kPanel + row % kPanel;
      strips_.push_back({std::size_t{row} * kPanel, dy, count, row + count == end});
      row += count;
    } while (row < end);
  }
}

void Products::gradient(WeightGradientArgs args, Range outputs, bool with_bias) {
  reserve(args.rows);
  cut_strips(args);
  args.strips = strips_.data();
  const Kernels& kernels = arithmetic_.kernels();
  const std::uint32_t count = outputs.end - outputs.begin;
  const unsigned members = workers_.size();
  const bool alone = members == 1 || arithmetic_.fixed_shapes() ||
                     1.0 * args.rows * args.inputs * count < kWorthATeam;
  const auto share = [&](unsigned member) {
    const unsigned parts = alone ? 1 : members;
    const bool by_outputs = count >= 16 * parts;
    const Range whole = {0, count};
    Range mine = by_outputs ? part(count, 4, member, parts) : whole;
    mine = {outputs.begin + mine.begin, outputs.begin + mine.end};
    const Range inputs =
        by_outputs ? Range{0, args.inputs} : part(args.inputs, kPanel, member, parts);
    if (mine.begin < mine.end && inputs.begin < inputs.end) {
      kernels.weight_gradient(args, mine, inputs, scratch(member));
    }
    if (with_bias) {
      const Range biases = part(args.outputs, 16, member, parts);
      if (biases.begin < biases.end) kernels.bias_gradient(args, biases, scratch(member));
    }
  };
  if (alone) {
    share(0);
  } else {
    workers_.run(std::ref(share));
  }
}

void Products::pack(const float* from, std::uint32_t rows, std::uint32_t width, float* to) {
  const std::uint32_t panels = panels_of(rows);
  const auto share = [&](unsigned member) {
    const Range mine = part(panels, 1, member, workers_.size());
    arithmetic_.kernels().pack(from, rows, width, mine, to);
  };
  if (1.0 * rows * width < kWorthATeam / 4) {
    arithmetic_.kernels().pack(from, rows, width, {0, panels}, to);
  } else {
    workers_.run(std::ref(share));
  }
}

void Products::unpack(const float* from, std::uint32_t rows, std::uint32_t width, float* to) {
  arithmetic_.kernels().unpack(from, rows, width, {0, panels_of(rows)}, to);
}

}  // namespace dl::linalg
