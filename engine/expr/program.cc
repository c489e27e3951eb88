#include "engine/expr/program.h"

#include <algorithm>
#include <deque>
#include <string>
#include <unordered_map>
#include <unordered_set>

#include <fmt/format.h>

#include "engine/expr/merge.h"
#include "engine/types/encoding.h"

namespace thalweg::expr {

using plan::Expr;
using plan::ExprKind;
using plan::ExprPtr;

namespace {

struct Block;

// One step computes one register of its block. `import` is a register of the enclosing block, for the rows of this one.
struct Step {
  enum class Kind : std::uint8_t { kImport, kColumn, kKey, kLiteral, kCall, kLazy } kind = Kind::kLiteral;
  int node = 0;              // which expression; for reporting an error once
  bool from_secret = false;  // messages do not name values
  ExprKind form{};           // kLazy
  Type type;
  SourceSpan span;
  std::uint32_t column = 0;  // kColumn; kImport: register of the parent
  Column constant;           // kLiteral, one row
  const KernelInfo* kernel = nullptr;
  std::shared_ptr<const void> prepared;
  plan::UserFunctionPtr user;  // kCall: instead of a kernel
  std::vector<int> args;       // registers
  std::vector<Type> arg_types;
  std::vector<std::unique_ptr<Block>> blocks;  // kLazy: what is evaluated over some rows only
};

// A list of steps over one set of rows.
struct Block {
  Block* parent = nullptr;
  std::vector<Step> steps;
  std::unordered_map<int, int> registers;  // node to register
  std::unordered_set<int> eager;           // nodes that every row of this block needs
  int result = 0;
  bool whole = false;  // cheaper over all rows than to pick out those that are needed; see runs_whole
};

// Functions that cost about what picking a row costs. Where only some rows need them they are computed for all, and
// errors of the other rows are dropped: kernels are pure (F3).
constexpr std::string_view kCheap[] = {
    "add", "sub", "mul", "truediv", "floordiv", "mod",     "neg",     "eq",      "ne",          "lt",   "le",
    "gt",  "ge",  "not", "bit_and", "bit_or",   "bit_xor", "bit_not", "is_none", "is_not_none", "cast", "abs"};

bool is_cheap(const Expr& call) {
  for (const ExprPtr& arg : call.args)
    if (arg->type.phys() == Phys::kView) return false;
  return call.type.phys() != Phys::kView && std::ranges::find(kCheap, call.function) != std::end(kCheap);
}

// ---------------------------------------------------------------- errors of kernels

struct RunContext {
  const Batch& batch;
  RowErrors& errors;
  std::unordered_set<std::uint64_t> reported;  // node and row
};

struct Frame {
  std::size_t rows = 0;
  const Rows* origin = nullptr;                       // rows of the batch, null: all of them
  const std::vector<std::uint8_t>* needed = nullptr;  // rows whose errors count, null: all of them
  std::vector<Column> registers;
};

class StepErrors final : public CellErrors {
 public:
  StepErrors(RunContext& context, const Step& step, const Frame& frame, bool broadcast)
      : context_(context), step_(step), frame_(frame), broadcast_(broadcast) {}
  void report(std::size_t row, std::string_view message) override {
    if (step_.from_secret) message = "this value comes from a secret; what is wrong with it is not shown";
    if (!broadcast_) return report_row(row, message);
    for (std::size_t i = 0; i < frame_.rows; ++i) report_row(i, message);
  }

 private:
  void report_row(std::size_t row, std::string_view message) {
    if (frame_.needed && !(*frame_.needed)[row]) return;
    std::size_t at = frame_.origin ? (*frame_.origin)[row] : row;
    if (context_.reported.insert(static_cast<std::uint64_t>(step_.node) << 32 | at).second)
      context_.errors.report(at, step_.span, message);
  }
  RunContext& context_;
  const Step& step_;
  const Frame& frame_;
  bool broadcast_;  // one evaluation of constants stands for all rows
};

// For folding: all that matters is whether there was one.
class AnyError final : public CellErrors {
 public:
  void report(std::size_t, std::string_view) override { any = true; }
  bool any = false;
};

// The tag a row gets without asking the kernel; empty if there is none.
std::vector<CellTag> skip_mask(std::span<const Column> args, std::size_t rows, const KernelInfo& kernel) {
  std::vector<CellTag> skip;
  if (kernel.sees_errors && kernel.sees_none) return skip;
  for (const Column& arg : args) {
    if (!arg.has_tags()) continue;
    if (skip.empty()) skip.resize(rows, CellTag::kValue);
    for (std::size_t row = 0; row < rows; ++row) {
      CellTag tag = arg.tag(row);
      if (tag == CellTag::kValue || (tag == CellTag::kNone ? kernel.sees_none : kernel.sees_errors)) continue;
      // ERROR wins over Pending, and that over None.
      bool stronger = skip[row] == CellTag::kValue || tag == CellTag::kError ||
                      (tag == CellTag::kPending && skip[row] == CellTag::kNone);
      if (stronger) skip[row] = tag;
    }
  }
  return skip;
}

Column call_kernel(const KernelInfo& kernel, std::span<const Column> args, std::span<const Type> types,
                   const Type& result, std::size_t rows, const void* prepared, CellErrors& errors) {
  std::vector<CellTag> skip = skip_mask(args, rows, kernel);
  return kernel.kernel({args, types, result, rows, errors, skip.empty() ? nullptr : skip.data(), prepared});
}

// What the mask of a user's function goes by.
const KernelInfo& shape_of(const plan::UserFunction& user) {
  static const KernelInfo kSeesNone{.sees_none = true};
  static const KernelInfo kPassesNone{};
  return user.propagates_none() ? kPassesNone : kSeesNone;
}

Column call_user(const plan::UserFunction& user, std::span<const Column> args, std::span<const Type> types,
                 const Type& result, std::size_t rows, CellErrors& errors) {
  std::vector<CellTag> skip = skip_mask(args, rows, shape_of(user));
  const std::function<void(std::size_t, std::string_view)> failed = [&](std::size_t row, std::string_view why) {
    errors.report(row, why);
  };
  return user.call({args, types, result, rows, skip.empty() ? nullptr : skip.data(), failed});
}

Result<std::shared_ptr<const void>> prepare(const KernelInfo& kernel, const Expr& call) {
  if (!kernel.prepare) return nullptr;
  std::vector<const Value*> constants;
  for (const ExprPtr& arg : call.args) constants.push_back(arg->kind == ExprKind::kLiteral ? &arg->literal : nullptr);
  auto prepared = kernel.prepare(constants);
  if (prepared) return prepared;
  if (holds_secret(call))
    return fail(Code::kInvalidPipeline, fmt::format("`{}` does not take this secret", call.function), call.span);
  return fail(std::move(prepared).error().at(call.span));
}

std::vector<Type> types_of(const std::vector<ExprPtr>& args) {
  std::vector<Type> types;
  for (const ExprPtr& arg : args) types.push_back(arg->type);
  return types;
}

Result<const KernelInfo*> kernel_of(const Expr& call) {
  std::vector<Type> types = types_of(call.args);
  const KernelInfo* kernel = find_kernel(call.function, types, call.type);
  if (kernel && kernel->kernel) return kernel;
  std::string text;
  for (const Type& type : types) text += (text.empty() ? "" : ", ") + type.to_text();
  return fail(Code::kInvalidPipeline,
              fmt::format("`{}` does not take ({}) to give `{}`", call.function, text, call.type.to_text()), call.span);
}

// ---------------------------------------------------------------- constants

// A call over literals is a literal; one that fails stays, so that every row reports it.
class Folder {
 public:
  Result<ExprPtr> fold(const ExprPtr& expr) {
    auto it = done_.find(expr.get());
    if (it != done_.end()) return it->second;
    ExprPtr folded = TRY(fold_new(expr));
    done_.emplace(expr.get(), folded);
    return folded;
  }

 private:
  Result<ExprPtr> fold_new(const ExprPtr& expr) {
    if (expr->args.empty() && expr->kind != ExprKind::kCall) return expr;
    Expr copy = *expr;
    bool literals = true;
    for (ExprPtr& arg : copy.args) {
      arg = TRY(fold(arg));
      literals = literals && arg->kind == ExprKind::kLiteral;
    }
    if (copy.kind == ExprKind::kIf && copy.args[0]->kind == ExprKind::kLiteral && !copy.args[0]->literal.is_none())
      return copy.args[0]->literal.as_bool() ? copy.args[1] : copy.args[2];
    if (copy.kind != ExprKind::kCall || !literals || copy.user) return std::make_shared<const Expr>(std::move(copy));
    const KernelInfo* kernel = TRY(kernel_of(copy));
    std::shared_ptr<const void> prepared = TRY(prepare(*kernel, copy));
    std::vector<Column> args;
    for (const ExprPtr& arg : copy.args) args.push_back(Column::constant(arg->type, arg->literal, 1));
    AnyError errors;
    Column out = call_kernel(*kernel, args, types_of(copy.args), copy.type, 1, prepared.get(), errors);
    if (errors.any || out.tag(0) == CellTag::kError) return std::make_shared<const Expr>(std::move(copy));
    return plan::literal(out.value(copy.type, 0), copy.type, copy.span, holds_secret(copy));
  }
  std::unordered_map<const Expr*, ExprPtr> done_;
};

// ---------------------------------------------------------------- compiling

class Compiler {
 public:
  Result<void> add_root(const ExprPtr& expr) {
    roots_.push_back(intern(TRY(folder_.fold(expr))));
    return {};
  }
  Result<std::unique_ptr<Block>> compile(std::vector<int>& registers) {
    auto block = std::make_unique<Block>();
    for (int root : roots_) add_eager(root, block->eager);
    for (int root : roots_) registers.push_back(TRY(emit(root, *block)));
    return block;
  }
  [[nodiscard]] bool uses_key() const { return uses_key_; }

 private:
  int intern(const ExprPtr& expr) {
    auto known = by_pointer_.find(expr.get());
    if (known != by_pointer_.end()) return known->second;
    std::vector<int> args;
    for (const ExprPtr& arg : expr->args) args.push_back(intern(arg));
    uses_key_ = uses_key_ || expr->kind == ExprKind::kKey;
    std::string identity =
        fmt::format("{} {} {} {}", static_cast<int>(expr->kind), expr->column, expr->function, expr->type.to_text());
    if (expr->user) identity += fmt::format(" {}", static_cast<const void*>(expr->user.get()));
    for (int arg : args) identity += fmt::format(" {}", arg);
    if (expr->kind == ExprKind::kLiteral) encode(expr->literal, identity);
    auto [it, fresh] = by_identity_.emplace(std::move(identity), static_cast<int>(nodes_.size()));
    if (fresh) nodes_.push_back({expr, std::move(args)});
    by_pointer_.emplace(expr.get(), it->second);
    return it->second;
  }

  // The arguments that are evaluated whatever the row holds: [first, last) of them.
  static std::pair<std::size_t, std::size_t> eager_args(const Expr& expr) {
    switch (expr.kind) {
      case ExprKind::kColumn:
      case ExprKind::kKey:
      case ExprKind::kLiteral: return {0, 0};
      case ExprKind::kCall: return {0, expr.args.size()};
      case ExprKind::kIf:
      case ExprKind::kAnd:
      case ExprKind::kOr:
      case ExprKind::kCoalesce:
      case ExprKind::kFillError: return {0, 1};
      case ExprKind::kRequire: return {1, expr.args.size()};
    }
    UNREACHABLE();
  }

  void add_eager(int node, std::unordered_set<int>& eager) {
    if (!eager.insert(node).second) return;
    auto [first, last] = eager_args(*nodes_[node].expr);
    for (std::size_t i = first; i < last; ++i) add_eager(nodes_[node].args[i], eager);
  }

  // Whether an enclosing block computes the node anyway; then this one takes it from there.
  bool belongs_outside(int node, const Block& block) const {
    if (!block.parent) return false;
    ExprKind kind = nodes_[node].expr->kind;
    if (kind == ExprKind::kLiteral) return false;
    if (kind == ExprKind::kColumn || kind == ExprKind::kKey) return true;
    for (const Block* outer = block.parent; outer; outer = outer->parent)
      if (outer->eager.contains(node) || outer->registers.contains(node)) return true;
    return false;
  }

  Result<int> emit(int node, Block& block) {
    auto it = block.registers.find(node);
    if (it != block.registers.end()) return it->second;
    Step step = TRY(make_step(node, block));
    block.steps.push_back(std::move(step));
    int at = static_cast<int>(block.steps.size()) - 1;
    block.registers.emplace(node, at);
    return at;
  }

  Result<Step> make_step(int node, Block& block) {
    const ExprPtr expr = nodes_[node].expr;
    Step step;
    step.node = node;
    step.type = expr->type;
    step.span = expr->span;
    if (belongs_outside(node, block)) {
      step.kind = Step::Kind::kImport;
      step.column = static_cast<std::uint32_t>(TRY(emit(node, *block.parent)));
      return step;
    }
    switch (expr->kind) {
      case ExprKind::kColumn:
        step.kind = Step::Kind::kColumn;
        step.column = expr->column;
        return step;
      case ExprKind::kKey: step.kind = Step::Kind::kKey; return step;
      case ExprKind::kLiteral:
        step.kind = Step::Kind::kLiteral;
        step.constant = Column::constant(expr->type, expr->literal, 1);
        return step;
      case ExprKind::kCall: return make_call(node, std::move(step), block);
      case ExprKind::kIf:
      case ExprKind::kAnd:
      case ExprKind::kOr:
      case ExprKind::kCoalesce:
      case ExprKind::kRequire:
      case ExprKind::kFillError: return make_lazy(node, std::move(step), block);
    }
    UNREACHABLE();
  }

  Result<Step> make_call(int node, Step step, Block& block) {
    const ExprPtr expr = nodes_[node].expr;
    step.kind = Step::Kind::kCall;
    step.from_secret = holds_secret(*expr);
    step.arg_types = types_of(expr->args);
    if (expr->user) {
      step.user = expr->user;
    } else {
      step.kernel = TRY(kernel_of(*expr));
      step.prepared = TRY(prepare(*step.kernel, *expr));
    }
    for (std::size_t i = 0; i < expr->args.size(); ++i) step.args.push_back(TRY(emit(nodes_[node].args[i], block)));
    return step;
  }

  Result<Step> make_lazy(int node, Step step, Block& block) {
    const ExprPtr expr = nodes_[node].expr;
    step.kind = Step::Kind::kLazy;
    step.form = expr->kind;
    auto [first, last] = eager_args(*expr);
    for (std::size_t i = 0; i < expr->args.size(); ++i) {
      int arg = nodes_[node].args[i];
      if (i >= first && i < last) {
        step.args.push_back(TRY(emit(arg, block)));
        continue;
      }
      auto inner = std::make_unique<Block>();
      inner->parent = &block;
      add_eager(arg, inner->eager);
      inner->result = TRY(emit(arg, *inner));
      inner->whole = runs_whole(*inner);
      step.blocks.push_back(std::move(inner));
    }
    return step;
  }

  bool runs_whole(const Block& block) const {
    return std::ranges::all_of(block.steps, [&](const Step& step) {
      return step.kind == Step::Kind::kCall ? is_cheap(*nodes_[static_cast<std::size_t>(step.node)].expr)
                                            : step.kind != Step::Kind::kLazy;
    });
  }

  struct Node {
    ExprPtr expr;
    std::vector<int> args;
  };
  Folder folder_;
  std::deque<Node> nodes_;
  std::unordered_map<std::string, int> by_identity_;
  std::unordered_map<const Expr*, int> by_pointer_;
  std::vector<int> roots_;
  bool uses_key_ = false;
};

// ---------------------------------------------------------------- running

class Runner {
 public:
  Runner(const Batch& batch, RowErrors& errors) : context_{batch, errors, {}} {}

  std::vector<Column> run_root(const Block& block, const std::vector<int>& results) {
    Frame frame;
    frame.rows = context_.batch.num_rows;
    run_steps(block, frame, nullptr, nullptr);
    std::vector<Column> columns;
    for (int at : results) columns.push_back(frame.registers[static_cast<std::size_t>(at)]);
    return columns;
  }

 private:
  void run_steps(const Block& block, Frame& frame, const Frame* parent, const Rows* selection) {
    frame.registers.reserve(block.steps.size());
    for (const Step& step : block.steps) frame.registers.push_back(run_step(step, frame, parent, selection));
  }

  Column run_step(const Step& step, const Frame& frame, const Frame* parent, const Rows* selection) {
    switch (step.kind) {
      case Step::Kind::kImport: {
        const Column& outer = parent->registers[step.column];
        return selection ? outer.gather(*selection) : outer;
      }
      case Step::Kind::kColumn: return context_.batch.columns[step.column];
      case Step::Kind::kKey: return context_.batch.keys.as_column(frame.rows);
      case Step::Kind::kLiteral: return step.constant.with_rows(frame.rows);
      case Step::Kind::kCall: return run_call(step, frame);
      case Step::Kind::kLazy: return run_lazy(step, frame);
    }
    UNREACHABLE();
  }

  static const Column& reg(const Frame& frame, int at) { return frame.registers[static_cast<std::size_t>(at)]; }

  Column run_call(const Step& step, const Frame& frame) {
    std::vector<Column> args;
    args.reserve(step.args.size());
    bool constant = frame.rows > 0 && (!step.user || step.user->deterministic());
    for (int at : step.args) {
      args.push_back(reg(frame, at));
      constant = constant && args.back().is_constant();
    }
    StepErrors errors(context_, step, frame, constant);
    if (!constant) return call_step(step, args, frame.rows, errors);
    for (Column& arg : args) arg = arg.with_rows(1);
    Column one = call_step(step, args, 1, errors);
    return Column::constant(step.type, one.value(step.type, 0), frame.rows);
  }

  static Column call_step(const Step& step, std::span<const Column> args, std::size_t rows, CellErrors& errors) {
    if (step.user) return call_user(*step.user, args, step.arg_types, step.type, rows, errors);
    return call_kernel(*step.kernel, args, step.arg_types, step.type, rows, step.prepared.get(), errors);
  }

  // ---- lazy forms

  Column run_block(const Block& block, const Frame& outer, const Rows* selection) {
    Frame frame;
    frame.rows = selection ? selection->size() : outer.rows;
    Rows origin;
    if (selection && outer.origin) {
      origin.reserve(selection->size());
      for (std::uint32_t row : *selection) origin.push_back((*outer.origin)[row]);
      frame.origin = &origin;
    } else {
      frame.origin = selection ? selection : outer.origin;
    }
    if (!selection) frame.needed = outer.needed;
    run_steps(block, frame, &outer, selection);
    return std::move(frame.registers[static_cast<std::size_t>(block.result)]);
  }

  // Over all rows of the frame; only the needed ones report errors. Requires: block.whole.
  Column run_whole(const Block& block, const Frame& outer, const std::vector<std::uint8_t>& needed) {
    Frame frame;
    frame.rows = outer.rows;
    frame.origin = outer.origin;
    frame.needed = &needed;
    run_steps(block, frame, &outer, nullptr);
    return std::move(frame.registers[static_cast<std::size_t>(block.result)]);
  }

  // Evaluates `block` for `rows` of the frame and puts its cells there.
  void fill(Merge& merge, const Block& block, const Frame& frame, const Rows& rows) {
    if (rows.empty()) return;
    // A few rows of many are picked whatever they cost.
    constexpr std::size_t kFew = 8;
    if (!block.whole || rows.size() * kFew < frame.rows) return merge.put(rows, run_block(block, frame, &rows));
    std::vector<std::uint8_t> needed(frame.rows);
    for (std::uint32_t row : rows) needed[row] = 1;
    merge.pick(rows, run_whole(block, frame, needed));
  }

  Column run_lazy(const Step& step, const Frame& frame) {
    switch (step.form) {
      case ExprKind::kIf: return run_if(step, frame);
      case ExprKind::kAnd: return run_logic(step, frame, false);
      case ExprKind::kOr: return run_logic(step, frame, true);
      case ExprKind::kCoalesce: return run_coalesce(step, frame);
      case ExprKind::kRequire: return run_require(step, frame);
      case ExprKind::kFillError: return run_fill_error(step, frame);
      case ExprKind::kColumn:
      case ExprKind::kKey:
      case ExprKind::kLiteral:
      case ExprKind::kCall: break;
    }
    UNREACHABLE();
  }

  // Rows where the flag is set, and the others.
  static std::pair<Rows, Rows> partition(const Cells<std::uint8_t>& flags, std::size_t rows) {
    Rows yes(rows), no(rows);
    std::size_t y = 0;
    for (std::uint32_t row = 0; row < rows; ++row) {
      bool set = flags[row] != 0;
      yes[y] = row;
      no[row - y] = row;
      y += set;
    }
    yes.resize(y);
    no.resize(rows - y);
    return {std::move(yes), std::move(no)};
  }

  Column run_if(const Step& step, const Frame& frame) {
    const Column& condition = reg(frame, step.args[0]);
    if (condition.has_tags()) return run_tagged_if(step, frame);
    const Block& then = *step.blocks[0];
    const Block& otherwise = *step.blocks[1];
    auto holds = condition.u8();
    if (condition.is_constant() && frame.rows > 0) return run_block(holds[0] ? then : otherwise, frame, nullptr);
    if (then.whole && otherwise.whole && !frame.needed) {
      std::vector<std::uint8_t> yes(frame.rows), no(frame.rows);
      std::size_t count = 0;
      for (std::size_t i = 0; i < frame.rows; ++i) {
        yes[i] = holds[i];
        no[i] = !holds[i];
        count += holds[i];
      }
      if (count == frame.rows) return run_block(then, frame, nullptr);
      if (count == 0) return run_block(otherwise, frame, nullptr);
      Column a = run_whole(then, frame, yes);
      Column b = run_whole(otherwise, frame, no);
      if (a.phys() == step.type.phys() && b.phys() == step.type.phys())
        return select(holds, a, b, step.type.phys(), frame.rows);
    }
    auto [yes, no] = partition(holds, frame.rows);
    if (no.empty()) return run_block(then, frame, nullptr);
    if (yes.empty()) return run_block(otherwise, frame, nullptr);
    Merge merge(step.type.phys(), frame.rows);
    fill(merge, then, frame, yes);
    fill(merge, otherwise, frame, no);
    return merge.finish();
  }

  // Some conditions are None or ERROR; so is the result there.
  Column run_tagged_if(const Step& step, const Frame& frame) {
    const Column& condition = reg(frame, step.args[0]);
    Rows yes, no;
    Merge merge(step.type.phys(), frame.rows);
    auto holds = condition.u8();
    for (std::uint32_t row = 0; row < frame.rows; ++row) {
      if (CellTag tag = condition.tag(row); tag != CellTag::kValue)
        merge.tag(row, tag);
      else
        (holds[row] ? yes : no).push_back(row);
    }
    fill(merge, *step.blocks[0], frame, yes);
    fill(merge, *step.blocks[1], frame, no);
    return merge.finish();
  }

  // `deciding`: the value of the left side that decides (true for or). None follows Kleene: None or True is True.
  Column run_logic(const Step& step, const Frame& frame, bool deciding) {
    const Column& left = reg(frame, step.args[0]);
    const Block& block = *step.blocks[0];
    if (left.has_tags() || left.phys() != Phys::kU8) return run_tagged_logic(step, frame, deciding);
    auto cells = left.u8();
    std::vector<std::uint8_t> open(frame.rows);
    std::size_t count = 0;
    for (std::size_t i = 0; i < frame.rows; ++i) {
      open[i] = (cells[i] != 0) != deciding;
      count += open[i];
    }
    if (count == 0) return left;
    if (count == frame.rows) return run_block(block, frame, nullptr);
    if (!block.whole || frame.needed) return run_tagged_logic(step, frame, deciding);
    Column right = run_whole(block, frame, open);
    if (right.phys() != Phys::kU8) return run_tagged_logic(step, frame, deciding);
    return select({open.data(), ~std::size_t{0}}, right, left, Phys::kU8, frame.rows);
  }

  Column run_tagged_logic(const Step& step, const Frame& frame, bool deciding) {
    const Column& left = reg(frame, step.args[0]);
    Merge merge(Phys::kU8, frame.rows);
    Rows open, decided;
    std::vector<std::uint8_t> left_none(frame.rows);
    auto cells = left.phys() == Phys::kU8 ? left.u8() : Cells<std::uint8_t>{nullptr, 0};
    for (std::uint32_t row = 0; row < frame.rows; ++row) {
      CellTag tag = left.tag(row);
      if (tag == CellTag::kNone) left_none[row] = 1;
      if (tag == CellTag::kValue && (cells[row] != 0) == deciding)
        decided.push_back(row);
      else if (tag == CellTag::kValue || tag == CellTag::kNone)
        open.push_back(row);
      else
        merge.tag(row, tag);
    }
    merge.pick(decided, left);
    if (open.empty()) return merge.finish();
    Column right = run_block(*step.blocks[0], frame, &open);
    merge.put(open, right);
    for (std::size_t i = 0; i < open.size(); ++i) {
      bool right_decides = right.tag(i) == CellTag::kValue && (right.u8()[i] != 0) == deciding;
      bool stays_none = left_none[open[i]] && !right_decides && right.tag(i) == CellTag::kValue;
      if (stays_none) merge.tag(open[i], CellTag::kNone);
    }
    return zero_tagged(merge.finish());
  }

  // The cells under a tag are zero in every column; a merge that tags afterwards owes that.
  static Column zero_tagged(const Column& column) {
    if (!column.has_tags()) return column;
    std::vector<std::uint8_t> data(column.size());
    std::vector<CellTag> tags(column.size());
    auto cells = column.u8();
    for (std::size_t row = 0; row < column.size(); ++row) {
      tags[row] = column.tag(row);
      data[row] = tags[row] == CellTag::kValue ? cells[row] : 0;
    }
    return Column::from_vector<std::uint8_t>(Phys::kU8, std::move(data), std::move(tags));
  }

  Column run_coalesce(const Step& step, const Frame& frame) {
    const Column& first = reg(frame, step.args[0]);
    if (!first.has_tags() || step.blocks.empty()) return first;
    std::vector<std::uint8_t> absent(frame.rows);
    std::size_t count = 0;
    for (std::size_t i = 0; i < frame.rows; ++i) {
      absent[i] = first.tag(i) == CellTag::kNone;
      count += absent[i];
    }
    if (count == 0) return first;
    if (step.blocks.size() == 1 && step.blocks[0]->whole && !frame.needed) {
      Column second = run_whole(*step.blocks[0], frame, absent);
      Phys phys = step.type.phys();
      if (first.phys() == phys && second.phys() == phys)
        return select({absent.data(), ~std::size_t{0}}, second, first, phys, frame.rows);
    }
    auto [missing, given] = partition({absent.data(), ~std::size_t{0}}, frame.rows);
    Merge merge(step.type.phys(), frame.rows);
    merge.pick(given, first);
    for (std::size_t i = 0; i < step.blocks.size() && !missing.empty(); ++i)
      missing = fill_missing(merge, *step.blocks[i], frame, missing);
    for (std::uint32_t row : missing) merge.tag(row, CellTag::kNone);
    return merge.finish();
  }

  // Puts what `block` has for the rows, and gives back those where it is None, too.
  Rows fill_missing(Merge& merge, const Block& block, const Frame& frame, const Rows& missing) {
    Column next = run_block(block, frame, &missing);
    Rows here, rest, part;
    for (std::uint32_t at = 0; at < missing.size(); ++at) {
      if (next.tag(at) == CellTag::kNone) {
        rest.push_back(missing[at]);
      } else {
        here.push_back(missing[at]);
        part.push_back(at);
      }
    }
    merge.put(here, rest.empty() ? next : next.gather(part));
    return rest;
  }

  Column run_require(const Step& step, const Frame& frame) {
    Rows open;
    Merge merge(step.type.phys(), frame.rows);
    for (std::uint32_t row = 0; row < frame.rows; ++row) {
      CellTag verdict = CellTag::kValue;
      for (int at : step.args) {
        CellTag tag = reg(frame, at).tag(row);
        if (tag == CellTag::kNone) verdict = tag;
        if (verdict == CellTag::kNone) break;
        if (tag != CellTag::kValue && verdict != CellTag::kError) verdict = tag;
      }
      if (verdict == CellTag::kValue)
        open.push_back(row);
      else
        merge.tag(row, verdict);
    }
    if (open.size() == frame.rows) return run_block(*step.blocks[0], frame, nullptr);
    fill(merge, *step.blocks[0], frame, open);
    return merge.finish();
  }

  Column run_fill_error(const Step& step, const Frame& frame) {
    const Column& value = reg(frame, step.args[0]);
    if (!value.has_tags()) return value;
    Rows good, bad;
    for (std::uint32_t row = 0; row < frame.rows; ++row)
      (value.tag(row) == CellTag::kError ? bad : good).push_back(row);
    if (bad.empty()) return value;
    Merge merge(step.type.phys(), frame.rows);
    merge.pick(good, value);
    fill(merge, *step.blocks[0], frame, bad);
    return merge.finish();
  }

  RunContext context_;
};

}  // namespace

struct Program::Impl {
  std::unique_ptr<Block> block;
  std::vector<int> results;
  bool uses_key = false;
};

Program::Program(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Program::~Program() = default;

Result<std::shared_ptr<const Program>> Program::compile(std::vector<plan::ExprPtr> exprs) {
  Compiler compiler;
  for (const ExprPtr& expr : exprs) TRY(compiler.add_root(expr));
  auto impl = std::make_unique<Impl>();
  impl->block = TRY(compiler.compile(impl->results));
  impl->uses_key = compiler.uses_key();
  return std::shared_ptr<const Program>(new Program(std::move(impl)));
}

std::vector<Column> Program::run(const Batch& batch, RowErrors& errors) const {
  return Runner(batch, errors).run_root(*impl_->block, impl_->results);
}

bool Program::uses_key() const { return impl_->uses_key; }

}  // namespace thalweg::expr
