//===- IndexFile.h - Megatron's .idx files --------------------------------===//
//
// The .bin file of an indexed dataset holds the tokens, and the .idx file says where. Little-endian throughout:
//
//   9 bytes   "MMIDIDX\0\0"
//   uint64    version, 1
//   uint8     data type of a token
//   uint64    number of sequences n
//   uint64    number of document boundaries d     (absent in the older layout)
//   int32[n]  tokens in each sequence
//   int64[n]  byte offset of each sequence in the .bin file
//   int64[d]  first sequence of each document; the last entry is n    (absent in the older layout)
//   int8[n]   modes of multimodal sequences       (optional)
//
// The layouts are told apart by the size of the file.
//
//===----------------------------------------------------------------------===//

#ifndef PRIMUS_RUNTIME_DATA_INDEXFILE_H
#define PRIMUS_RUNTIME_DATA_INDEXFILE_H

#include "runtime/support/Error.h"

#include <cstdint>
#include <cstring>
#include <string_view>

namespace primus::runtime {

/// A packed array of T at any alignment.
template <typename T>
class PackedArray {
public:
  PackedArray() = default;
  PackedArray(const char *data, size_t size) : data(data), size(size) {}

  T operator[](size_t i) const {
    T value;
    std::memcpy(&value, data + i * sizeof(T), sizeof(T));
    return value;
  }
  size_t getSize() const { return size; }

private:
  const char *data = nullptr;
  size_t size = 0;
};

/// Data types of tokens, by the codes of the format. (Its floating-point types make no tokens.)
enum class TokenType : uint8_t { U8 = 1, I8 = 2, I16 = 3, I32 = 4, I64 = 5, U16 = 8 };

/// 0 for a code that is no token type.
size_t getTokenBytes(TokenType type);

/// Views of an .idx file's arrays.
struct IndexFile {
  TokenType type;
  PackedArray<int32_t> lengths;
  PackedArray<int64_t> offsets;
  PackedArray<int64_t> documents;
};

/// Finds the arrays in the bytes of an .idx file, and checks that each sequence lies in a .bin file of `tokenFileBytes`
/// and that document boundaries are in order. Everything that the result points to lies inside `bytes`.
Expected<IndexFile> parseIndexFile(std::string_view bytes, uint64_t tokenFileBytes);

} // namespace primus::runtime

#endif // PRIMUS_RUNTIME_DATA_INDEXFILE_H
