//===- SafetensorsWriter.h - Writing safetensors files --------------------===//

#ifndef PRIMUS_RUNTIME_CHECKPOINT_SAFETENSORSWRITER_H
#define PRIMUS_RUNTIME_CHECKPOINT_SAFETENSORSWRITER_H

#include "runtime/checkpoint/Safetensors.h"

#include <cstddef>
#include <span>

namespace primus::runtime {

/// Writes a file whose tensors come one after the other, in pieces of any size, so that nothing is held in memory. The
/// file appears under its name when it is finished; until then it has a temporary one, which goes if it never is.
class SafetensorsWriter {
public:
  /// Writes the header. `tensors` is the order in which the bytes will come.
  static Expected<SafetensorsWriter> create(const std::string &path, const std::vector<TensorDescription> &tensors,
                                            const TensorMetadata &metadata = {});

  SafetensorsWriter(SafetensorsWriter &&other) noexcept;
  SafetensorsWriter &operator=(SafetensorsWriter &&other) = delete;
  ~SafetensorsWriter();

  /// The next bytes of the tensors.
  Error append(std::span<const std::byte> bytes);

  /// After the last byte: syncs and renames. The folder is the caller's to sync.
  Error finish();

  /// Bytes of the whole file, and the checksum (CRC-32) of those written so far.
  uint64_t getFileBytes() const { return fileBytes; }
  uint32_t getChecksum() const { return checksum; }

private:
  SafetensorsWriter(std::string path, std::string temporary, int descriptor, uint64_t fileBytes)
      : path(std::move(path)), temporary(std::move(temporary)), descriptor(descriptor), fileBytes(fileBytes) {}

  Error write(std::string_view bytes);
  Error fail(int code) const;

  std::string path;
  std::string temporary;
  int descriptor;
  uint64_t fileBytes;
  uint64_t written = 0;
  uint32_t checksum = 0;
};

} // namespace primus::runtime

#endif // PRIMUS_RUNTIME_CHECKPOINT_SAFETENSORSWRITER_H
