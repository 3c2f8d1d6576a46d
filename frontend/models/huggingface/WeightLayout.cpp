//===- WeightLayout.cpp - From a checkpoint's layout to ours and back -----===//

#include "frontend/models/huggingface/WeightLayout.h"

#include <algorithm>
#include <bit>
#include <cstring>

namespace primus::models::huggingface {

using runtime::Error;
using runtime::StoredType;

/// Bytes of a piece: small beside any large tensor, and large beside any cost per piece.
static constexpr int64_t pieceBytes = 4 << 20;

/// Whole rows of a piece, at least one.
static int64_t rowsPerPiece(int64_t columns, int64_t elementBytes) {
  return std::max<int64_t>(1, pieceBytes / (columns * elementBytes));
}

/// Copies the matrix `source` [rows, columns] of `pitch` elements per row to its transpose `target`, whose rows are
/// `targetPitch` apart.
template <typename T>
static void transpose(const std::byte *source, int64_t rows, int64_t columns, int64_t pitch, std::byte *target,
                      int64_t targetPitch) {
  // Blocks of a few cache lines in both directions.
  constexpr int64_t block = 32;
  for (int64_t row = 0; row < rows; row += block)
    for (int64_t column = 0; column < columns; column += block)
      for (int64_t r = row; r < std::min(row + block, rows); ++r)
        for (int64_t c = column; c < std::min(column + block, columns); ++c)
          std::memcpy(target + (c * targetPitch + r) * int64_t(sizeof(T)),
                      source + (r * pitch + c) * int64_t(sizeof(T)), sizeof(T));
}

static void transpose(int64_t elementBytes, const std::byte *source, int64_t rows, int64_t columns, int64_t pitch,
                      std::byte *target, int64_t targetPitch) {
  auto run = elementBytes == 2   ? transpose<uint16_t>
             : elementBytes == 4 ? transpose<uint32_t>
                                 : transpose<uint64_t>;
  run(source, rows, columns, pitch, target, targetPitch);
}

Error splitTensor(const WeightTensor &tensor, int64_t elementBytes, std::span<const std::byte> bytes,
                  const TakeElements &take) {
  int64_t columns = tensor.getColumns(), rows = tensor.getRows(), piece = rowsPerPiece(columns, elementBytes);
  std::vector<std::byte> buffer;
  int64_t before = 0;
  for (const Parameter &part : tensor.parts) {
    int64_t partRows = getRows(part);
    for (int64_t begin = 0; begin < partRows; begin += piece) {
      int64_t count = std::min(piece, partRows - begin);
      auto size = size_t(count * columns * elementBytes);
      std::span<const std::byte> elements;
      if (tensor.transposed) {
        buffer.resize(size);
        transpose(elementBytes, bytes.data() + (before + begin) * elementBytes, columns, count, rows, buffer.data(),
                  columns);
        elements = buffer;
      } else {
        elements = bytes.subspan(size_t((before + begin) * columns * elementBytes), size);
      }
      if (Error error = take(part, begin * columns, elements))
        return error;
    }
    before += partRows;
  }
  return Error::success();
}

Error joinTensor(const WeightTensor &tensor, int64_t elementBytes, const GiveElements &give,
                 const std::function<Error(std::span<const std::byte>)> &append) {
  int64_t columns = tensor.getColumns(), rows = tensor.getRows(), piece = rowsPerPiece(columns, elementBytes);
  std::vector<std::byte> buffer, whole;
  if (tensor.transposed)
    whole.resize(size_t(rows * columns * elementBytes));
  int64_t before = 0;
  for (const Parameter &part : tensor.parts) {
    int64_t partRows = getRows(part);
    for (int64_t begin = 0; begin < partRows; begin += piece) {
      int64_t count = std::min(piece, partRows - begin);
      buffer.resize(size_t(count * columns * elementBytes));
      if (Error error = give(part, begin * columns, buffer))
        return error;
      if (tensor.transposed)
        transpose(elementBytes, buffer.data(), count, columns, columns,
                  whole.data() + (before + begin) * elementBytes, rows);
      else if (Error error = append(buffer))
        return error;
    }
    before += partRows;
  }
  return tensor.transposed ? append(whole) : Error::success();
}

static float fromBfloat(uint16_t bits) { return std::bit_cast<float>(uint32_t(bits) << 16); }

static float fromHalf(uint16_t bits) {
  uint32_t sign = uint32_t(bits & 0x8000) << 16, exponent = (bits >> 10) & 31, mantissa = bits & 0x3ff;
  if (exponent == 31)
    return std::bit_cast<float>(sign | 0x7f800000 | mantissa << 13);
  // Half's exponent is biased by 15, float's by 127; subnormals count units of 2^-24.
  if (exponent != 0)
    return std::bit_cast<float>(sign | (exponent + 112) << 23 | mantissa << 13);
  float magnitude = float(mantissa) * 0x1p-24f;
  return sign ? -magnitude : magnitude;
}

/// Drops the low bits of a float's magnitude, rounding to nearest, ties to even.
static uint32_t roundOff(uint32_t magnitude, int bits) {
  uint32_t half = (uint32_t(1) << (bits - 1)) - 1 + ((magnitude >> bits) & 1);
  return (magnitude + half) >> bits;
}

static uint16_t toBfloat(float value) {
  uint32_t bits = std::bit_cast<uint32_t>(value);
  if (value != value) // a NaN stays one
    return uint16_t(bits >> 16 | (bits & 0x007f0000 ? 0 : 0x40));
  return uint16_t(roundOff(bits, 16));
}

static uint16_t toHalf(float value) {
  uint32_t bits = std::bit_cast<uint32_t>(value), sign = bits >> 16 & 0x8000, magnitude = bits & 0x7fffffff;
  if (magnitude > 0x7f800000) {
    uint32_t payload = magnitude >> 13 & 0x3ff;
    return uint16_t(sign | 0x7c00 | (payload ? payload : 0x200));
  }
  // From 65520 on the nearest is infinity.
  if (magnitude >= 0x477ff000)
    return uint16_t(sign | 0x7c00);
  // Normal numbers: the exponent moves by 112. Below 2^-14 they are counts of 2^-24, which the sum leaves in the low
  // bits.
  if (magnitude >= 0x38800000)
    return uint16_t(sign | roundOff(magnitude - (112u << 23), 13));
  float count = std::bit_cast<float>(magnitude) + 0x1p-1f;
  return uint16_t(sign | (std::bit_cast<uint32_t>(count) & 0x7ff));
}

template <typename T, typename Convert>
static void convert(std::span<const std::byte> source, std::span<float> target, Convert toFloat) {
  for (size_t i = 0; i < target.size(); ++i) {
    T value;
    std::memcpy(&value, source.data() + i * sizeof(T), sizeof(T)); // tensors are not aligned
    target[i] = toFloat(value);
  }
}

void convertToFloat(StoredType type, std::span<const std::byte> source, std::span<float> target) {
  switch (type) {
  case StoredType::F64:
    return convert<double>(source, target, [](double value) { return static_cast<float>(value); });
  case StoredType::F16:
    return convert<uint16_t>(source, target, fromHalf);
  case StoredType::BF16:
    return convert<uint16_t>(source, target, fromBfloat);
  default:
    std::memcpy(target.data(), source.data(), target.size_bytes());
  }
}

template <typename T, typename Convert>
static void convert(std::span<const float> source, std::span<std::byte> target, Convert fromFloat) {
  for (size_t i = 0; i < source.size(); ++i) {
    T value = fromFloat(source[i]);
    std::memcpy(target.data() + i * sizeof(T), &value, sizeof(T));
  }
}

void convertFromFloat(StoredType type, std::span<const float> source, std::span<std::byte> target) {
  switch (type) {
  case StoredType::F64:
    return convert<double>(source, target, [](float value) { return static_cast<double>(value); });
  case StoredType::F16:
    return convert<uint16_t>(source, target, toHalf);
  case StoredType::BF16:
    return convert<uint16_t>(source, target, toBfloat);
  default:
    std::memcpy(target.data(), source.data(), source.size_bytes());
  }
}

} // namespace primus::models::huggingface
