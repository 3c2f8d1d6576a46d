//===- Communication.cpp - What a step exchanges between ranks ------------===//

#include "runtime/metrics/Communication.h"

#include "runtime/executable/Collectives.h"
#include "runtime/executable/Mesh.h"
#include "runtime/executable/Types.h"

#include <map>

using namespace primus;
using namespace primus::runtime;

namespace {

using ActionList = google::protobuf::RepeatedPtrField<executable::Action>;

/// Goes through the actions of a program and of what it calls.
class CommunicationSum {
public:
  explicit CommunicationSum(const executable::Executable &executable) : executable(executable), mesh(executable.mesh()) {}

  void add(const ActionList &actions, int64_t times);
  std::vector<Communication> take() const;

private:
  int64_t countBytes(const executable::Collective &collective) const;

  const executable::Executable &executable;
  const RankMesh mesh;
  struct Total {
    int64_t count = 0, bytes = 0;
  };
  std::map<std::tuple<std::string, std::vector<std::string>, bool>, Total> totals;
};

} // namespace

int64_t CommunicationSum::countBytes(const executable::Collective &collective) const {
  CollectiveKind kind = *parseCollectiveKind(collective.kind());
  int64_t ranks = mesh.getGroupSize(collective.axes()), elementBytes = *getElementBytes(collective.data_type());
  int64_t bytes = 0;
  for (const executable::Part &part : collective.parts())
    bytes += getPartBytes(kind, part, elementBytes, ranks)->source;
  return getSentBytes(kind, bytes, ranks, collective.shift());
}

void CommunicationSum::add(const ActionList &actions, int64_t times) {
  for (const executable::Action &action : actions) {
    if (action.has_call())
      add(executable.functions(action.call().function()).actions(), times);
    else if (action.has_loop())
      add(action.loop().body(), times * action.loop().count());
    else if (action.has_collective() && action.collective().kind() != toString(CollectiveKind::Block)) {
      const executable::Collective &collective = action.collective();
      std::vector<std::string> axes(collective.axes().begin(), collective.axes().end());
      Total &total = totals[{collective.kind(), std::move(axes), collective.ticket() != 0}];
      total.count += times;
      total.bytes += times * countBytes(collective);
    }
  }
}

std::vector<Communication> CommunicationSum::take() const {
  std::vector<Communication> result;
  for (const auto &[key, total] : totals) {
    const auto &[kind, axes, asynchronous] = key;
    result.push_back({kind, axes, asynchronous, total.count, total.bytes});
  }
  return result;
}

std::vector<Communication> runtime::sumCommunication(const executable::Executable &executable, const executable::Program &program) {
  CommunicationSum sum(executable);
  sum.add(program.actions(), 1);
  return sum.take();
}
