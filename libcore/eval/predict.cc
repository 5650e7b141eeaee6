// SPDX-License-Identifier: MIT
#include "eval/predict.h"

#include "eval/score.h"
#include "nn/loss.h"

namespace dl::eval {

std::vector<Prediction> predictions(std::span<const float> outputs, const nn::Ends& ends,
                                    const data::Schema& schema) {
  std::vector<Prediction> all;
  all.reserve(outputs.size() / ends.outputs);
  for (std::size_t at = 0; at + ends.outputs <= outputs.size(); at += ends.outputs) {
    const std::span<const float> row = outputs.subspan(at, ends.outputs);
    Prediction prediction;
    if (ends.loss == nn::Loss::softmax_cross_entropy) {
      std::vector<float> shares(row.begin(), row.end());
      nn::softmax(shares);
      prediction.code = predicted_class(row);
      prediction.probability = shares[prediction.code];
    } else {
      for (std::uint32_t j = 0; j < ends.outputs; ++j) {
        prediction.numbers.push_back(schema.unscale_target(row[j], j));
      }
    }
    all.push_back(prediction);
  }
  return all;
}

}  // namespace dl::eval
