//===- Machine.cpp - Launches of kernels ----------------------------------===//

#include "tests/emulator/Machine.h"
#include "tests/emulator/Decoder.h"
#include "tests/emulator/Matrix.h"
#include "tests/emulator/Wave.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/Support/AMDHSAKernelDescriptor.h"
#include "llvm/Support/FormatVariadic.h"
#include "llvm/Support/MathExtras.h"

#include <numeric>

using namespace llvm;
using namespace primus::emulator;

uint64_t Statistics::total() const { return std::accumulate(instructions.begin(), instructions.end(), uint64_t(0)); }

std::string Statistics::str() const {
  std::string text = formatv("{0} waves, {1} instructions:", waves, total());
  for (auto [kind, count] : enumerate(instructions))
    if (count)
      text += formatv(" {0} {1},", count, getName(InstructionClass(kind)));
  text.back() = ';';
  return text + formatv(" {0} barriers, {1:f0} matrix FLOPs", barriers, matrixFlops).str();
}

Statistics &Statistics::operator+=(const Statistics &other) {
  for (auto [mine, its] : zip_equal(instructions, other.instructions))
    mine += its;
  waves += other.waves;
  barriers += other.barriers;
  matrixFlops += other.matrixFlops;
  return *this;
}

namespace {
/// The constant parts of a launch, and what its workgroups share.
class Launch {
public:
  Launch(const CodeObject &object, const KernelInfo &kernel, Dim3 grid, Dim3 block, const LaunchOptions &options)
      : object(object), kernel(kernel), grid(grid), block(block), options(options), random(options.seed) {}

  Error run(ArrayRef<KernelArgument> arguments);
  Statistics statistics;

private:
  Error checkMode() const;
  Error mapCode();
  Error mapArguments(ArrayRef<KernelArgument> arguments);
  void mapDispatchPacket();
  Error runGroup(std::array<uint32_t, 3> group);
  void startWave(Wave &wave, unsigned number, std::array<uint32_t, 3> group);
  Error runWave(Wave &wave, uint64_t budget, uint64_t &executed);
  void passBarrier(MutableArrayRef<std::unique_ptr<Wave>> waves, Lds &lds);

  const CodeObject &object;
  const KernelInfo &kernel;
  Dim3 grid, block;
  LaunchOptions options;
  std::mt19937_64 random;
  Memory memory;
  std::vector<std::unique_ptr<Buffer>> owned; ///< code, arguments, dispatch packet
  std::unique_ptr<Program> program;
  uint64_t codeBase = 0, argumentsAddress = 0, packetAddress = 0;
  Buffer *argumentsBuffer = nullptr;
};

Error Launch::checkMode() const {
  auto refuse = [&](const char *reason) { return createStringError("%s: %s", kernel.name.c_str(), reason); };
  if (kernel.scratchBytes)
    return refuse("the emulator has no scratch memory");
  if (AMDHSA_BITS_GET(kernel.rsrc1, amdhsa::COMPUTE_PGM_RSRC1_FLOAT_ROUND_MODE_32) ||
      AMDHSA_BITS_GET(kernel.rsrc1, amdhsa::COMPUTE_PGM_RSRC1_FLOAT_ROUND_MODE_16_64))
    return refuse("the emulator rounds to nearest only");
  if (AMDHSA_BITS_GET(kernel.rsrc1, amdhsa::COMPUTE_PGM_RSRC1_FLOAT_DENORM_MODE_32) != 3 ||
      AMDHSA_BITS_GET(kernel.rsrc1, amdhsa::COMPUTE_PGM_RSRC1_FLOAT_DENORM_MODE_16_64) != 3)
    return refuse("the emulator does not flush denormals");
  if (block.count() == 0 || block.count() > 1024)
    return refuse("a workgroup has 1 to 1024 work items");
  return Error::success();
}

Error Launch::mapCode() {
  // One buffer for the whole object, so that addresses relative to one another stay.
  uint64_t end = 0;
  for (const Segment &segment : object.getSegments())
    end = std::max(end, segment.address + segment.bytes.size());
  if (end > uint64_t(1) << 30)
    return createStringError("the code object spans more than 1 GiB of addresses");
  auto buffer = std::make_unique<Buffer>("the code object", end);
  for (const Segment &segment : object.getSegments()) {
    std::copy(segment.bytes.begin(), segment.bytes.end(), buffer->data.begin() + segment.address);
    std::fill_n(buffer->poison.begin() + segment.address, segment.bytes.size(), 0);
  }
  codeBase = memory.map(*buffer, Access::Read, 0, buffer->data.size());
  owned.push_back(std::move(buffer));
  program = std::make_unique<Program>(object, kernel, codeBase);
  return Error::success();
}

Error Launch::mapArguments(ArrayRef<KernelArgument> arguments) {
  // Whole cache lines, as runtimes allocate them: LLVM loads six words as eight. What lies behind the arguments is poison.
  auto buffer = std::make_unique<Buffer>("the kernel's arguments", alignTo(kernel.kernargBytes, 64));
  auto write = [&](uint64_t offset, const void *bytes, size_t count) {
    std::memcpy(buffer->data.data() + offset, bytes, count);
    std::fill_n(buffer->poison.begin() + offset, count, 0);
  };
  size_t next = 0;
  for (const ArgumentInfo &info : kernel.arguments) {
    if (uint64_t(info.offset) + info.size > kernel.kernargBytes)
      return createStringError("%s: an argument lies outside the argument segment", kernel.name.c_str());
    if (!StringRef(info.kind).starts_with("hidden_")) {
      if (next == arguments.size())
        return createStringError("%s: has more arguments than the %zu given", kernel.name.c_str(), arguments.size());
      const KernelArgument &argument = arguments[next++];
      uint64_t address = argument.buffer ? memory.map(*argument.buffer, argument.access, argument.offset, argument.size) : 0;
      size_t size = argument.buffer ? sizeof address : argument.bytes.size();
      if (size != info.size)
        return createStringError("%s: argument %zu has %zu bytes, but the kernel wants %u", kernel.name.c_str(), next - 1, size, info.size);
      write(info.offset, argument.buffer ? static_cast<const void *>(&address) : argument.bytes.data(), size);
      continue;
    }
    // Sizes of the launch, for code that asks for them (code object version 5).
    uint64_t value = 0;
    StringRef kind = StringRef(info.kind).drop_front(strlen("hidden_"));
    const std::pair<StringRef, uint64_t> known[] = {
        {"block_count_x", grid.x}, {"block_count_y", grid.y}, {"block_count_z", grid.z},
        {"group_size_x", block.x}, {"group_size_y", block.y}, {"group_size_z", block.z},
        {"remainder_x", 0},        {"remainder_y", 0},        {"remainder_z", 0},
        {"global_offset_x", 0},    {"global_offset_y", 0},    {"global_offset_z", 0},
        {"grid_dims", grid.z * block.z > 1 ? 3u : grid.y * block.y > 1 ? 2u : 1u}};
    const auto *found = find_if(known, [&](auto &entry) { return entry.first == kind; });
    if (found == std::end(known) || info.size > sizeof value)
      continue; // stays poisoned
    value = found->second;
    write(info.offset, &value, info.size);
  }
  if (next != arguments.size())
    return createStringError("%s: has %zu arguments, but %zu are given", kernel.name.c_str(), next, arguments.size());
  argumentsAddress = memory.map(*buffer, Access::Read, 0, buffer->data.size());
  argumentsBuffer = buffer.get();
  owned.push_back(std::move(buffer));
  return Error::success();
}

/// The packet that the host would have put into a queue (HSA Runtime specification, "Kernel dispatch packet"): only its
/// sizes are known here.
void Launch::mapDispatchPacket() {
  auto buffer = std::make_unique<Buffer>("the dispatch packet", 64);
  auto write = [&](unsigned offset, auto value) {
    std::memcpy(buffer->data.data() + offset, &value, sizeof value);
    std::fill_n(buffer->poison.begin() + offset, sizeof value, 0);
  };
  write(4, uint16_t(block.x));
  write(6, uint16_t(block.y));
  write(8, uint16_t(block.z));
  write(12, grid.x * block.x);
  write(16, grid.y * block.y);
  write(20, grid.z * block.z);
  packetAddress = memory.map(*buffer, Access::Read, 0, buffer->data.size());
  owned.push_back(std::move(buffer));
}

void Launch::startWave(Wave &wave, unsigned number, std::array<uint32_t, 3> group) {
  wave.number = number;
  wave.chip = object.getChip();
  wave.pc = codeBase + kernel.entry;
  Operand next;
  next.kind = Operand::Scalar;
  auto push = [&](uint64_t value, unsigned words, bool isKnown = true) {
    wave.writeScalar(next, {value, isKnown ? 0 : ~uint64_t(0)}, words);
    next.index += words;
  };
  auto has = [&](auto mask) { return (kernel.properties & mask) != 0; };
  if (has(amdhsa::KERNEL_CODE_PROPERTY_ENABLE_SGPR_PRIVATE_SEGMENT_BUFFER)) {
    push(0, 2, false);
    push(0, 2, false);
  }
  if (has(amdhsa::KERNEL_CODE_PROPERTY_ENABLE_SGPR_DISPATCH_PTR))
    push(packetAddress, 2);
  if (has(amdhsa::KERNEL_CODE_PROPERTY_ENABLE_SGPR_QUEUE_PTR))
    push(0, 2, false);
  if (has(amdhsa::KERNEL_CODE_PROPERTY_ENABLE_SGPR_KERNARG_SEGMENT_PTR))
    push(argumentsAddress, 2);
  if (has(amdhsa::KERNEL_CODE_PROPERTY_ENABLE_SGPR_DISPATCH_ID))
    push(0, 2, false);
  if (has(amdhsa::KERNEL_CODE_PROPERTY_ENABLE_SGPR_FLAT_SCRATCH_INIT))
    push(0, 2, false);
  if (has(amdhsa::KERNEL_CODE_PROPERTY_ENABLE_SGPR_PRIVATE_SEGMENT_SIZE))
    push(0, 1);
  if (unsigned words = AMDHSA_BITS_GET(kernel.kernargPreload, amdhsa::KERNARG_PRELOAD_SPEC_LENGTH)) {
    unsigned first = 4 * AMDHSA_BITS_GET(kernel.kernargPreload, amdhsa::KERNARG_PRELOAD_SPEC_OFFSET);
    for (unsigned word = 0; word < words; ++word) {
      uint32_t value = 0, shadow = ~0u;
      if (first + 4 * word + 4 <= argumentsBuffer->data.size()) {
        std::memcpy(&value, argumentsBuffer->data.data() + first + 4 * word, 4);
        std::memcpy(&shadow, argumentsBuffer->poison.data() + first + 4 * word, 4);
      }
      wave.writeScalar(next, {value, shadow});
      ++next.index;
    }
    wave.pc += 256; // the code before is for firmware that cannot do this
  }
  next.index = std::max<unsigned>(next.index, AMDHSA_BITS_GET(kernel.rsrc2, amdhsa::COMPUTE_PGM_RSRC2_GFX6_GFX120_USER_SGPR_COUNT));
  if (AMDHSA_BITS_GET(kernel.rsrc2, amdhsa::COMPUTE_PGM_RSRC2_ENABLE_SGPR_WORKGROUP_ID_X))
    push(group[0], 1);
  if (AMDHSA_BITS_GET(kernel.rsrc2, amdhsa::COMPUTE_PGM_RSRC2_ENABLE_SGPR_WORKGROUP_ID_Y))
    push(group[1], 1);
  if (AMDHSA_BITS_GET(kernel.rsrc2, amdhsa::COMPUTE_PGM_RSRC2_ENABLE_SGPR_WORKGROUP_ID_Z))
    push(group[2], 1);

  // The work item's three numbers share a register, ten bits each.
  LaneMask exec = 0;
  std::array<uint32_t, kLanes> ids{};
  unsigned dimensions = AMDHSA_BITS_GET(kernel.rsrc2, amdhsa::COMPUTE_PGM_RSRC2_ENABLE_VGPR_WORKITEM_ID);
  for (unsigned lane = 0; lane < kLanes; ++lane) {
    uint64_t item = uint64_t(number) * kLanes + lane;
    if (item >= block.count())
      continue;
    exec |= LaneMask(1) << lane;
    uint32_t x = item % block.x, y = item / block.x % block.y, z = item / block.x / block.y;
    ids[lane] = x | (dimensions > 0 ? y << 10 : 0) | (dimensions > 1 ? z << 20 : 0);
  }
  wave.writeVector(0, ids.data(), exec);
  next.index = kExecLo;
  push(exec, 2);
}

Error Launch::runWave(Wave &wave, uint64_t budget, uint64_t &executed) {
  const Instruction *instruction = nullptr;
  while (budget-- && !wave.isDone && !wave.isAtBarrier) {
    instruction = program->find(wave.pc);
    if (!instruction) {
      auto decoded = program->decodeAt(wave.pc);
      if (!decoded)
        return decoded.takeError();
      instruction = *decoded;
    }
    wave.pc += instruction->bytes;
    ++executed;
    ++statistics.instructions[unsigned(instruction->kind)];
    if (instruction->matrix)
      statistics.matrixFlops += instruction->matrix->flops();
    wave.checkPending(*instruction);
    if (LLVM_LIKELY(wave.error.empty()))
      instruction->execute(wave, *instruction);
    if (LLVM_UNLIKELY(!wave.error.empty()))
      return createStringError(formatv("{0}: workgroup ({1}, {2}, {3}), wave {4}, instruction at 0x{5:x-} '{6}': {7}", kernel.name,
                                       wave.group[0], wave.group[1], wave.group[2], wave.number,
                                       instruction->address - codeBase, instruction->text, wave.error));
  }
  return Error::success();
}

void Launch::passBarrier(MutableArrayRef<std::unique_ptr<Wave>> waves, Lds &lds) {
  ++lds.epoch;
  ++statistics.barriers;
  for (auto &wave : waves) {
    wave->isAtBarrier = false;
    wave->restampPending();
  }
}

Error Launch::runGroup(std::array<uint32_t, 3> group) {
  Lds lds(kernel.ldsBytes);
  std::vector<std::unique_ptr<Wave>> waves;
  unsigned count = divideCeil(block.count(), kLanes);
  for (unsigned number = 0; number < count; ++number) {
    waves.push_back(std::make_unique<Wave>(kernel.vectorRegisters, memory, lds, random));
    startWave(*waves.back(), number, group);
    waves.back()->group = group;
    waves.back()->isAlone = count == 1;
  }
  statistics.waves += count;
  std::vector<uint64_t> executed(count);
  while (true) {
    SmallVector<unsigned> ready;
    bool anyWaits = false;
    for (auto &wave : waves) {
      anyWaits |= wave->isAtBarrier;
      if (!wave->isDone && !wave->isAtBarrier)
        ready.push_back(wave->number);
    }
    if (ready.empty()) {
      if (!anyWaits)
        return Error::success();
      passBarrier(waves, lds);
      continue;
    }
    unsigned chosen = ready[random() % ready.size()];
    uint64_t budget = count == 1 ? uint64_t(1) << 20 : uint64_t(16) << (random() % 10);
    if (Error error = runWave(*waves[chosen], budget, executed[chosen]))
      return error;
    if (executed[chosen] > options.maximumPerWave)
      return createStringError("%s: wave %u executed more than %llu instructions: it hangs, or the limit is too low",
                               kernel.name.c_str(), chosen, static_cast<unsigned long long>(options.maximumPerWave));
  }
}

Error Launch::run(ArrayRef<KernelArgument> arguments) {
  if (Error error = checkMode())
    return error;
  for (const Mapping &mapping : options.memory)
    memory.add(mapping);
  if (Error error = mapCode())
    return error;
  if (Error error = mapArguments(arguments))
    return error;
  mapDispatchPacket();
  std::vector<uint64_t> order(grid.count());
  std::iota(order.begin(), order.end(), 0);
  std::shuffle(order.begin(), order.end(), random);
  for (uint64_t number : order)
    if (Error error = runGroup({uint32_t(number % grid.x), uint32_t(number / grid.x % grid.y), uint32_t(number / grid.x / grid.y)}))
      return error;
  return Error::success();
}
} // namespace

Expected<Statistics> primus::emulator::launch(const CodeObject &object, StringRef name, Dim3 grid, Dim3 block,
                                              ArrayRef<KernelArgument> arguments, const LaunchOptions &options) {
  const KernelInfo *kernel = object.findKernel(name);
  if (!kernel) {
    std::string known;
    for (const KernelInfo &info : object.getKernels())
      known += (known.empty() ? "" : ", ") + info.name;
    return createStringError("the code object has no kernel '%s', only %s", name.str().c_str(), known.c_str());
  }
  Launch launch(object, *kernel, grid, block, options);
  if (Error error = launch.run(arguments))
    return error;
  return launch.statistics;
}
