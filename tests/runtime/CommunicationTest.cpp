//===- CommunicationTest.cpp - What a step exchanges between ranks --------===//

#include "runtime/metrics/Communication.h"
#include "runtime/metrics/Report.h"
#include "tests/runtime/TinyExecutable.h"

#include <gtest/gtest.h>

using namespace primus;
using namespace primus::runtime;
using namespace primus::test;

namespace {

/// Three ranks of axis a, two of axis b.
struct CommunicationTest : testing::Test {
  CommunicationTest() { setMesh(executable, {{"a", 3}, {"b", 2}}); }

  void add(google::protobuf::RepeatedPtrField<executable::Action> &actions, const std::string &kind, const std::vector<std::string> &axes,
           const std::vector<int64_t> &shape, int64_t ticket = 0) {
    executable::Collective &collective = addCollective(actions, kind, axes, ticket);
    addPart(collective, shape, inArena(0), inArena(1024));
  }

  executable::Executable executable;
};

TEST_F(CommunicationTest, CountsBytesOfEachKind) {
  executable::Program &program = *executable.add_programs();
  auto &actions = *program.mutable_actions();
  for (const char *kind : {"all_reduce", "reduce_scatter", "all_gather", "all_to_all", "block"})
    add(actions, kind, {"a"}, {6, 6});
  addCollective(actions, "permute", {"a"}).set_shift(1);
  addPart(*actions.rbegin()->mutable_collective(), {6, 6}, inArena(0), inArena(1024));
  addCollective(actions, "permute", {"b"}).set_shift(2);
  addPart(*actions.rbegin()->mutable_collective(), {6, 6}, inArena(0), inArena(1024));

  std::map<std::string, int64_t> bytes;
  for (const Communication &sum : sumCommunication(executable, program))
    bytes[sum.kind + " " + sum.axes.front()] = sum.bytes;
  // 144 bytes on each of three ranks; round trips send nothing, a block stays where it is.
  std::map<std::string, int64_t> expected = {{"all_reduce a", 192}, {"reduce_scatter a", 96}, {"all_gather a", 288},
                                             {"all_to_all a", 96},  {"permute a", 144},       {"permute b", 0}};
  EXPECT_EQ(bytes, expected);
}

TEST_F(CommunicationTest, GoesThroughLoopsAndCalls) {
  executable::Function &function = *executable.add_functions();
  add(*function.mutable_actions(), "all_reduce", {"b"}, {4}, 1);
  addWait(*function.mutable_actions(), 1);
  executable::Program &program = *executable.add_programs();
  program.set_name("train_step");
  executable::Loop &loop = *program.add_actions()->mutable_loop();
  loop.set_count(5);
  loop.add_body()->mutable_call()->set_function(0);
  loop.add_body()->mutable_call()->set_function(0);
  // The same, but the rank waits for it.
  add(*program.mutable_actions(), "all_reduce", {"b"}, {4});

  nlohmann::ordered_json report = makeReport(executable)["ranks"][0]["communication"];
  EXPECT_EQ(report, nlohmann::ordered_json::parse(R"([
    {"kind": "all_reduce", "axes": ["b"], "count": 1, "bytes": 16, "asynchronous": false},
    {"kind": "all_reduce", "axes": ["b"], "count": 10, "bytes": 160, "asynchronous": true}])"));
}

} // namespace
