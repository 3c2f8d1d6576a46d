//===- Table.cpp - A pipeline schedule as a table -------------------------===//

#include "passes/schedules/Table.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/FormatVariadic.h"

using namespace primus;
using namespace primus::schedules;
using llvm::StringRef;

namespace {

struct Name {
  ActionKind kind;
  llvm::StringLiteral text;
};

} // namespace

static constexpr Name kNames[] = {
    {ActionKind::Forward, "F"},           {ActionKind::Backward, "B"},         {ActionKind::InputGradient, "I"},
    {ActionKind::WeightGradient, "W"},    {ActionKind::SendForward, "SEND_F"}, {ActionKind::ReceiveForward, "RECV_F"},
    {ActionKind::SendBackward, "SEND_B"}, {ActionKind::ReceiveBackward, "RECV_B"},
    {ActionKind::Unshard, "UNSHARD"},     {ActionKind::Reshard, "RESHARD"},    {ActionKind::Reduce, "REDUCE_GRAD"},
};

/// More than any pipeline has; keeps arithmetic on counts far from overflow.
static constexpr int32_t kMostStages = 1 << 16, kMostMicrobatches = 1 << 20;

bool schedules::isCompute(ActionKind kind) {
  return kind == ActionKind::Forward || kind == ActionKind::Backward || kind == ActionKind::InputGradient ||
         kind == ActionKind::WeightGradient;
}

bool schedules::isOfParameters(ActionKind kind) {
  return kind == ActionKind::Unshard || kind == ActionKind::Reshard || kind == ActionKind::Reduce;
}

std::string schedules::toString(const Action &action) {
  if (action.kind == ActionKind::Idle)
    return "";
  const Name *name = llvm::find_if(kNames, [&](const Name &name) { return name.kind == action.kind; });
  std::string text = std::to_string(action.stage) + name->text.str();
  return isOfParameters(action.kind) ? text : text + std::to_string(action.microbatch);
}

template <typename... Values>
static llvm::Error fail(const char *format, Values &&...values) {
  return llvm::createStringError(llvm::formatv(format, std::forward<Values>(values)...));
}

llvm::Expected<Action> schedules::parseAction(StringRef text) {
  text = text.trim();
  if (text.empty())
    return Action();
  Action action;
  StringRef rest = text.drop_while(llvm::isDigit), stage = text.drop_back(rest.size());
  StringRef name = rest.take_until(llvm::isDigit), microbatch = rest.drop_front(name.size());
  const Name *known = llvm::find_if(kNames, [&](const Name &known) { return known.text == name; });
  if (known == std::end(kNames))
    return fail("'{0}' is no action: those are <stage><kind><microbatch>, as 0F1, of the kinds F, B, I, W, SEND_F, RECV_F, "
                "SEND_B, RECV_B, and <stage>UNSHARD, <stage>RESHARD, <stage>REDUCE_GRAD",
                text);
  action.kind = known->kind;
  if (stage.getAsInteger(10, action.stage) || action.stage >= kMostStages)
    return fail("'{0}' does not begin with the number of a stage", text);
  if (isOfParameters(action.kind) ? !microbatch.empty()
                                  : microbatch.getAsInteger(10, action.microbatch) || action.microbatch >= kMostMicrobatches)
    return fail(isOfParameters(action.kind) ? "'{0}' names a microbatch, which parameters do not have"
                                            : "'{0}' does not end with the number of a microbatch",
                text);
  return action;
}

bool Table::hasMessages() const {
  return llvm::any_of(rows, [](const std::vector<Action> &row) {
    return llvm::any_of(row, [](const Action &action) {
      return action.kind == ActionKind::SendForward || action.kind == ActionKind::ReceiveForward ||
             action.kind == ActionKind::SendBackward || action.kind == ActionKind::ReceiveBackward;
    });
  });
}

llvm::Expected<Table> schedules::parseCsv(StringRef text) {
  Table table;
  llvm::SmallVector<StringRef> lines;
  text.rtrim().split(lines, '\n');
  if (text.trim().empty())
    return fail("the table has no line; it needs one per rank of the pipeline");
  for (auto [line, cells] : llvm::enumerate(lines)) {
    llvm::SmallVector<StringRef> parts;
    cells.trim().split(parts, ',');
    std::vector<Action> &row = table.rows.emplace_back();
    for (auto [column, cell] : llvm::enumerate(parts)) {
      llvm::Expected<Action> action = parseAction(cell);
      if (!action)
        return fail("line {0}, cell {1}: {2}", line + 1, column + 1, llvm::toString(action.takeError()));
      if (action->kind == ActionKind::Forward) {
        table.stages = std::max(table.stages, action->stage + 1);
        table.microbatches = std::max(table.microbatches, action->microbatch + 1);
        table.rankOfStage.resize(table.stages, -1);
        int32_t &rank = table.rankOfStage[action->stage];
        if (rank >= 0 && rank != static_cast<int32_t>(line))
          return fail("line {0}, cell {1}: stage {2} is on rank {3} already", line + 1, column + 1, action->stage, rank);
        rank = line;
      }
      row.push_back(*action);
    }
  }
  for (auto [stage, rank] : llvm::enumerate(table.rankOfStage))
    if (rank < 0)
      return fail("no rank runs stage {0} forward, but there is a stage {1}", stage, table.stages - 1);
  for (auto [line, row] : llvm::enumerate(table.rows))
    for (auto [column, action] : llvm::enumerate(row))
      if (action.kind != ActionKind::Idle && (action.stage >= table.stages || action.microbatch >= table.microbatches))
        return fail("line {0}, cell {1}: {2} is of a stage or microbatch that nothing runs forward", line + 1, column + 1,
                    toString(action));
  return table;
}

std::string schedules::toCsv(const Table &table) {
  std::string text;
  for (const std::vector<Action> &row : table.rows)
    text += llvm::join(llvm::map_range(row, [](const Action &action) { return toString(action); }), ",") + "\n";
  return text;
}
