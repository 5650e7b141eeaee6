// SPDX-License-Identifier: MIT
// How far the labels of the shards are from those of the whole training part.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "data/manifest.h"

namespace dl::data {

// Total variation distance of the class distributions that two lists of counts are: half the sum over
// the classes of |share - share|, which is the fraction of samples that would have to change their
// class. 0: alike; 1: no class in common. Nothing where one of them has no samples.
std::optional<double> label_distance(std::span<const std::uint64_t> a,
                                     std::span<const std::uint64_t> b);

std::vector<std::uint64_t> class_totals(const std::vector<ShardEntry>& shards);  // over all

// The label skew: the mean over the shards, empty ones aside, of the distance to the whole. Nothing
// where a number is predicted.
std::optional<double> label_skew(const std::vector<ShardEntry>& shards);

}  // namespace dl::data
