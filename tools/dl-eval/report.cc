// SPDX-License-Identifier: MIT
#include "report.h"

#include <algorithm>
#include <cstdio>

#include "base/json.h"
#include "cli.h"

namespace dl::tool {

namespace {

constexpr std::uint32_t kMostShownClasses = 4096;  // of a confusion matrix

bool classifies(const eval::LoadedModel& model) {
  return model.spec.ends.loss == nn::Loss::softmax_cross_entropy;
}

// A class's name on a line of its own field: without tabs, line ends and other control bytes.
std::string plain(const std::string& name) {
  std::string out;
  for (const char c : name) {
    const auto byte = static_cast<unsigned char>(c);
    out += byte < 0x20 || byte == 0x7f ? fmt::format("\\x{:02x}", byte) : std::string(1, c);
  }
  return out;
}

std::string sizes(const nn::ModelSpec& spec) {
  std::string text = std::to_string(spec.ends.inputs);
  for (const nn::DenseSpec& layer : spec.layers) text += fmt::format("-{}", layer.outputs);
  return text;
}

std::string class_table(const Judgement& judgement, const eval::LoadedModel& model) {
  const std::vector<eval::ClassMetrics> metrics = eval::class_metrics(judgement.confusion);
  std::size_t width = std::string_view("macro average").size();
  for (const std::string& name : model.schema.target().classes) {
    width = std::max(width, plain(name).size());
  }
  const auto line = [&](const std::string& name, const eval::ClassMetrics& m) {
    return fmt::format("{:<{}}  {:>9.4f}  {:>6.4f}  {:>6.4f}  {:>8}\n", name, width, m.precision,
                       m.recall, m.f1, m.rows);
  };
  std::string out = fmt::format("\n{:<{}}  {:>9}  {:>6}  {:>6}  {:>8}\n", "class", width,
                                "precision", "recall", "F1", "rows");
  for (std::uint32_t c = 0; c < metrics.size(); ++c) {
    out += line(plain(model.schema.class_name(c)), metrics[c]);
  }
  return out + line("macro average", eval::macro_average(metrics));
}

std::string number_table(const Judgement& judgement, const eval::LoadedModel& model) {
  std::size_t width = 6;
  for (const data::Target& target : model.schema.targets) width = std::max(width, plain(target.name).size());
  std::string out = fmt::format("\n{:<{}}  {:>12}  {:>12}  {:>9}\n", "target", width, "RMSE", "MAE", "R2");
  for (std::size_t j = 0; j < judgement.numbers.size(); ++j) {
    const eval::Score& one = judgement.numbers[j];
    out += fmt::format("{:<{}}  {:>12.6g}  {:>12.6g}  {:>9.6f}\n", plain(model.schema.targets[j].name), width,
                       one.rmse(1), one.mae(1), one.r2());
  }
  return out;
}

std::string numbers_line(const eval::Prediction& one) {
  std::string line;
  for (const double number : one.numbers) line += fmt::format("{}{:.7g}", line.empty() ? "" : "\t", number);
  return line;
}

// {"number": 3.5}, or by name where there are several: {"numbers": {"x": 3.5, "y": 2}}
std::string numbers_json(const eval::Prediction& one, const data::Schema& schema) {
  if (one.numbers.size() == 1) return dump_line({{"number", one.numbers[0]}});
  Json named = Json::object();
  for (std::size_t j = 0; j < one.numbers.size(); ++j) named[schema.targets[j].name] = one.numbers[j];
  return dump_line({{"numbers", named}});
}

std::string matrix(const Judgement& judgement, const eval::LoadedModel& model) {
  const std::uint32_t classes = model.spec.ends.outputs;
  std::size_t width = std::to_string(judgement.score.rows).size();
  for (std::uint32_t c = 0; c < classes; ++c) {
    width = std::max(width, plain(model.schema.class_name(c)).size());
  }
  std::string out = "\nrows: the class that is; columns: the class predicted\n";
  out += std::string(width, ' ');
  for (std::uint32_t c = 0; c < classes; ++c) {
    out += fmt::format("  {:>{}}", plain(model.schema.class_name(c)), width);
  }
  out += "\n";
  for (std::uint32_t wanted = 0; wanted < classes; ++wanted) {
    out += fmt::format("{:<{}}", plain(model.schema.class_name(wanted)), width);
    for (std::uint32_t c = 0; c < classes; ++c) {
      out += fmt::format("  {:>{}}", judgement.confusion.count(wanted, c), width);
    }
    out += "\n";
  }
  return out;
}

}  // namespace

void check_matrix(const eval::LoadedModel& model) {
  if (!classifies(model)) fail(Exit::usage, "--confusion: the model predicts a number, no class");
  if (model.spec.ends.outputs > kMostShownClasses) {
    fail(Exit::usage, "--confusion: {} classes make too large a matrix; at most {}",
         model.spec.ends.outputs, kMostShownClasses);
  }
}

double quality(const Judgement& judgement, const eval::LoadedModel& model) {
  if (classifies(model)) return judgement.score.accuracy();
  double sum = 0;
  for (const eval::Score& one : judgement.numbers) sum += one.r2();
  return sum / static_cast<double>(judgement.numbers.size());
}

std::string table(const Judgement& judgement, const eval::LoadedModel& model, bool confusion) {
  const eval::Score& score = judgement.score;
  const std::uint32_t outputs = model.spec.ends.outputs;
  std::string out = fmt::format("model     {}, step {} ({})\n", sizes(model.spec), model.step,
                                model.path.string());
  out += fmt::format("rows      {} ({})\n", score.rows, judgement.rows);
  out += fmt::format("loss      {:.6f}\n", score.mean_loss());
  if (!classifies(model)) {
    out += fmt::format("RMSE      {:.6g}\nMAE       {:.6g}\nR2        {:.6f}\n", score.rmse(outputs),
                       score.mae(outputs), quality(judgement, model));
    return outputs > 1 ? out + number_table(judgement, model) : out;
  }
  out += fmt::format("accuracy  {:.4f} ({} of {})\n", score.accuracy(), score.correct, score.rows);
  out += class_table(judgement, model);
  return confusion ? out + matrix(judgement, model) : out;
}

std::string json_line(const Judgement& judgement, const eval::LoadedModel& model,
                      bool confusion) {
  const eval::Score& score = judgement.score;
  const std::uint32_t outputs = model.spec.ends.outputs;
  Json json{{"samples", score.rows}, {"loss", score.mean_loss()}};
  if (classifies(model)) {
    json["accuracy"] = score.accuracy();
    const std::vector<eval::ClassMetrics> metrics = eval::class_metrics(judgement.confusion);
    const auto figures = [](const eval::ClassMetrics& m) {
      return Json{{"precision", m.precision}, {"recall", m.recall}, {"f1", m.f1},
                  {"samples", m.rows}};
    };
    json["macro_average"] = figures(eval::macro_average(metrics));
    json["classes"] = Json::array();
    for (std::uint32_t c = 0; c < metrics.size(); ++c) {
      Json one{{"class", model.schema.class_name(c)}};
      one.update(figures(metrics[c]));
      json["classes"].push_back(one);
    }
    if (confusion) {
      Json rows = Json::array();
      for (std::uint32_t wanted = 0; wanted < outputs; ++wanted) {
        Json row = Json::array();
        for (std::uint32_t c = 0; c < outputs; ++c) {
          row.push_back(judgement.confusion.count(wanted, c));
        }
        rows.push_back(std::move(row));
      }
      json["confusion"] = std::move(rows);
    }
  } else {
    json["rmse"] = score.rmse(outputs);
    json["mae"] = score.mae(outputs);
    json["r2"] = quality(judgement, model);
    if (outputs > 1) {
      json["targets"] = Json::array();
      for (std::uint32_t j = 0; j < outputs; ++j) {
        const eval::Score& one = judgement.numbers[j];
        json["targets"].push_back({{"target", model.schema.targets[j].name},
                                   {"rmse", one.rmse(1)}, {"mae", one.mae(1)}, {"r2", one.r2()}});
      }
    }
  }
  json["checkpoint"] = model.path.string();
  json["step"] = model.step;
  json["params_sha256"] = checkpoint::params_sha256(model.parameters);
  return dump_line(json) + "\n";
}

std::string lines(std::span<const eval::Prediction> predictions, const data::Schema& schema,
                  bool json) {
  std::string out;
  for (const eval::Prediction& one : predictions) {
    if (schema.task == data::Task::regression) {
      out += json ? numbers_json(one, schema) : numbers_line(one);
    } else if (json) {
      out += dump_line({{"class", schema.class_name(one.code)}, {"probability", one.probability}});
    } else {
      out += fmt::format("{}\t{:.6f}", plain(schema.class_name(one.code)), one.probability);
    }
    out += '\n';
  }
  return out;
}

void print(const std::string& text) {
  if (std::fwrite(text.data(), 1, text.size(), stdout) != text.size()) cli::flush_stdout();
  cli::flush_stdout();
}

}  // namespace dl::tool
