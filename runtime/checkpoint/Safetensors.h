//===- Safetensors.h - The safetensors format -----------------------------===//
//
//   uint64      bytes of the header, little-endian
//   header      JSON: {"__metadata__": {string: string}, name: {"dtype", "shape", "data_offsets": [begin, end]}, ...},
//               padded by blanks
//   the tensors, row-major, packed; offsets count from here, and there are neither gaps nor overlaps
//
//===----------------------------------------------------------------------===//

#ifndef PRIMUS_RUNTIME_CHECKPOINT_SAFETENSORS_H
#define PRIMUS_RUNTIME_CHECKPOINT_SAFETENSORS_H

#include "runtime/support/Error.h"

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace primus::runtime {

/// Element types, named as in the format.
enum class StoredType : uint8_t { BOOL, U8, I8, F8_E5M2, F8_E4M3, I16, U16, F16, BF16, I32, U32, F32, F64, I64, U64 };

std::string_view toString(StoredType type);
std::optional<StoredType> parseStoredType(std::string_view name);
/// Bytes of one element.
uint64_t getElementBytes(StoredType type);

/// What a tensor is.
struct TensorDescription {
  std::string name;
  StoredType type;
  std::vector<int64_t> shape;

  /// Bytes of all elements. Nothing if a size is negative or they are more than 2^63.
  std::optional<uint64_t> getBytes() const;
  /// "F32[2x3]"
  std::string str() const;
};

/// A tensor in a file, at [begin, end) of the bytes after the header.
struct StoredTensor : TensorDescription {
  uint64_t begin = 0;
  uint64_t end = 0;
};

/// Strings that a file carries beside its tensors.
using TensorMetadata = std::map<std::string, std::string>;

struct SafetensorsHeader {
  /// In the order of their bytes.
  std::vector<StoredTensor> tensors;
  TensorMetadata metadata;
  /// Where the tensors begin in the file.
  uint64_t dataBegin = 0;
};

/// Reads the header of a whole file's bytes and checks it completely: every tensor lies inside `bytes` and has as many
/// bytes as its shape and type need. Errors say what is wrong, as a sentence to go on from the file's name.
Expected<SafetensorsHeader> parseSafetensors(std::string_view bytes);

/// The bytes before the tensors, in this order without gaps: sets `begin` and `end`. Their sum is a multiple of 8.
Expected<std::string> makeSafetensorsHeader(std::vector<StoredTensor> &tensors, const TensorMetadata &metadata);

} // namespace primus::runtime

#endif // PRIMUS_RUNTIME_CHECKPOINT_SAFETENSORS_H
