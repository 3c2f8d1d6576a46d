//===- Fuzz.cpp - Targets for damaged input -------------------------------===//

#include "tests/fuzz/Fuzz.h"

#include "runtime/checkpoint/Safetensors.h"
#include "runtime/data/IndexFile.h"
#include "runtime/executable/ExecutableFile.h"
#include "runtime/executable/Types.h"
#include "runtime/executor/Flatten.h"
#include "tests/runtime/TinyExecutable.h"

#include <cstdlib>

using namespace primus;
using namespace primus::runtime;

/// Ends the process if [address, address + bytes) is not inside the arena.
static void checkInside(const void *address, int64_t bytes, const std::byte *arena, int64_t arenaBytes) {
  int64_t offset = static_cast<const std::byte *>(address) - arena;
  if (offset < 0 || bytes < 0 || offset > arenaBytes || bytes > arenaBytes - offset)
    std::abort();
}

/// The same for all that a collective reads and writes.
static void checkCollective(const CollectiveDescription &collective, const std::byte *arena, int64_t arenaBytes) {
  // A group may be as large as a mesh: its ends will do.
  for (int member : {0, collective.index, collective.getGroupSize() - 1})
    for (const CollectiveDescription::Part &part : collective.parts) {
      auto check = [&](const Transfer &transfer, const StridedBytes &side, const std::byte *base) {
        int64_t last = side.offset + (transfer.outer - 1) * side.outerStride + (transfer.middle - 1) * side.middleStride;
        checkInside(base + side.offset, transfer.run, arena, arenaBytes);
        checkInside(base + last, transfer.run, arena, arenaBytes);
      };
      Transfer given = collective.getTransfer(part, collective.index, member);
      check(given, given.source, part.source);
      Transfer taken = collective.getTransfer(part, member, collective.index);
      check(taken, taken.target, part.target);
    }
}

bool test::fuzzExecutable(std::string_view bytes) {
  Expected<executable::Executable> executable = parseUnsealedExecutable(bytes, "input");
  if (!executable) {
    if (executable.takeError().getMessage().empty())
      std::abort();
    return false;
  }
  // Nothing is read or written through these addresses, so that the arena need not exist.
  auto *arena = reinterpret_cast<std::byte *>(uintptr_t(1) << 47);
  int64_t arenaBytes = executable->memory().arena();
  // A kernel stands for itself, so that a launch can be checked against its arguments' types.
  std::vector<const void *> kernels;
  for (const executable::Kernel &kernel : executable->kernels())
    kernels.push_back(&kernel);
  for (const executable::Program &program : executable->programs()) {
    Expected<FlatProgram> flat = flatten(*executable, program, arena, kernels);
    if (!flat)
      continue;
    for (const Command &command : flat->commands) {
      if (command.kind != Command::Kind::Launch) {
        checkInside(command.target, command.bytes, arena, arenaBytes);
        if (command.kind == Command::Kind::Copy)
          checkInside(command.source, command.bytes, arena, arenaBytes);
        continue;
      }
      const auto &kernel = *static_cast<const executable::Kernel *>(command.kernel);
      for (int i = 0; i < kernel.arguments_size(); ++i)
        checkInside(command.arguments[i], *getByteSize(kernel.arguments(i).type()), arena, arenaBytes);
    }
    for (const CollectiveDescription &collective : flat->collectives)
      checkCollective(collective, arena, arenaBytes);
  }
  return true;
}

bool test::fuzzIndexFile(std::string_view bytes) {
  constexpr uint64_t tokenFileBytes = 64;
  // An exact copy, so that tools notice a read past its end.
  std::string copy(bytes);
  Expected<IndexFile> index = parseIndexFile(copy, tokenFileBytes);
  if (!index) {
    if (index.takeError().getMessage().empty())
      std::abort();
    return false;
  }
  for (size_t i = 0; i < index->lengths.getSize(); ++i) {
    auto end = static_cast<uint64_t>(index->offsets[i]) +
               static_cast<uint64_t>(index->lengths[i]) * getTokenBytes(index->type);
    if (index->offsets[i] < 0 || index->lengths[i] < 0 || end > tokenFileBytes)
      std::abort();
  }
  for (size_t i = 0; i < index->documents.getSize(); ++i)
    if (index->documents[i] < 0 || static_cast<size_t>(index->documents[i]) > index->lengths.getSize())
      std::abort();
  return true;
}

bool test::fuzzSafetensors(std::string_view bytes) {
  // An exact copy, so that tools notice a read past its end.
  std::string copy(bytes);
  Expected<SafetensorsHeader> header = parseSafetensors(copy);
  if (!header) {
    if (header.takeError().getMessage().empty())
      std::abort();
    return false;
  }
  uint64_t position = header->dataBegin;
  for (const StoredTensor &tensor : header->tensors) {
    if (header->dataBegin + tensor.begin != position || tensor.end - tensor.begin != tensor.getBytes())
      std::abort();
    position = header->dataBegin + tensor.end;
  }
  if (position != copy.size())
    std::abort();
  return true;
}

std::string test::makeExecutableSeed() {
  // A function, a loop, a copy, a fill and collectives, without code: damage should land in the tables.
  ExecutableBuilder builder;
  addLoopProgram(builder, "kernel");
  // A second program, because damage in one of them should leave the other to be tried.
  addCollectives(builder);
  executable::Executable &executable = builder.finish();
  // The smallest shared object that the loader accepts: a header without segments.
  executable.mutable_code()->resize(64);
  (*executable.mutable_code())[56] = 0;
  (*executable.mutable_code())[57] = 0;
  return serializeExecutable(executable);
}

std::string test::makeIndexFileSeed() {
  std::string bytes("MMIDIDX\0\0", 9);
  auto append = [&](auto value) { bytes.append(reinterpret_cast<const char *>(&value), sizeof(value)); };
  append(uint64_t(1));
  append(uint8_t(4));
  append(uint64_t(3));
  append(uint64_t(4));
  for (int32_t length : {4, 8, 4})
    append(length);
  for (int64_t offset : {0, 16, 48})
    append(offset);
  for (int64_t document : {0, 1, 2, 3})
    append(document);
  return bytes;
}

std::string test::makeSafetensorsSeed() {
  std::vector<StoredTensor> tensors = {{{"a.weight", StoredType::BF16, {2, 3}}},
                                       {{"empty", StoredType::F32, {0, 4}}},
                                       {{"scalar", StoredType::I64, {}}},
                                       {{"b", StoredType::U8, {4}}}};
  Expected<std::string> bytes = makeSafetensorsHeader(tensors, {{"format", "pt"}});
  return *bytes + std::string(tensors.back().end, 'x');
}
