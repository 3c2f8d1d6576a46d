//===- SingleLaneStores.cpp - Masked stores of one known lane -------------===//

#include "codegen/cpu/SingleLaneStores.h"

#include "llvm/IR/Constants.h"
#include "llvm/IR/IRBuilder.h"
#include "llvm/IR/InstIterator.h"
#include "llvm/IR/IntrinsicInst.h"
#include "llvm/IR/Module.h"

using namespace llvm;

/// The one lane that a constant mask selects.
static std::optional<unsigned> getSingleLane(Value *mask) {
  auto *constant = dyn_cast<Constant>(mask);
  auto *type = dyn_cast<FixedVectorType>(mask->getType());
  if (!constant || !type)
    return std::nullopt;
  std::optional<unsigned> lane;
  for (unsigned i = 0; i < type->getNumElements(); ++i) {
    Constant *element = constant->getAggregateElement(i);
    if (!element || !isa<ConstantInt>(element))
      return std::nullopt;
    if (element->isNullValue())
      continue;
    if (lane)
      return std::nullopt;
    lane = i;
  }
  return lane;
}

void primus::codegen::replaceSingleLaneStores(Module &module) {
  for (Function &function : module)
    for (Instruction &instruction : make_early_inc_range(instructions(function))) {
      auto *store = dyn_cast<IntrinsicInst>(&instruction);
      if (!store || store->getIntrinsicID() != Intrinsic::masked_store)
        continue;
      Value *vector = store->getArgOperand(0), *pointer = store->getArgOperand(1);
      std::optional<unsigned> lane = getSingleLane(store->getArgOperand(store->arg_size() - 1));
      if (!lane)
        continue;
      IRBuilder<> builder(store);
      Type *element = vector->getType()->getScalarType();
      Value *address = builder.CreateConstGEP1_64(element, pointer, *lane);
      builder.CreateAlignedStore(builder.CreateExtractElement(vector, *lane), address,
                                 Align(module.getDataLayout().getTypeStoreSize(element)));
      store->eraseFromParent();
    }
}
