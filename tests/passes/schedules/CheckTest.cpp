//===- CheckTest.cpp - Tables that work and tables that do not ------------===//

#include "passes/schedules/Check.h"
#include "passes/schedules/Schedules.h"

#include <deque>
#include <gtest/gtest.h>
#include <map>
#include <random>
#include <set>

using namespace primus::schedules;

namespace {

Table parse(llvm::StringRef csv) { return llvm::cantFail(parseCsv(csv)); }

std::string getMessage(const Table &table) {
  std::optional<Defect> defect = check(table);
  return defect ? std::to_string(defect->rank) + "," + std::to_string(defect->column) + ": " + defect->message : "";
}

/// The same judgement by executing the table with tensors that exist or do not, as a person would: a rank goes on while
/// what its next cell uses is there; messages are queues.
class Execution {
public:
  explicit Execution(const Table &table) : table(table), next(table.rows.size(), 0) {}

  bool succeeds() {
    for (bool moved = true; moved;) {
      moved = false;
      for (int32_t rank = 0; rank < table.getRanks(); ++rank)
        while (next[rank] < table.rows[rank].size() && step(rank, table.rows[rank][next[rank]])) {
          ++next[rank];
          moved = true;
        }
    }
    for (int32_t rank = 0; rank < table.getRanks(); ++rank)
      if (next[rank] < table.rows[rank].size())
        return false;
    for (auto &[ranks, queue] : sent)
      if (!queue.empty())
        return false;
    for (auto &[ranks, queue] : expected)
      if (!queue.empty())
        return false;
    for (int32_t stage = 0; stage < table.stages; ++stage)
      for (int32_t microbatch = 0; microbatch < table.microbatches; ++microbatch)
        if (!done.count({ActionKind::Forward, stage, microbatch}) || !done.count({ActionKind::WeightGradient, stage, microbatch}))
          return false;
    return true;
  }

private:
  using Key = std::tuple<ActionKind, int32_t, int32_t>;
  using Ranks = std::pair<int32_t, int32_t>;

  /// An activation that enters a stage (Forward) or a gradient that does (InputGradient), on the stage's rank.
  bool has(ActionKind kind, int32_t stage, int32_t microbatch) { return arrived.count({kind, stage, microbatch}); }

  void deliver(Ranks ranks) {
    auto &messages = sent[ranks], &wanted = expected[ranks];
    while (!messages.empty() && !wanted.empty() && messages.front() == wanted.front()) {
      arrived.insert(messages.front());
      messages.pop_front();
      wanted.pop_front();
    }
  }

  /// Hands a result to the stage next to it; null message: the stages are on one rank.
  void passOn(ActionKind kind, int32_t stage, int32_t to, int32_t microbatch) {
    if (to >= 0 && to < table.stages && table.rankOfStage[to] == table.rankOfStage[stage])
      arrived.insert({kind, to, microbatch});
  }

  bool compute(const Action &action) {
    bool isForward = action.kind == ActionKind::Forward;
    auto isDone = [&](ActionKind kind) { return done.count({kind, action.stage, action.microbatch}) != 0; };
    auto finish = [&](ActionKind kind) { done.insert({kind, action.stage, action.microbatch}); };
    if (isForward) {
      if (isDone(action.kind) || (action.stage > 0 && !has(ActionKind::Forward, action.stage, action.microbatch)))
        return false;
      finish(action.kind);
      passOn(ActionKind::Forward, action.stage, action.stage + 1, action.microbatch);
      return true;
    }
    if (action.kind == ActionKind::WeightGradient) {
      if (!isDone(ActionKind::InputGradient) || isDone(action.kind))
        return false;
      finish(action.kind);
      return true;
    }
    bool isLast = action.stage + 1 == table.stages;
    if (!isDone(ActionKind::Forward) || isDone(ActionKind::InputGradient) ||
        (!isLast && !has(ActionKind::InputGradient, action.stage, action.microbatch)))
      return false;
    finish(ActionKind::InputGradient);
    if (action.kind == ActionKind::Backward)
      finish(ActionKind::WeightGradient);
    passOn(ActionKind::InputGradient, action.stage, action.stage - 1, action.microbatch);
    return true;
  }

  bool step(int32_t rank, const Action &action) {
    if (action.kind == ActionKind::Idle)
      return true;
    if (table.rankOfStage[action.stage] != rank)
      return false;
    if (isCompute(action.kind))
      return compute(action);
    bool forward = action.kind == ActionKind::SendForward || action.kind == ActionKind::ReceiveForward;
    bool sends = action.kind == ActionKind::SendForward || action.kind == ActionKind::SendBackward;
    ActionKind what = forward ? ActionKind::Forward : ActionKind::InputGradient;
    int32_t other = action.stage + (forward == sends ? 1 : -1);
    if (other < 0 || other >= table.stages || table.rankOfStage[other] == rank)
      return false;
    if (!sends) {
      // Started too late, the stage has computed without it already: `compute` has said so.
      expected[{table.rankOfStage[other], rank}].push_back({what, action.stage, action.microbatch});
      deliver({table.rankOfStage[other], rank});
      return true;
    }
    Key key{what, action.stage, action.microbatch}, message{what, other, action.microbatch};
    if (!done.count(key) || !once.insert({action.kind, action.stage, action.microbatch}).second)
      return false;
    sent[{rank, table.rankOfStage[other]}].push_back(message);
    deliver({rank, table.rankOfStage[other]});
    return true;
  }

  const Table &table;
  std::vector<size_t> next;
  std::set<Key> done, arrived, once;
  std::map<Ranks, std::deque<Key>> sent, expected;
};

/// Changes a table a little; most results do not work, some do.
void mutate(Table &table, std::mt19937 &random) {
  auto draw = [&](size_t bound) { return std::uniform_int_distribution<size_t>(0, bound - 1)(random); };
  std::vector<Action> &row = table.rows[draw(table.rows.size())];
  size_t a = draw(row.size()), b = draw(row.size());
  switch (draw(6)) {
  case 0:
    std::swap(row[a], row[b]);
    break;
  case 1:
    std::swap(row[a], row[std::min(a + 1, row.size() - 1)]);
    break;
  case 2:
    if (row.size() > 1)
      row.erase(row.begin() + a);
    break;
  case 3:
    row.insert(row.begin() + a, row[b]);
    break;
  case 4:
    row[a].microbatch = static_cast<int32_t>(draw(table.microbatches));
    break;
  default: {
    Action moved = row[a];
    row[a] = {};
    std::vector<Action> &other = table.rows[draw(table.rows.size())];
    other.insert(other.begin() + draw(other.size() + 1), moved);
  }
  }
}

} // namespace

TEST(ScheduleCheck, AgreesWithAnExecution) {
  std::mt19937 random(11);
  int works = 0, fails = 0;
  for (int round = 0; round < 6000; ++round) {
    const Schedule &schedule = getSchedules()[random() % getSchedules().size()];
    Request request{static_cast<int32_t>(2 + random() % 3), schedule.leastStagesPerRank, static_cast<int32_t>(1 + random() % 4), {}};
    if (schedule.mostStagesPerRank > 2)
      request.stagesPerRank += random() % 2;
    Table table = llvm::cantFail(generate(schedule, request));
    if (random() % 3 == 0) {
      // The computing cells alone, in another order, with new messages: deadlocks between ranks that are each in order.
      for (std::vector<Action> &row : table.rows)
        llvm::erase_if(row, [](const Action &action) { return !isCompute(action.kind); });
      for (int change = 0; change < 2; ++change) {
        std::vector<Action> &row = table.rows[random() % table.rows.size()];
        size_t a = random() % row.size();
        std::rotate(row.begin() + a, row.begin() + a + (random() % (row.size() - a)), row.end());
      }
      addMessages(table);
    } else {
      for (size_t change = random() % 3 + 1; change-- > 0;)
        mutate(table, random);
    }
    bool expected = Execution(table).succeeds();
    (expected ? works : fails) += 1;
    ASSERT_EQ(getMessage(table).empty(), expected) << getMessage(table) << "\n" << toCsv(table);
  }
  EXPECT_GT(works, 300);
  EXPECT_GT(fails, 300);
}

TEST(ScheduleCheck, NamesTheFirstWrongCell) {
  EXPECT_EQ(getMessage(parse("0F0,0B0,0B0")), "0,2: 0B0 stands in column 2 already");
  EXPECT_EQ(getMessage(parse("0F0")), "0,1: 0B0 is missing");
  EXPECT_EQ(getMessage(parse("0F0,0I0")), "0,2: 0W0 is missing");
  EXPECT_EQ(getMessage(parse("0F0,0I0,0W0,0B0")), "0,3: 0B0 and 0I0 are both there: the backward pass would be computed twice");
  EXPECT_EQ(getMessage(parse("0B0,0F0")), "0,0: 0B0 comes before 0F0");
  EXPECT_EQ(getMessage(parse("0F0,0W0,0I0")), "0,1: 0W0 comes before 0I0");
  EXPECT_EQ(getMessage(parse("0F0,0B0\n1F0,1B0")), "0,2: 0SEND_F0 is missing");
  EXPECT_EQ(getMessage(parse("0F0,1F0,0SEND_F0,1B0,0B0")), "0,2: 0SEND_F0 has no counterpart on another rank");
  EXPECT_EQ(getMessage(parse("0F0,0F1,0SEND_F0,0SEND_F1,0RECV_B0,0RECV_B1,0B0,0B1\n1RECV_F1,1RECV_F0,1F0,1F1,1B0,1SEND_B0,1B1,1SEND_B1")),
            "1,0: 1RECV_F1 is received where rank 0 sends 0SEND_F0: messages between two ranks keep their order");
}

TEST(ScheduleCheck, NamesTheCircle) {
  // Stages 0 and 3 on rank 0: it wants the backward pass of microbatch 0 before it has run it forward on stage 2.
  Table table = parse("0F0,2F1,0F1,2F0,2B0,2B1,0B0,0B1\n1F0,1F1,3F0,3F1,3B0,3B1,1B0,1B1");
  addMessages(table);
  EXPECT_NE(getMessage(table).find("no rank can go on: 2F1 of rank 0 waits for 1SEND_F1; 1F1 of rank 1 waits for 0SEND_F1"),
            std::string::npos)
      << getMessage(table);
}

TEST(ScheduleCheck, ParametersAreThereWhereTheyAreUsed) {
  EXPECT_EQ(getMessage(parse("0UNSHARD,0F0,0B0,0RESHARD,0REDUCE_GRAD")), "");
  EXPECT_EQ(getMessage(parse("0UNSHARD,0F0,0RESHARD,0UNSHARD,0B0,0RESHARD,0REDUCE_GRAD")), "");
  EXPECT_EQ(getMessage(parse("0F0,0UNSHARD,0B0")), "0,0: 0F0 needs parameters that are not gathered; 0UNSHARD has to come before");
  EXPECT_EQ(getMessage(parse("0UNSHARD,0F0,0RESHARD,0B0")),
            "0,3: 0B0 needs parameters that are not gathered; 0UNSHARD has to come before");
  EXPECT_EQ(getMessage(parse("0UNSHARD,0UNSHARD,0F0,0B0")), "0,1: 0UNSHARD gathers what is gathered already");
  EXPECT_EQ(getMessage(parse("0F0,0B0,0RESHARD")), "0,2: 0RESHARD frees what is not gathered");
  EXPECT_EQ(getMessage(parse("0F0,0REDUCE_GRAD,0B0")), "0,1: 0REDUCE_GRAD comes before 0B0");
}

TEST(ScheduleCheck, CountsWhatIsKept) {
  Table table = llvm::cantFail(generate(*findSchedule("1f1b"), {4, 1, 8, {}}));
  std::vector<StageBytes> bytes(4, {1000, 0, 10, 1});
  // 4 - rank microbatches; and the next message, which arrives beside a backward pass, with the gradient in use.
  EXPECT_EQ(getPeakBytes(table, bytes), (std::vector<int64_t>{4002, 3011, 2011, 1010}));
  Table divided = parse("0F0,0I0,0W0");
  EXPECT_EQ(getPeakBytes(divided, {{100, 30, 0, 0}}), std::vector<int64_t>{130});
}
