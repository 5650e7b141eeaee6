// SPDX-License-Identifier: MIT
// A small checkpoint with one of everything.
#pragma once

#include "checkpoint/checkpoint.h"

namespace dl::test {

inline checkpoint::Checkpoint sample_checkpoint() {
  checkpoint::Checkpoint c;
  c.metadata = {{"model", "dense 2 relu"}, {"options", {{"lr", 0.5}, {"batch", 4}}}};
  c.tensors = {{"0.weight", {2, 3}}, {"0.bias", {2}}, {"2.weight", {1, 2}}, {"2.bias", {1}}};
  c.slot_names = {"m", "v"};
  c.slots.resize(2);
  for (int i = 0; i < 11; ++i) {
    c.parameters.push_back(0.25F * static_cast<float>(i) - 1.0F);
    c.slots[0].push_back(0.5F * static_cast<float>(i));
    c.slots[1].push_back(static_cast<float>(i * i));
  }
  c.cursors = {{"step", 42}, {"samples", 168}};
  c.figures = {{"best_loss", 0.125}};
  return c;
}

}  // namespace dl::test
