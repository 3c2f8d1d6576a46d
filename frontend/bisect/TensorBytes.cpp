//===- TensorBytes.cpp - The interpreter's values as they lie in memory ---===//

#include "frontend/bisect/TensorBytes.h"

#include "llvm/ADT/APFloat.h"
#include "llvm/ADT/APInt.h"

#include <cstring>

using namespace mlir;
using namespace primus;
using interpreter::Tensor;

static int64_t getElementBytes(Type type) { return std::max<int64_t>(type.getIntOrFloatBitWidth() / 8, 1); }

int64_t bisect::getByteSize(RankedTensorType type) { return type.getNumElements() * getElementBytes(type.getElementType()); }

std::vector<char> bisect::toBytes(const Tensor &tensor) {
  int64_t width = getElementBytes(tensor.elementType);
  std::vector<char> bytes(tensor.size() * width);
  auto floatType = dyn_cast<FloatType>(tensor.elementType);
  for (auto [index, value] : llvm::enumerate(tensor.values)) {
    uint64_t bits;
    if (floatType) {
      APFloat number(value);
      bool losesInfo;
      number.convert(floatType.getFloatSemantics(), APFloat::rmNearestTiesToEven, &losesInfo);
      bits = number.bitcastToAPInt().getZExtValue();
    } else {
      bits = static_cast<uint64_t>(static_cast<int64_t>(value));
    }
    std::memcpy(bytes.data() + index * width, &bits, width); // little endian, like the targets
  }
  return bytes;
}

Tensor bisect::fromBytes(RankedTensorType type, const char *bytes) {
  Tensor tensor(type);
  int64_t width = getElementBytes(tensor.elementType);
  unsigned bitWidth = width * 8;
  auto floatType = dyn_cast<FloatType>(tensor.elementType);
  for (auto [index, value] : llvm::enumerate(tensor.values)) {
    uint64_t bits = 0;
    std::memcpy(&bits, bytes + index * width, width);
    APInt integer(bitWidth, bits);
    value = floatType ? APFloat(floatType.getFloatSemantics(), integer).convertToDouble() : static_cast<double>(integer.getSExtValue());
  }
  return tensor;
}
