//===- DataSet.h - From data keys to training and held-out samples --------===//

#ifndef PRIMUS_RUNTIME_DATA_DATASET_H
#define PRIMUS_RUNTIME_DATA_DATASET_H

#include "runtime/data/Samples.h"

namespace primus::runtime {

/// The experiment's data keys.
struct DataConfig {
  std::string kind; ///< text, mock or indexed
  std::vector<std::string> paths; ///< text: files and folders, one after the other; indexed: one prefix
  std::vector<std::string> validationPaths; ///< empty: a part of `paths`, by `split`
  std::string split;
  int64_t sequenceLength = 0;
  int64_t vocabulary = 0;
  uint64_t seed = 0;
  bool needsValidation = false;
};

struct DataSet {
  Samples training;
  /// Absent if nothing is held out or nothing is evaluated.
  std::optional<Samples> validation;
};

/// What a path given on the command line names: "indexed" if there is a path.idx, else "text". `path` may also name the
/// .bin or .idx file, and becomes the prefix.
std::string detectDataKind(std::string &path);

/// Opens the data and divides it. Too few tokens are an error that says how many there are and how many are needed.
/// On an error, `field` names the TrainingSpec field at fault.
Expected<DataSet> openData(const DataConfig &config, std::string &field);

} // namespace primus::runtime

#endif // PRIMUS_RUNTIME_DATA_DATASET_H
