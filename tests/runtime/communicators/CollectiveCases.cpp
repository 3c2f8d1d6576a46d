//===- CollectiveCases.cpp - Random collectives with known results --------===//

#include "tests/runtime/communicators/CollectiveCases.h"

#include "runtime/executable/Mesh.h"
#include "runtime/executable/Types.h"

#include <bit>
#include <cmath>
#include <cstring>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <limits>
#include <random>
#include <thread>

using namespace primus;
using namespace primus::runtime;
using executable::DataType;

namespace {

using Shape = std::vector<int64_t>;
using Bytes = std::vector<std::byte>;

/// Bytes around a target that must stay as they are.
constexpr size_t guardBytes = 64;
constexpr std::byte guard{0xA5};

struct CasePart {
  Shape shape, targetShape;
  int64_t dim = 0, secondDim = 0;
};

/// A collective as all ranks know it.
struct Case {
  CollectiveKind kind;
  Reduction reduction = Reduction::Sum;
  DataType type;
  int64_t shift = 0;
  AxisList axes;
  std::vector<CasePart> parts;
  bool isInPlace = false;
  uint64_t seed = 0;
};

using Random = std::mt19937_64;

int64_t pick(Random &random, int64_t smallest, int64_t largest) {
  return smallest + static_cast<int64_t>(random() % static_cast<uint64_t>(largest - smallest + 1));
}

//===----------------------------------------------------------------------===//
// What is expected, element by element
//===----------------------------------------------------------------------===//

int64_t count(const Shape &shape) {
  int64_t product = 1;
  for (int64_t size : shape)
    product *= size;
  return product;
}

void unflatten(int64_t index, const Shape &shape, Shape &place) {
  for (size_t d = shape.size(); d-- > 0; index /= shape[d])
    place[d] = index % shape[d];
}

int64_t flatten(const Shape &place, const Shape &shape) {
  int64_t index = 0;
  for (size_t d = 0; d < shape.size(); ++d)
    index = index * shape[d] + place[d];
  return index;
}

/// Narrows a sum to bf16 by looking at both neighbours.
uint16_t roundToBFloat16(float value) {
  auto bits = static_cast<uint16_t>(std::bit_cast<uint32_t>(value) >> 16);
  if (std::isnan(value))
    return static_cast<uint16_t>(bits | 0x40);
  auto widen = [](uint16_t narrow) { return std::bit_cast<float>(uint32_t(narrow) << 16); };
  double below = std::abs(double(value) - widen(bits));
  double above = std::abs(double(widen(static_cast<uint16_t>(bits + 1))) - double(value));
  bool goesUp = above < below || (above == below && bits % 2 == 1);
  return static_cast<uint16_t>(bits + (goesUp ? 1 : 0));
}

template <typename T>
T load(const Bytes &bytes, int64_t index) {
  T value;
  std::memcpy(&value, bytes.data() + index * int64_t(sizeof(T)), sizeof(T));
  return value;
}

template <typename T>
void store(std::byte *bytes, T value) {
  std::memcpy(bytes, &value, sizeof(T));
}

template <typename Memory, typename Wide>
void reduceElement(Reduction reduction, const std::vector<Bytes> &sources, int64_t index, std::byte *target) {
  Wide result = static_cast<Wide>(load<Memory>(sources[0], index));
  for (size_t i = 1; i < sources.size(); ++i) {
    Wide value = static_cast<Wide>(load<Memory>(sources[i], index));
    result = reduction == Reduction::Sum ? static_cast<Wide>(result + value) : std::max(result, value);
  }
  store(target, static_cast<Memory>(result));
}

void reduceBFloat16(Reduction reduction, const std::vector<Bytes> &sources, int64_t index, std::byte *target) {
  auto widen = [&](size_t i) { return std::bit_cast<float>(uint32_t(load<uint16_t>(sources[i], index)) << 16); };
  float result = widen(0);
  for (size_t i = 1; i < sources.size(); ++i)
    result = reduction == Reduction::Sum ? result + widen(i) : std::max(result, widen(i));
  store(target, roundToBFloat16(result));
}

void reduceAny(const Case &test, const std::vector<Bytes> &sources, int64_t index, std::byte *target) {
  switch (test.type) {
  case executable::F64:
    return reduceElement<double, double>(test.reduction, sources, index, target);
  case executable::F16:
    return reduceElement<_Float16, float>(test.reduction, sources, index, target);
  case executable::BF16:
    return reduceBFloat16(test.reduction, sources, index, target);
  case executable::I64:
    return reduceElement<int64_t, int64_t>(test.reduction, sources, index, target);
  case executable::I32:
    return reduceElement<int32_t, int32_t>(test.reduction, sources, index, target);
  default:
    return reduceElement<float, float>(test.reduction, sources, index, target);
  }
}

/// The target of member `me`, from the sources of all members.
Bytes makeExpected(const Case &test, const CasePart &part, const std::vector<Bytes> &sources, int64_t me) {
  auto size = static_cast<int64_t>(sources.size());
  int64_t bytes = *getElementBytes(test.type), elements = count(part.targetShape);
  auto d = static_cast<size_t>(part.dim), d2 = static_cast<size_t>(part.secondDim);
  Bytes target(static_cast<size_t>(elements * bytes));
  Shape place(part.targetShape.size());
  for (int64_t i = 0; i < elements; ++i) {
    unflatten(i, part.targetShape, place);
    int64_t from = me;
    switch (test.kind) {
    case CollectiveKind::AllReduce:
      break;
    case CollectiveKind::ReduceScatter:
    case CollectiveKind::Block:
      place[d] += me * part.targetShape[d];
      break;
    case CollectiveKind::AllGather:
      from = place[d] / part.shape[d];
      place[d] %= part.shape[d];
      break;
    case CollectiveKind::AllToAll: {
      int64_t taken = part.targetShape[d2] / size;
      from = place[d2] / taken;
      place[d2] %= taken;
      place[d] += me * (part.shape[d] / size);
      break;
    }
    case CollectiveKind::Permute:
      from = ((me - test.shift) % size + size) % size;
      break;
    case CollectiveKind::Send:
    case CollectiveKind::Receive:
      break; // MessageCases.cpp
    }
    int64_t index = flatten(place, part.shape);
    std::byte *element = target.data() + i * bytes;
    if (test.kind == CollectiveKind::AllReduce || test.kind == CollectiveKind::ReduceScatter)
      reduceAny(test, sources, index, element);
    else
      std::memcpy(element, sources[static_cast<size_t>(from)].data() + index * bytes, static_cast<size_t>(bytes));
  }
  return target;
}

//===----------------------------------------------------------------------===//
// Random cases
//===----------------------------------------------------------------------===//

/// Numbers of very different sizes, so that the order of a sum shows.
Bytes makeSource(const Case &test, size_t part, int rank, int run) {
  Random random(test.seed + part * 1009 + static_cast<uint64_t>(rank) * 9176 + static_cast<uint64_t>(run) * 77);
  int64_t elements = count(test.parts[part].shape), size = *getElementBytes(test.type);
  Bytes bytes(static_cast<size_t>(elements * size));
  for (int64_t i = 0; i < elements; ++i) {
    std::byte *element = bytes.data() + i * size;
    double value = (static_cast<double>(random() % 20001) - 10000) / 10000 * std::exp2(static_cast<double>(random() % 12));
    switch (test.type) {
    case executable::F64:
      store(element, value);
      break;
    case executable::F16:
      store(element, static_cast<_Float16>(value));
      break;
    case executable::BF16:
      store(element, roundToBFloat16(static_cast<float>(value)));
      break;
    case executable::I64:
      store(element, static_cast<int64_t>(random() >> 4));
      break;
    case executable::I32:
      store(element, static_cast<int32_t>(random() >> 36));
      break;
    case executable::F32:
      store(element, static_cast<float>(value));
      break;
    default:
      store(element, static_cast<uint8_t>(random()));
    }
  }
  return bytes;
}

executable::Mesh makeMesh(Random &random, int ranks) {
  executable::Mesh mesh;
  for (const char *name : {"dp", "fsdp", "cp"}) {
    int size;
    do
      size = static_cast<int>(pick(random, 1, ranks));
    while (ranks % size != 0);
    mesh.add_names(name);
    mesh.add_sizes(size);
    ranks /= size;
  }
  mesh.add_names("tp");
  mesh.add_sizes(ranks);
  return mesh;
}

CasePart makePart(Random &random, const Case &test, int64_t groupSize) {
  CasePart part;
  bool hasDim = test.kind != CollectiveKind::AllReduce && test.kind != CollectiveKind::Permute;
  int64_t rank = pick(random, hasDim ? 1 : 0, 4);
  for (int64_t d = 0; d < rank; ++d)
    part.shape.push_back(pick(random, 1, 7));
  // Some are longer than what goes in one message.
  if (rank > 0 && random() % 16 == 0)
    part.shape[random() % part.shape.size()] *= std::max<int64_t>(1, 60000 / count(part.shape) / groupSize);
  part.targetShape = part.shape;
  if (!hasDim)
    return part;
  part.dim = pick(random, 0, rank - 1);
  auto d = static_cast<size_t>(part.dim);
  if (test.kind == CollectiveKind::AllGather) {
    part.targetShape[d] *= groupSize;
    return part;
  }
  part.shape[d] *= groupSize;
  if (test.kind == CollectiveKind::AllToAll) {
    part.secondDim = pick(random, 0, rank - 1);
    part.targetShape[static_cast<size_t>(part.secondDim)] *= groupSize;
  }
  return part;
}

Case makeCase(Random &random, const RankMesh &mesh) {
  Case test;
  test.kind = static_cast<CollectiveKind>(random() % 6);
  std::vector<std::string> names = {"dp", "fsdp", "cp", "tp"};
  std::shuffle(names.begin(), names.end(), random);
  names.resize(1 + random() % names.size());
  test.axes.Add(names.begin(), names.end());
  bool reduces = test.kind == CollectiveKind::AllReduce || test.kind == CollectiveKind::ReduceScatter;
  constexpr DataType types[] = {executable::F32, executable::BF16, executable::F16, executable::F64,
                                executable::I32, executable::I64,  executable::I8,  executable::I1};
  test.type = types[random() % (reduces ? 6 : 8)];
  test.reduction = random() % 3 == 0 ? Reduction::Max : Reduction::Sum;
  int64_t size = mesh.getGroupSize(test.axes);
  test.shift = test.kind == CollectiveKind::Permute ? pick(random, -size, size) : 0;
  for (int64_t i = pick(random, 1, 4); i > 0; --i)
    test.parts.push_back(makePart(random, test, size));
  test.isInPlace = test.kind == CollectiveKind::AllReduce && random() % 2 == 0;
  test.seed = random();
  return test;
}

//===----------------------------------------------------------------------===//
// One rank
//===----------------------------------------------------------------------===//

/// Memory for the tensors of a rank, on the host or a device.
class TensorMemory {
public:
  explicit TensorMemory(Device *device) : device(device) {
    if (!device)
      return;
    Expected<std::byte *> allocated = device->allocateArena(bytes);
    if (allocated)
      next = *allocated;
  }

  /// Where a tensor of the host is for the communicator.
  std::byte *place(Bytes &tensor) {
    if (!device)
      return tensor.data();
    std::byte *address = next;
    next += (tensor.size() + 63) / 64 * 64;
    copies.emplace_back(address, &tensor);
    return address;
  }

  /// Brings the communicator's tensors up to date, or the host's.
  void upload() const {
    for (auto &[address, tensor] : copies)
      (void)device->upload(address, tensor->data(), static_cast<int64_t>(tensor->size()));
  }
  std::string download() const {
    if (device)
      if (Error error = device->synchronize({}))
        return error.getMessage();
    for (auto &[address, tensor] : copies)
      if (Error error = device->download(tensor->data(), address, static_cast<int64_t>(tensor->size())))
        return error.getMessage();
    return {};
  }

private:
  static constexpr int64_t bytes = 32 << 20;

  Device *device;
  std::byte *next = nullptr;
  std::vector<std::pair<std::byte *, Bytes *>> copies;
};

/// A case with the tensors of this rank.
class RankCase {
public:
  RankCase(Case given, const RankMesh &mesh, Communicator &communicator, TensorMemory &memory)
      : test(std::move(given)), group(mesh.getGroup(communicator.getRank(), test.axes)) {
    CollectiveDescription description;
    description.kind = test.kind;
    description.reduction = test.reduction;
    description.type = test.type;
    description.elementBytes = *getElementBytes(test.type);
    description.shift = test.shift;
    description.group = group;
    description.index = mesh.getGroupIndex(communicator.getRank(), test.axes);
    description.name = describe();
    index = description.index;
    // Tensors stay where they are.
    sources.reserve(test.parts.size());
    targets.reserve(test.parts.size());
    for (const CasePart &part : test.parts) {
      sources.emplace_back(static_cast<size_t>(count(part.shape) * description.elementBytes));
      size_t bytes = static_cast<size_t>(count(part.targetShape) * description.elementBytes);
      targets.emplace_back(bytes + 2 * guardBytes);
      std::byte *target = memory.place(targets.back()) + guardBytes;
      std::byte *source = test.isInPlace ? target : memory.place(sources.back());
      description.parts.push_back({part.shape, part.dim, part.secondDim, source, target});
    }
    collective = communicator.prepare(std::move(description));
  }

  std::string describe() const {
    std::string shapes;
    for (const CasePart &part : test.parts)
      shapes += fmt::format(" {}/{}/{}", fmt::join(part.shape, "x"), part.dim, part.secondDim);
    return fmt::format("{} over {} of type {} shift {} inPlace {}:{}", toString(test.kind), fmt::join(test.axes, ","),
                       int(test.type), test.shift, test.isInPlace, shapes);
  }

  void fillSources(int run) {
    for (size_t i = 0; i < test.parts.size(); ++i) {
      std::fill(targets[i].begin(), targets[i].end(), guard);
      Bytes bytes = makeSource(test, i, group[static_cast<size_t>(index)], run);
      std::memcpy(test.isInPlace ? targets[i].data() + guardBytes : sources[i].data(), bytes.data(), bytes.size());
    }
  }

  std::string check(int run) const {
    for (size_t i = 0; i < test.parts.size(); ++i) {
      std::vector<Bytes> all;
      for (int rank : group)
        all.push_back(makeSource(test, i, rank, run));
      Bytes expected = makeExpected(test, test.parts[i], all, index);
      const std::byte *target = targets[i].data() + guardBytes;
      if (std::memcmp(target, expected.data(), expected.size()) != 0)
        return fmt::format("{}: part {} is wrong on member {} of {} in run {}", describe(), i, index, group.size(), run);
      for (size_t j = 0; j < guardBytes; ++j)
        if (targets[i][j] != guard || targets[i][targets[i].size() - 1 - j] != guard)
          return fmt::format("{}: part {}: bytes beside the target have changed", describe(), i);
      if (!test.isInPlace && sources[i] != all[static_cast<size_t>(index)])
        return fmt::format("{}: part {}: the source has changed", describe(), i);
    }
    return {};
  }

  Case test;
  std::vector<int> group;
  int index = 0;
  std::vector<Bytes> sources, targets;
  std::unique_ptr<Collective> collective;
};

} // namespace

std::string test::checkRandomCollectives(Communicator &communicator, uint64_t seed, int count, Device *device) {
  Random random(seed);
  TensorMemory memory(device);
  RankMesh mesh(makeMesh(random, communicator.getNumRanks()));
  std::vector<std::unique_ptr<RankCase>> cases;
  for (int i = 0; i < count; ++i)
    cases.push_back(std::make_unique<RankCase>(makeCase(random, mesh), mesh, communicator, memory));
  for (int run = 0; run < 2; ++run) {
    std::vector<Collective *> inFlight;
    auto waitForOne = [&] {
      size_t chosen = random() % inFlight.size();
      Error error = communicator.wait(*inFlight[chosen]);
      inFlight.erase(inFlight.begin() + static_cast<ptrdiff_t>(chosen));
      return error ? error.getMessage() : std::string();
    };
    for (auto &test : cases)
      test->fillSources(run);
    memory.upload();
    for (auto &test : cases) {
      if (random() % 3 == 0) {
        if (Error error = communicator.run(*test->collective))
          return error.getMessage();
        continue;
      }
      communicator.start(*test->collective);
      inFlight.push_back(test->collective.get());
      if (inFlight.size() > 4)
        if (std::string message = waitForOne(); !message.empty())
          return message;
    }
    while (!inFlight.empty())
      if (std::string message = waitForOne(); !message.empty())
        return message;
    if (std::string message = memory.download(); !message.empty())
      return message;
    for (auto &test : cases)
      if (std::string message = test->check(run); !message.empty())
        return message;
  }
  // Nobody's tensors go away while others read them.
  Error error = communicator.barrier();
  return error ? error.getMessage() : std::string();
}

std::string test::checkHostHelpers(Communicator &communicator) {
  int rank = communicator.getRank(), ranks = communicator.getNumRanks();
  for (int run = 0; run < 3; ++run) {
    Expected<std::vector<std::string>> all = communicator.allGatherBytes(std::string(static_cast<size_t>(rank * 1000), 'x'));
    if (!all)
      return all.takeError().getMessage();
    for (int i = 0; i < ranks; ++i)
      if ((*all)[static_cast<size_t>(i)] != std::string(static_cast<size_t>(i * 1000), 'x'))
        return fmt::format("allGatherBytes: wrong bytes of rank {}", i);
    int root = run % ranks;
    std::string bytes(size_t(3) << 20, static_cast<char>('a' + rank));
    Expected<std::string> received = communicator.broadcast(bytes, root);
    if (!received)
      return received.takeError().getMessage();
    if (*received != std::string(size_t(3) << 20, static_cast<char>('a' + root)))
      return "broadcast: wrong bytes";
    // The order of a sum shows.
    double values[2] = {rank == 0 ? 1e16 : 1.0, -double(rank)}, sum = 1e16;
    for (int i = 1; i < ranks; ++i)
      sum += 1.0;
    if (Error error = communicator.allReduce(values, Reduction::Sum))
      return error.getMessage();
    if (values[0] != sum || values[1] != -double(ranks * (ranks - 1) / 2))
      return "allReduce: wrong sum";
    double largest[1] = {double(rank % 3)};
    if (Error error = communicator.allReduce(largest, Reduction::Max))
      return error.getMessage();
    if (largest[0] != std::min(ranks - 1, 2))
      return "allReduce: wrong maximum";
    if (Error error = communicator.agree(Error::success()))
      return "agree: an error out of nothing: " + error.getMessage();
    Error error = communicator.agree(rank == ranks - 1 ? Error::configuration("the last one") : Error::success());
    if (!error || error.getExitCode() != 2 || error.getMessage() != "the last one")
      return "agree: not the last rank's error";
  }
  return {};
}

std::string test::waitInChains(Communicator &communicator) {
  int rank = communicator.getRank();
  if (rank == 3) {
    // Long enough for the others to give up.
    std::this_thread::sleep_for(std::chrono::duration<double>(4 * communicator.getOptions().timeoutSeconds));
    return {};
  }
  float value = 1;
  CollectiveDescription description;
  description.kind = CollectiveKind::AllReduce;
  description.type = executable::F32;
  description.elementBytes = sizeof(value);
  description.group = rank == 0 ? std::vector<int>{0, 1} : std::vector<int>{rank, 3};
  auto *bytes = reinterpret_cast<std::byte *>(&value);
  description.parts.push_back({{1}, 0, 0, bytes, bytes});
  description.name = "all_reduce";
  std::unique_ptr<Collective> collective = communicator.prepare(std::move(description));
  // Rank 0 gives up first.
  if (rank > 0)
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
  Error error = communicator.run(*collective);
  return error ? error.getMessage() : "no error";
}
