//===- StartMessages.cpp - Messages between stages beside other work -------===//

#include "passes/Passes.h"
#include "passes/step/ActionGraph.h"

#include "llvm/ADT/MapVector.h"

#include <map>

using namespace mlir;
using namespace primus;
using namespace primus::step;

namespace primus {
#define GEN_PASS_DEF_STARTMESSAGES
#include "passes/Passes.h.inc"
} // namespace primus

namespace {

/// What the programs of all stages say of the order of messages: the one with number k from one stage to another is the
/// k-th send there and the k-th receive here.
class MessageOrder {
public:
  /// Stages and their programs.
  explicit MessageOrder(const std::map<int64_t, ProgramOp> &programs);

  /// A message of the stage `send` goes to: once it has come, that stage has started to receive what is sent, so that
  /// waiting for the send ends whatever the stages do then. None if it sends nothing more.
  std::optional<unsigned> getAnswer(SendOp send) const {
    auto found = answers.find(send);
    return found == answers.end() ? std::nullopt : std::optional(found->second);
  }

private:
  llvm::DenseMap<Operation *, unsigned> answers;
};

/// Goes through a program and inserts the waits.
class MessageStarter {
public:
  MessageStarter(ProgramOp program, const MessageOrder &order, AccessAnalysis &analysis, int64_t &lastTicket)
      : block(program.getBody().front()), order(order), analysis(analysis), lastTicket(lastTicket) {}

  void run();

private:
  struct Running {
    ExchangeOpInterface message;
    SmallVector<Access> accesses;
  };
  bool mustWait(Operation *op, ArrayRef<Access> accesses, Running &entry);

  Block &block;
  const MessageOrder &order;
  AccessAnalysis &analysis;
  int64_t &lastTicket;
  SmallVector<Running> running;
  /// By stage: how many messages have been received, and how many of those have come for sure.
  std::map<int64_t, unsigned> received, arrived;
  llvm::DenseMap<Operation *, unsigned> numbers;
};

struct StartMessages : primus::impl::StartMessagesBase<StartMessages> {
  void runOnOperation() override {
    AccessAnalysis analysis(getOperation());
    int64_t lastTicket = 0;
    getOperation().walk([&](ExchangeOpInterface exchange) {
      lastTicket = std::max(lastTicket, static_cast<int64_t>(exchange.getTicket()));
    });
    // Programs by what they are named without their stage.
    llvm::MapVector<StringRef, std::map<int64_t, ProgramOp>> steps;
    for (auto program : getOperation().getOps<ProgramOp>())
      if (std::optional<int64_t> stage = getStage(program))
        steps[program.getSymName().rsplit('.').first][*stage] = program;
    for (auto &[name, programs] : steps) {
      MessageOrder order(programs);
      for (auto &[stage, program] : programs)
        MessageStarter(program, order, analysis, lastTicket).run();
    }
  }
};

} // namespace

MessageOrder::MessageOrder(const std::map<int64_t, ProgramOp> &programs) {
  // Per pair of stages, from and to: where in its program each message is sent and received.
  struct Channel {
    SmallVector<std::pair<SendOp, unsigned>> sends;
    SmallVector<unsigned> receives;
  };
  std::map<std::pair<int64_t, int64_t>, Channel> channels;
  for (auto [stage, program] : programs)
    for (auto [position, op] : llvm::enumerate(ProgramOp(program).getBody().front())) {
      if (auto send = dyn_cast<SendOp>(op))
        channels[{stage, send.getStage()}].sends.push_back({send, position});
      else if (auto receive = dyn_cast<ReceiveOp>(op))
        channels[{receive.getStage(), stage}].receives.push_back(position);
    }
  for (auto &[stages, channel] : channels) {
    auto back = channels.find({stages.second, stages.first});
    if (back == channels.end())
      continue;
    const auto &replies = back->second.sends;
    unsigned answer = 0;
    for (auto [message, position] : llvm::zip(channel.sends, channel.receives)) {
      while (answer < replies.size() && replies[answer].second < position)
        ++answer;
      if (answer < replies.size())
        answers[message.first] = answer;
    }
  }
}

bool MessageStarter::mustWait(Operation *op, ArrayRef<Access> accesses, Running &entry) {
  if (op->hasTrait<OpTrait::IsTerminator>())
    return true;
  // What has certainly been taken goes when the next message does: it has travelled beside something by then.
  auto send = dyn_cast<SendOp>(*entry.message);
  if (std::optional<unsigned> answer = send ? order.getAnswer(send) : std::nullopt)
    if (isa<SendOp>(op) && *answer < arrived[send.getStage()])
      return true;
  return llvm::any_of(accesses, [&](const Access &access) {
    return llvm::any_of(entry.accesses, [&](const Access &used) { return used.conflicts(access); });
  });
}

void MessageStarter::run() {
  for (Operation &op : block) {
    if (!isAction(&op))
      continue;
    SmallVector<Access> accesses = analysis.getAccesses(&op);
    llvm::erase_if(running, [&](Running &entry) {
      if (!mustWait(&op, accesses, entry))
        return false;
      OpBuilder builder(&op);
      WaitOp::create(builder, entry.message.getLoc(), entry.message.getTicket());
      if (auto receive = dyn_cast<ReceiveOp>(*entry.message)) {
        unsigned &count = arrived[receive.getStage()];
        count = std::max(count, numbers[receive] + 1);
      }
      return true;
    });
    auto message = dyn_cast<ExchangeOpInterface>(op);
    if (!message || !isBetweenStages(&op) || message.isAsynchronous())
      continue;
    if (auto receive = dyn_cast<ReceiveOp>(op))
      numbers[&op] = received[receive.getStage()]++;
    message.setTicket(++lastTicket);
    running.push_back({message, std::move(accesses)});
  }
}
