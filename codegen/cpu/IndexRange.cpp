//===- IndexRange.cpp - What is known of a tile's position ----------------===//

#include "codegen/cpu/IndexRange.h"

#include "llvm/ADT/TypeSwitch.h"
#include "llvm/Support/MathExtras.h"
#include "mlir/IR/Matchers.h"

#include <numeric>

using namespace mlir;
using namespace primus;
using namespace primus::codegen;

/// Beyond this nothing is known; far enough from the ends of int64_t that sums of two such values do not overflow.
static constexpr int64_t limit = int64_t(1) << 60;

IndexRange IndexRange::unknown() { return {-limit, limit, 1}; }
IndexRange IndexRange::constant(int64_t value) { return {value, value, std::abs(value)}; }

static IndexRange clamped(IndexRange range) {
  if (range.min < -limit || range.max > limit)
    return IndexRange::unknown();
  return range;
}

static IndexRange add(IndexRange a, IndexRange b) {
  return clamped({a.min + b.min, a.max + b.max, std::gcd(a.divisor, b.divisor)});
}

static IndexRange subtract(IndexRange a, IndexRange b) {
  return clamped({a.min - b.max, a.max - b.min, std::gcd(a.divisor, b.divisor)});
}

static IndexRange multiply(IndexRange a, IndexRange b) {
  int64_t corners[4], divisor;
  if (llvm::MulOverflow(a.min, b.min, corners[0]) || llvm::MulOverflow(a.min, b.max, corners[1]) ||
      llvm::MulOverflow(a.max, b.min, corners[2]) || llvm::MulOverflow(a.max, b.max, corners[3]) ||
      llvm::MulOverflow(a.divisor, b.divisor, divisor))
    return IndexRange::unknown();
  return clamped({*std::min_element(corners, corners + 4), *std::max_element(corners, corners + 4), divisor});
}

/// a / b rounded down, for a constant b > 0 (and a >= 0 where the op rounds to zero).
static IndexRange divide(IndexRange a, IndexRange b, bool up = false) {
  if (b.min != b.max || b.min <= 0 || a.min < 0)
    return IndexRange::unknown();
  int64_t round = up ? b.min - 1 : 0;
  return {(a.min + round) / b.min, (a.max + round) / b.min, a.divisor % b.min == 0 ? a.divisor / b.min : 1};
}

static IndexRange remainder(IndexRange a, IndexRange b) {
  if (b.min != b.max || b.min <= 0 || a.min < 0)
    return IndexRange::unknown();
  return {0, std::min(a.max, b.min - 1), std::gcd(a.divisor, b.min)};
}

static IndexRange minimum(IndexRange a, IndexRange b) {
  return {std::min(a.min, b.min), std::min(a.max, b.max), std::gcd(a.divisor, b.divisor)};
}

static IndexRange maximum(IndexRange a, IndexRange b) {
  return {std::max(a.min, b.min), std::max(a.max, b.max), std::gcd(a.divisor, b.divisor)};
}

static IndexRange unite(IndexRange a, IndexRange b) {
  return {std::min(a.min, b.min), std::max(a.max, b.max), std::gcd(a.divisor, b.divisor)};
}

IndexRange IndexRanges::get(Value value) {
  auto it = known.find(value);
  if (it != known.end())
    return it->second;
  IndexRange range = compute(value);
  known[value] = range;
  return range;
}

IndexRange IndexRanges::computeInduction(scf::ForOp loop) {
  IndexRange lower = get(loop.getLowerBound()), upper = get(loop.getUpperBound()), step = get(loop.getStep());
  if (step.min <= 0)
    return IndexRange::unknown();
  int64_t last = upper.max - 1, divisor = std::gcd(lower.divisor, step.divisor);
  if (last < lower.min) // The body never runs.
    return {lower.min, lower.min, divisor};
  if (lower.min == lower.max && step.min == step.max)
    last = lower.min + (last - lower.min) / step.min * step.min;
  else if (divisor > 1 && last >= 0)
    last -= last % divisor;
  return clamped({lower.min, last, divisor});
}

IndexRange IndexRanges::compute(Value value) {
  APInt constant;
  if (matchPattern(value, m_ConstantInt(&constant)))
    return clamped(IndexRange::constant(constant.getSExtValue()));
  if (auto argument = dyn_cast<BlockArgument>(value)) {
    auto loop = dyn_cast<scf::ForOp>(argument.getOwner()->getParentOp());
    return loop && argument == loop.getInductionVar() ? computeInduction(loop) : IndexRange::unknown();
  }
  Operation *op = value.getDefiningOp();
  auto operand = [&](unsigned i) { return get(op->getOperand(i)); };
  return TypeSwitch<Operation *, IndexRange>(op)
      .Case([&](kernel::ProgramIdOp id) {
        auto grid = id->getParentOfType<kernel::FuncOp>().getGrid();
        return IndexRange{0, grid[id.getDim()] - 1, 1};
      })
      .Case([&](arith::AddIOp) { return add(operand(0), operand(1)); })
      .Case([&](arith::SubIOp) { return subtract(operand(0), operand(1)); })
      .Case([&](arith::MulIOp) { return multiply(operand(0), operand(1)); })
      .Case<arith::DivSIOp, arith::DivUIOp, arith::FloorDivSIOp>([&](auto) { return divide(operand(0), operand(1)); })
      .Case<arith::CeilDivSIOp, arith::CeilDivUIOp>([&](auto) { return divide(operand(0), operand(1), /*up=*/true); })
      .Case<arith::RemSIOp, arith::RemUIOp>([&](auto) { return remainder(operand(0), operand(1)); })
      .Case([&](arith::MinSIOp) { return minimum(operand(0), operand(1)); })
      .Case([&](arith::MinUIOp) {
        IndexRange a = operand(0), b = operand(1);
        return a.min < 0 || b.min < 0 ? IndexRange::unknown() : minimum(a, b);
      })
      .Case([&](arith::MaxSIOp) { return maximum(operand(0), operand(1)); })
      .Case([&](arith::SelectOp) { return unite(operand(1), operand(2)); })
      .Case<arith::IndexCastOp, arith::ExtSIOp>([&](auto) { return operand(0); })
      .Default([](Operation *) { return IndexRange::unknown(); });
}
