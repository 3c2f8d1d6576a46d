//===- Grouping.cpp - Which ops become one kernel -------------------------===//

#include "passes/fusion/Grouping.h"

#include "passes/kernels/Elementwise.h"

using namespace mlir;
using namespace primus;
using namespace primus::fusion;

/// Below this a fusion saves a launch at most, and is not worth a remark or a common kernel of unrelated ops.
static constexpr int64_t kSmallBytes = 4096;
/// More would not fit in registers.
static constexpr size_t kMostNodes = 64;
/// Two kernels of which each moves more than `kLargeBytes` gain nothing from a launch less, and from what both touch only if it is one part
/// in `kLeastShare`: pieces of a loss, say, that have their labels in common. Apart they need less memory and fewer registers at a time.
static constexpr int64_t kLargeBytes = 1 << 20, kLeastShare = 64;
/// Inputs and outputs of a kernel that grew: each takes up to four of the hundred scalar registers of an AMD GPU, and its share of the caches.
/// Products and the gradients of attention (several kernels, none of which has all) have more, of which those that are more than one part in
/// `kLeastShare` of the largest have a share of the caches.
static constexpr size_t kMostBuffers = 12, kMostBuffersOfProduct = 20;
static constexpr int64_t kMostLargeBuffers = 12;

int64_t fusion::getBytes(Value value) {
  auto type = cast<RankedTensorType>(value.getType());
  return llvm::divideCeil(type.getNumElements() * type.getElementTypeBitWidth(), 8);
}

bool fusion::isView(Operation *op) {
  if (isa<graph::ReshapeOp>(op))
    return true;
  auto slice = dyn_cast<graph::SliceOp>(op);
  if (!slice || slice.getType().getRank() == 0)
    return false;
  auto source = cast<RankedTensorType>(slice.getOperand().getType());
  return slice.getType().getShape().drop_front() == source.getShape().drop_front();
}

static bool isCollective(Operation *op) { return isa<graph::CollectiveOpInterface>(op); }

bool fusion::isCollective(const Group &group) { return !group.nodes.empty() && ::isCollective(group.nodes.front()); }

/// Cheap to compute wherever it is used, from no more bytes than it has.
static bool isInline(Operation *op) {
  if (isa<graph::BroadcastOp, graph::IotaOp>(op) || kernels::getSplat(op))
    return true;
  if (isa<graph::SliceOp>(op))
    return !isView(op);
  auto convert = dyn_cast<graph::ConvertOp>(op);
  return convert && getBytes(convert.getOperand()) <= getBytes(convert.getResult());
}

/// Ops that take their operands as tiles, so that inline ops can be computed with them.
static bool takesTiles(Operation *op) {
  return kernels::isElementwise(op) || isa<graph::ReduceOp, graph::GatherOp>(op) || isInline(op);
}

/// What a value is a view of.
static Value getRoot(Value value) {
  while (Operation *op = value.getDefiningOp()) {
    if (!isView(op))
      break;
    value = op->getOperand(0);
  }
  return value;
}

//===----------------------------------------------------------------------===//
// Roles
//===----------------------------------------------------------------------===//

Grouping::Grouping(func::FuncOp function)
    : function(function), traits(kernel::TargetTraits::get(function->getParentOfType<ModuleOp>())) {
  for (auto [index, op] : llvm::enumerate(function.front()))
    order[&op] = index;
}

void Grouping::demote(Value value) {
  Operation *op = getRoot(value).getDefiningOp();
  if (op && isInline(op))
    nodes.insert(op);
}

void Grouping::findNodes() {
  for (Operation &op : function.front()) {
    bool reads = !takesTiles(&op) && !isView(&op);
    if (reads && !op.hasTrait<OpTrait::IsTerminator>())
      nodes.insert(&op);
    else if (!reads && !isView(&op) && !isInline(&op))
      nodes.insert(&op);
    if (reads)
      for (Value operand : op.getOperands())
        demote(operand);
  }
}

void Grouping::addConsumers(Value value, llvm::SetVector<Operation *> &found) const {
  for (Operation *user : value.getUsers()) {
    if (isNode(user) || user->hasTrait<OpTrait::IsTerminator>())
      found.insert(user);
    else
      for (Value result : user->getResults())
        addConsumers(result, found);
  }
}

void Grouping::sortByPosition(SmallVectorImpl<Operation *> &ops) const {
  llvm::sort(ops, [&](Operation *a, Operation *b) { return position(a) < position(b); });
}

//===----------------------------------------------------------------------===//
// Kernels
//===----------------------------------------------------------------------===//

Kernel Grouping::getKernel(const Group &group) const {
  Kernel kernel;
  llvm::SetVector<Operation *> inside(group.nodes.begin(), group.nodes.end());
  inside.insert(group.copies.begin(), group.copies.end());
  const llvm::SetVector<Operation *> computed = inside;

  // Inline ops join, and views of what is inside.
  SmallVector<Operation *> worklist(inside.begin(), inside.end());
  while (!worklist.empty()) {
    Operation *op = worklist.pop_back_val();
    for (Value operand : op->getOperands()) {
      Operation *source = operand.getDefiningOp(), *root = getRoot(operand).getDefiningOp();
      bool joins = root && (computed.contains(root) || (isInline(root) && !isNode(root)));
      if (!joins)
        kernel.inputs.insert(operand);
      else if (inside.insert(source))
        worklist.push_back(source);
    }
  }
  kernel.ops = inside.takeVector();
  sortByPosition(kernel.ops);
  // Inputs in the order of their first use.
  llvm::SetVector<Value> inputs;
  for (Operation *op : kernel.ops)
    for (Value operand : op->getOperands())
      if (kernel.inputs.contains(operand))
        inputs.insert(operand);
  kernel.inputs = std::move(inputs);

  for (Operation *op : group.nodes)
    for (Value result : op->getResults()) {
      llvm::SetVector<Operation *> readers;
      addConsumers(result, readers);
      bool isRead = llvm::any_of(readers, [&](Operation *reader) {
        if (reader->hasTrait<OpTrait::IsTerminator>())
          return true;
        if (llvm::is_contained(group.nodes, reader))
          return false;
        // A group that computes the value itself does not read it; a copy of the reader may.
        for (const Group &other : groups)
          if ((llvm::is_contained(other.nodes, reader) || llvm::is_contained(other.copies, reader)) &&
              !llvm::is_contained(other.copies, op) && !llvm::is_contained(other.nodes, op))
            return true;
        return false;
      });
      if (isRead)
        kernel.outputs.push_back(result);
    }
  return kernel;
}

const kernels::KernelFamily *Grouping::findFamily(const Kernel &kernel, std::string &reason) const {
  reason = "nothing reads its results";
  if (kernel.outputs.empty())
    return nullptr;
  for (const kernels::KernelFamily *family : kernels::getFamilies())
    if (family->accepts({kernel.ops, kernel.outputs, &traits}, reason))
      return family;
  return nullptr;
}

bool Grouping::demoteOperands(Operation *op) {
  size_t before = nodes.size();
  for (Value operand : op->getOperands())
    demote(operand);
  return nodes.size() != before;
}

LogicalResult Grouping::startGroups() {
  // Each node alone must have a kernel; where inline operands are in the way they are computed before.
  for (bool changed = true; changed;) {
    changed = false;
    SmallVector<Operation *> sorted(nodes.begin(), nodes.end());
    sortByPosition(sorted);
    for (Operation *op : sorted) {
      if (::isCollective(op))
        continue;
      Group group{{op}, {}};
      Kernel kernel = getKernel(group);
      // All results count: which are read is known when the groups are formed.
      kernel.outputs.assign(op->result_begin(), op->result_end());
      std::string reason;
      if (findFamily(kernel, reason))
        continue;
      bool demoted = false;
      for (Operation *inner : kernel.ops)
        demoted |= demoteOperands(inner);
      if (!demoted)
        return op->emitOpError("has no kernel: ") << reason;
      changed = true;
    }
  }
  SmallVector<Operation *> sorted(nodes.begin(), nodes.end());
  sortByPosition(sorted);
  for (Operation *op : sorted) {
    groupOf[op] = groups.size();
    groups.push_back({{op}, {}});
    for (Value result : op->getResults())
      addConsumers(result, consumers[op]);
  }
  return success();
}

//===----------------------------------------------------------------------===//
// Merging
//===----------------------------------------------------------------------===//

Group Grouping::unite(const Group &a, const Group &b) const {
  Group group = a;
  group.nodes.append(b.nodes);
  sortByPosition(group.nodes);
  return group;
}

SmallVector<Grouping::Merge> Grouping::findMerges() const {
  std::map<std::pair<unsigned, unsigned>, int64_t> bytes;
  // What one group writes and another reads: the reading is saved, and the writing where nothing else reads.
  DenseMap<Value, SmallVector<unsigned>> readers;
  for (auto [index, group] : llvm::enumerate(groups)) {
    for (Operation *op : group.nodes)
      for (Value result : op->getResults()) {
        llvm::SetVector<Operation *> users;
        addConsumers(result, users);
        llvm::SmallSetVector<unsigned, 4> others;
        bool escapes = false;
        for (Operation *user : users) {
          escapes |= user->hasTrait<OpTrait::IsTerminator>();
          if (auto other = groupOf.find(user); other != groupOf.end() && other->second != index)
            others.insert(other->second);
        }
        for (unsigned other : others)
          if (!isCollective(group) && !isCollective(groups[other]))
            bytes[{index, other}] += getBytes(result) * (others.size() == 1 && !escapes ? 2 : 1);
      }
    if (group.nodes.empty() || isCollective(group))
      continue;
    // Once, though it may be read through several views.
    llvm::SmallSetVector<Value, 8> roots;
    for (Value input : getKernel(group).inputs)
      roots.insert(getRoot(input));
    for (Value root : roots)
      readers[root].push_back(index);
  }
  // What two groups read.
  for (auto &[value, indices] : readers)
    for (size_t i = 0; i < indices.size(); ++i)
      for (size_t j = i + 1; j < indices.size(); ++j)
        if (getBytes(value) >= kSmallBytes)
          bytes[{indices[i], indices[j]}] += getBytes(value);

  SmallVector<Merge> merges;
  for (auto &[pair, saved] : bytes)
    merges.push_back({pair.first, pair.second, saved});
  llvm::sort(merges, [](const Merge &a, const Merge &b) {
    return std::tuple(-a.bytes, a.a, a.b) < std::tuple(-b.bytes, b.a, b.b);
  });
  return merges;
}

bool Grouping::reaches(unsigned from, unsigned to) const {
  // By way of a third group.
  llvm::SmallSetVector<unsigned, 16> seen;
  auto visit = [&](unsigned index, bool isStart) {
    for (Operation *op : groups[index].nodes)
      for (Operation *user : consumers.find(op)->second)
        if (auto group = groupOf.find(user); group != groupOf.end() && group->second != index)
          if (!isStart || group->second != to)
            seen.insert(group->second);
  };
  visit(from, true);
  for (unsigned i = 0; i < seen.size(); ++i) {
    if (seen[i] == to)
      return true;
    visit(seen[i], false);
  }
  return false;
}

static bool hasTooManyBuffers(const Kernel &kernel) {
  SmallVector<int64_t> sizes;
  for (Value buffer : llvm::concat<const Value>(kernel.inputs, kernel.outputs))
    sizes.push_back(getBytes(buffer));
  if (llvm::none_of(kernel.ops, llvm::IsaPred<graph::MatmulOp, graph::ScaledMatmulOp, graph::AttentionGradOp>))
    return sizes.size() > kMostBuffers;
  int64_t least = *llvm::max_element(sizes) / kLeastShare;
  return sizes.size() > kMostBuffersOfProduct || llvm::count_if(sizes, [&](int64_t size) { return size > least; }) > kMostLargeBuffers;
}

bool Grouping::makesCycle(unsigned a, unsigned b) const { return reaches(a, b) || reaches(b, a); }

int64_t Grouping::getMovedBytes(const Group &group) const {
  Kernel kernel = getKernel(group);
  int64_t bytes = 0;
  for (Value input : kernel.inputs)
    bytes += getBytes(input);
  for (Value output : kernel.outputs)
    bytes += getBytes(output);
  return bytes;
}

bool Grouping::tryMerge(const Merge &merge, std::string &reason) {
  const Group &a = groups[merge.a], &b = groups[merge.b];
  if (int64_t least = std::min(getMovedBytes(a), getMovedBytes(b)); least > kLargeBytes && merge.bytes * kLeastShare < least) {
    reason = "it would save too little of what each of them moves";
    return false;
  }
  if (a.nodes.size() + b.nodes.size() > kMostNodes) {
    reason = "the kernel would have too many ops";
    return false;
  }
  if (makesCycle(merge.a, merge.b)) {
    reason = "another kernel computes from one what the other needs";
    return false;
  }
  Group united = unite(a, b);
  // The kernel's outputs depend on what the other groups read, so that both must have given way.
  Group first = std::exchange(groups[merge.a], united), second = std::exchange(groups[merge.b], Group());
  Kernel kernel = getKernel(united);
  bool isTooLarge = hasTooManyBuffers(kernel);
  if (isTooLarge || !findFamily(kernel, reason)) {
    groups[merge.a] = first;
    groups[merge.b] = second;
    reason = isTooLarge ? "the kernel would have too many inputs and outputs" : "";
    return false;
  }
  for (Operation *op : united.nodes)
    groupOf[op] = merge.a;
  return true;
}

/// Of the many families that refuse, those of the two groups matter.
std::string Grouping::explainRefusal(const Merge &merge) {
  std::string text, ignored;
  llvm::SmallSetVector<const kernels::KernelFamily *, 2> families;
  for (unsigned index : {merge.a, merge.b})
    families.insert(findFamily(getKernel(groups[index]), ignored));
  Group united = unite(groups[merge.a], groups[merge.b]);
  Group first = std::exchange(groups[merge.a], united), second = std::exchange(groups[merge.b], Group());
  Kernel kernel = getKernel(united);
  for (const kernels::KernelFamily *family : families) {
    std::string reason;
    if (!family || family->accepts({kernel.ops, kernel.outputs, &traits}, reason))
      continue;
    text += (text.empty() ? "" : "; ") + family->getName().str() + ": " + reason;
  }
  groups[merge.a] = first;
  groups[merge.b] = second;
  return text.empty() ? "no kernel family takes both" : text;
}

/// Values that another group can compute from no more bytes than it would read are not passed through memory.
void Grouping::recompute() {
  for (unsigned index = 0; index < groups.size(); ++index)
    for (Operation *op : SmallVector<Operation *>(groups[index].nodes))
      if (kernels::isElementwise(op))
        recompute(op->getResult(0));
}

bool Grouping::recompute(Value value) {
  unsigned owner = groupOf.lookup(value.getDefiningOp());
  Kernel home = getKernel(groups[owner]);
  if (!llvm::is_contained(home.outputs, value))
    return false;
  llvm::SmallSetVector<unsigned, 4> readers;
  for (Operation *user : consumers.find(value.getDefiningOp())->second) {
    if (user->hasTrait<OpTrait::IsTerminator>())
      return false;
    unsigned reader = groupOf.lookup(user);
    if (reader != owner)
      readers.insert(reader);
  }

  // The nodes of its own group from which the value is computed, up to what is in memory anyway.
  llvm::SetVector<Operation *> copies;
  SmallVector<Operation *> worklist{value.getDefiningOp()};
  constexpr unsigned mostCopies = 8;
  while (!worklist.empty()) {
    Operation *op = worklist.pop_back_val();
    if (isNode(op)) {
      if (!kernels::isElementwise(op) || copies.size() == mostCopies)
        return false;
      copies.insert(op);
    }
    for (Value operand : op->getOperands()) {
      Value root = getRoot(operand);
      Operation *source = root.getDefiningOp();
      bool isHere = source && (isNode(source) ? groupOf.lookup(source) == owner : isInline(source));
      bool inMemory = root != value && llvm::is_contained(home.outputs, root);
      if (isHere && !inMemory && !copies.contains(source))
        worklist.push_back(source);
    }
  }

  int64_t saved = getBytes(value);
  SmallVector<std::pair<unsigned, Group>> changed;
  for (unsigned reader : readers) {
    Group group = groups[reader];
    for (Operation *copy : copies)
      if (!llvm::is_contained(group.copies, copy))
        group.copies.push_back(copy);
    Kernel before = getKernel(groups[reader]), after = getKernel(group);
    std::string reason;
    if (hasTooManyBuffers(after) || !findFamily(after, reason))
      return false;
    for (Value input : before.inputs)
      saved += getBytes(input);
    for (Value input : after.inputs)
      saved -= getBytes(input);
    changed.push_back({reader, std::move(group)});
  }
  if (saved <= 0 || readers.empty())
    return false;
  for (auto &[reader, group] : changed)
    groups[reader] = std::move(group);
  return true;
}

LogicalResult Grouping::run() {
  findNodes();
  if (failed(startGroups()))
    return failure();
  // A pair that was refused stays refused until one of its groups grows.
  std::map<std::pair<unsigned, unsigned>, std::string> refused;
  for (bool merged = true; merged;) {
    merged = false;
    llvm::SmallDenseSet<unsigned> touched;
    for (const Merge &merge : findMerges()) {
      std::pair<unsigned, unsigned> pair(merge.a, merge.b);
      if (touched.contains(merge.a) || touched.contains(merge.b) || refused.contains(pair))
        continue;
      std::string reason;
      if (!tryMerge(merge, reason)) {
        refused[pair] = reason;
        continue;
      }
      merged = true;
      touched.insert(merge.a);
      touched.insert(merge.b);
    }
    for (auto entry = refused.begin(); entry != refused.end();)
      entry = touched.contains(entry->first.first) || touched.contains(entry->first.second) ? refused.erase(entry) : std::next(entry);
  }
  recompute();

  // Only what passes between two groups is worth a remark, and only if someone listens.
  if (!function.getContext()->getRemarkEngine())
    return success();
  for (const Merge &merge : findMerges())
    if (auto entry = refused.find({merge.a, merge.b}); entry != refused.end() && merge.bytes >= kSmallBytes)
      missed.push_back({groups[merge.a].nodes.back(), groups[merge.b].nodes.front(), merge.bytes,
                        entry->second.empty() ? explainRefusal(merge) : entry->second});
  return success();
}

SmallVector<Group> Grouping::getOrderedGroups() const {
  SmallVector<Group> ordered;
  llvm::SmallDenseSet<Operation *> done;
  SmallVector<unsigned> waiting;
  for (unsigned index = 0; index < groups.size(); ++index)
    if (!groups[index].nodes.empty())
      waiting.push_back(index);
  while (!waiting.empty()) {
    // The first group, in program order, all of whose inputs are there.
    auto next = llvm::find_if(waiting, [&](unsigned index) {
      return llvm::all_of(getKernel(groups[index]).inputs, [&](Value input) {
        Operation *op = getRoot(input).getDefiningOp();
        return !op || done.contains(op);
      });
    });
    assert(next != waiting.end() && "groups do not form a cycle");
    for (Operation *op : groups[*next].nodes)
      done.insert(op);
    ordered.push_back(groups[*next]);
    waiting.erase(next);
  }
  return ordered;
}
