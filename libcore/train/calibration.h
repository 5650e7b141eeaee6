// SPDX-License-Identifier: MIT
// What a node declares of its speed before anything was measured in training.
#pragma once

#include "linalg/arithmetic.h"

namespace dl::train {

// Multiply-adds per second of so many threads: the fastest of several short products of the kind that
// training consists of, on one thread, times the threads, as far as there are processors for them. Takes
// about a millisecond; the fastest counts, so a moment's disturbance does not. A processor that is
// rationed or shared does not show here: that is for measurements in training (dl-coord --assign adaptive).
double multiply_adds_per_second(const linalg::Arithmetic& arithmetic, unsigned threads);

}  // namespace dl::train
