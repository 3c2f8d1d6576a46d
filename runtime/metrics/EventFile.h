//===- EventFile.h - Metrics for TensorBoard ------------------------------===//

#ifndef PRIMUS_RUNTIME_METRICS_EVENTFILE_H
#define PRIMUS_RUNTIME_METRICS_EVENTFILE_H

#include "runtime/metrics/MetricsFile.h"

#include <string_view>

namespace primus::runtime {

/// A file of TensorBoard events: TFRecords of tensorflow.Event, one for each step, with the tags of MetricsFile. Whole after
/// every step.
class EventFile {
public:
  /// Starts a new file in the folder, which is created where it is missing. TensorBoard reads all of a folder's files as one
  /// run, so that a run that goes on adds one.
  static Expected<EventFile> create(const std::string &folder);

  EventFile(EventFile &&other) noexcept;
  EventFile &operator=(EventFile &&other) noexcept;
  ~EventFile();

  Error append(const StepMetrics &metrics);

private:
  EventFile(std::string path, int descriptor) : path(std::move(path)), descriptor(descriptor) {}
  Error write(std::string_view record);

  std::string path;
  int descriptor;
};

/// CRC-32C (Castagnoli; RFC 3720, appendix B.4) of some bytes.
uint32_t computeCrc32c(std::string_view bytes);

/// A TFRecord: length, its checksum, data, its checksum, little-endian; checksums are rotated and shifted, so that one that
/// is data itself does no harm (TensorFlow, tensorflow/core/lib/hash/crc32c.h).
std::string makeTfRecord(std::string_view data);

} // namespace primus::runtime

#endif // PRIMUS_RUNTIME_METRICS_EVENTFILE_H
