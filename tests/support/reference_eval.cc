#include "tests/support/reference_eval.h"

#include <algorithm>
#include <set>

#include "engine/base/ensure.h"

namespace thalweg::reference {
namespace {

int compare_rows(const Row& a, const Row& b) {
  for (std::size_t i = 0; i < a.size() && i < b.size(); ++i)
    if (int order = compare(a[i], b[i]); order != 0) return order;
  return a.size() < b.size() ? -1 : a.size() > b.size() ? 1 : 0;
}

struct RowLess {
  bool operator()(const Row& a, const Row& b) const { return compare_rows(a, b) < 0; }
};

Row pick(const Row& row, const plan::Columns& columns) {
  Row out;
  for (std::uint32_t column : columns) out.push_back(row[column]);
  return out;
}

bool has_error(const Row& row) {
  return std::any_of(row.begin(), row.end(), [](const Value& v) { return v.is_error(); });
}
bool has_none(const Row& row) {
  return std::any_of(row.begin(), row.end(), [](const Value& v) { return v.is_none(); });
}

// Elements of what flatten takes apart.
std::vector<Value> elements(const Value& value) {
  if (value.tag() == Value::Tag::kTuple) return value.as_tuple();
  std::vector<Value> out;
  if (value.tag() != Value::Tag::kStr) return out;
  const std::string& text = value.as_text();
  for (std::size_t begin = 0; begin < text.size();) {
    std::size_t end = begin + 1;
    while (end < text.size() && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80) ++end;
    out.push_back(Value::str(text.substr(begin, end - begin)));
    begin = end;
  }
  return out;
}

class Evaluator {
 public:
  Evaluator(const plan::Plan& plan, std::uint64_t time, const std::vector<Table>& loop_inputs)
      : plan_(plan), time_(time), loop_inputs_(loop_inputs) {}

  std::vector<Table> run() {
    for (const plan::Node& node : plan_.nodes) {
      node_ = &node;
      tables_.push_back(std::visit([&](const auto& params) { return eval(params); }, node.params));
    }
    return std::move(tables_);
  }

 private:
  const Table& input(std::size_t i) const { return tables_[node_->inputs[i].value]; }

  template <class T>
  Table eval(const T&) {
    ENSURE(!"an operator without a batch meaning in a reference plan");
    return {};
  }

  Table eval(const plan::StaticRows& params) {
    Table out;
    for (const plan::StaticRow& row : *params.rows)
      if (row.time <= time_ || !params.as_stream) add(out, row.key, row.cells, row.diff);
    return out;
  }
  Table eval(const plan::LoopInput& params) { return loop_inputs_[params.input]; }

  Table eval(const plan::Project& params) {
    Table out;
    for (const auto& [fact, count] : input(0)) {
      Row row;
      for (const plan::ExprPtr& expr : params.exprs) row.push_back(evaluate(*expr, fact.row, fact.key));
      add(out, fact.key, std::move(row), count);
    }
    return out;
  }
  Table eval(const plan::Filter& params) {
    Table out;
    for (const auto& [fact, count] : input(0)) {
      Value keep = evaluate(*params.condition, fact.row, fact.key);
      if (keep.tag() == Value::Tag::kBool && keep.as_bool()) add(out, fact.key, fact.row, count);
    }
    return out;
  }
  Table eval(const plan::Rekey& params) {
    Table out;
    for (const auto& [fact, count] : input(0)) {
      Value key = evaluate(*params.key, fact.row, fact.key);
      if (key.tag() == Value::Tag::kPointer) add(out, key.as_key(), fact.row, count);
    }
    return out;
  }
  Table eval(const plan::Flatten& params) {
    Table out;
    for (const auto& [fact, count] : input(0)) {
      std::vector<Value> parts = elements(fact.row[params.column]);
      for (std::size_t i = 0; i < parts.size(); ++i) {
        Row row = fact.row;
        row[params.column] = parts[i];
        if (params.origin_id) row.push_back(Value::of(fact.key));
        add(out, key_of_part(fact.key, i), std::move(row), count);
      }
    }
    return out;
  }
  Table eval(const plan::RemoveErrors&) {
    Table out;
    for (const auto& [fact, count] : input(0))
      if (!has_error(fact.row)) add(out, fact.key, fact.row, count);
    return out;
  }
  Table eval(const plan::AssertAppendOnly&) { return input(0); }
  Table eval(const plan::FilterForgetting&) { return input(0); }
  Table eval(const plan::Arrange&) { return input(0); }
  Table eval(const plan::Export&) { return collapse(input(0)); }

  Table eval(const plan::Concat& params) {
    Table out;
    for (std::size_t i = 0; i < node_->inputs.size(); ++i)
      for (const auto& [fact, count] : input(i))
        add(out, params.reindex ? key_of_part(fact.key, i) : fact.key, fact.row, count);
    return out;
  }

  Table eval(const plan::Keyed& params) {
    const Table left = collapse(input(0));
    std::vector<std::map<Key, Row>> others;
    for (std::size_t i = 1; i < node_->inputs.size(); ++i) {
      others.emplace_back();
      for (const auto& [fact, count] : collapse(input(i))) others.back()[fact.key] = fact.row;
    }
    Table out;
    for (const auto& [fact, count] : left) keep_keyed(params, fact, others, out);
    if (params.kind == plan::KeyedKind::kUpdateRows && !others.empty())
      for (const auto& [key, row] : others[0]) add(out, key, row);
    return out;
  }
  static void keep_keyed(const plan::Keyed& params, const Fact& fact, const std::vector<std::map<Key, Row>>& others,
                         Table& out) {
    auto in = [&](const std::map<Key, Row>& other) { return other.count(fact.key) > 0; };
    Row row = fact.row;
    switch (params.kind) {
      case plan::KeyedKind::kUpdateRows:
        if (std::any_of(others.begin(), others.end(), in)) return;
        break;
      case plan::KeyedKind::kUpdateCells:
        if (in(others[0]))
          for (std::size_t i = 0; i < row.size(); ++i)
            if (params.from_other[i] >= 0)
              row[i] = others[0].at(fact.key)[static_cast<std::size_t>(params.from_other[i])];
        break;
      case plan::KeyedKind::kIntersect:
      case plan::KeyedKind::kRestrict:
        if (!std::all_of(others.begin(), others.end(), in)) return;
        break;
      case plan::KeyedKind::kDifference:
        if (std::any_of(others.begin(), others.end(), in)) return;
        break;
    }
    add(out, fact.key, std::move(row));
  }

  Table eval(const plan::Ix& params) {
    std::map<Key, Row> from;
    for (const auto& [fact, count] : collapse(input(1))) from[fact.key] = fact.row;
    const std::size_t width = plan_.node(node_->inputs[1]).schema.size();
    Table out;
    for (const auto& [fact, count] : input(0)) {
      const Value& pointer = fact.row[params.key];
      Row both = fact.row;
      auto found = pointer.tag() == Value::Tag::kPointer ? from.find(pointer.as_key()) : from.end();
      if (found != from.end()) {
        both.insert(both.end(), found->second.begin(), found->second.end());
      } else {
        const bool nones = params.optional && !pointer.is_error();
        both.insert(both.end(), width, nones ? Value::none() : Value::error());
      }
      add(out, fact.key, pick(both, params.emit), count);
    }
    return out;
  }

  Table eval(const plan::GroupBy& params) {
    struct Group {
      std::vector<Member> members;
    };
    std::map<Row, Group, RowLess> groups;
    for (const auto& [fact, count] : input(0)) {
      Row by = pick(fact.row, params.by);
      if (params.instance) by.push_back(fact.row[*params.instance]);
      if (has_error(by)) continue;
      groups[by].members.push_back({&fact.row, fact.key, count, pick(fact.row, params.sort_by)});
    }
    if (params.always_one_row && groups.empty()) groups[{}];
    Table out;
    for (auto& [by, group] : groups) {
      std::sort(group.members.begin(), group.members.end(), [](const Member& a, const Member& b) {
        if (int order = compare_rows(a.order, b.order); order != 0) return order < 0;
        return a.key < b.key;
      });
      add_group(params, by, group.members, out);
    }
    return out;
  }
  // Rows of one key, where keys collide, come in the order of what the reducer looks at.
  static std::vector<Member> with_ties_by(const plan::Columns& args, std::vector<Member> members) {
    std::stable_sort(members.begin(), members.end(), [&](const Member& a, const Member& b) {
      if (int order = compare_rows(a.order, b.order); order != 0) return order < 0;
      if (a.key != b.key) return a.key < b.key;
      return compare_rows(pick(*a.row, args), pick(*b.row, args)) < 0;
    });
    return members;
  }
  static void add_group(const plan::GroupBy& params, const Row& by, const std::vector<Member>& members, Table& out) {
    Row row = by;
    for (const plan::Reducer& reducer : params.reducers) {
      std::optional<Value> value = reduce(reducer, with_ties_by(reducer.args, members));
      if (!value && reducer.none_if_empty)
        value = reducer.kind == plan::ReducerKind::kCount || reducer.kind == plan::ReducerKind::kCountDistinct
                    ? Value::of(std::int64_t{0})
                    : Value::none();
      if (!value) return;
      row.push_back(*value);
    }
    Key key = key_of_values(by);
    if (params.instance) key = with_instance(key, key_of_values({by.back()}));
    if (params.key_is_column)
      for (const Value& value : by)
        if (value.tag() == Value::Tag::kPointer) key = value.as_key();
    add(out, key, std::move(row));
  }

  Table eval(const plan::Join& params) {
    Table out;
    std::set<const Fact*> matched_right;
    for (const auto& [left, left_count] : input(0)) {
      bool matched = false;
      for (const auto& [right, right_count] : input(1)) {
        if (!joins(params, left, right)) continue;
        matched = true;
        matched_right.insert(&right);
        add_joined(params, &left, &right, left_count * right_count, out);
      }
      if (!matched && (params.how == plan::JoinHow::kLeft || params.how == plan::JoinHow::kOuter))
        add_joined(params, &left, nullptr, left_count, out);
    }
    if (params.how == plan::JoinHow::kRight || params.how == plan::JoinHow::kOuter)
      for (const auto& [right, count] : input(1))
        if (matched_right.count(&right) == 0) add_joined(params, nullptr, &right, count, out);
    return params.key == plan::JoinKey::kPair ? out : collapse(out);
  }
  static bool joins(const plan::Join& params, const Fact& left, const Fact& right) {
    const Row a = pick(left.row, params.left_on), b = pick(right.row, params.right_on);
    if (has_error(a) || has_error(b)) return false;
    if (!params.none_matches && (has_none(a) || has_none(b))) return false;
    return compare_rows(a, b) == 0;
  }
  void add_joined(const plan::Join& params, const Fact* left, const Fact* right, std::int64_t count, Table& out) const {
    Row both;
    auto append = [&](const Fact* side, std::size_t input_index) {
      if (side != nullptr)
        both.insert(both.end(), side->row.begin(), side->row.end());
      else
        both.insert(both.end(), plan_.node(node_->inputs[input_index]).schema.size(), Value::none());
    };
    append(left, 0);
    append(right, 1);
    both.push_back(left != nullptr ? Value::of(left->key) : Value::none());
    both.push_back(right != nullptr ? Value::of(right->key) : Value::none());
    Key key;
    switch (params.key) {
      case plan::JoinKey::kPair:
        key = key_of_pair(left != nullptr ? std::optional(left->key) : std::nullopt,
                          right != nullptr ? std::optional(right->key) : std::nullopt);
        break;
      case plan::JoinKey::kLeft: key = left->key; break;
      case plan::JoinKey::kRight: key = right->key; break;
    }
    add(out, key, pick(both, params.emit), count);
  }

  Table eval(const plan::Sort& params) {
    std::map<Row, std::vector<const Fact*>, RowLess> instances;
    for (const auto& [fact, count] : input(0))
      instances[params.instance ? Row{fact.row[*params.instance]} : Row{}].push_back(&fact);
    Table out;
    for (auto& [instance, facts] : instances) {
      std::sort(facts.begin(), facts.end(), [&](const Fact* a, const Fact* b) {
        if (int order = compare_rows(pick(a->row, params.key), pick(b->row, params.key)); order != 0) return order < 0;
        return a->key < b->key;
      });
      for (std::size_t i = 0; i < facts.size(); ++i) {
        Row row = facts[i]->row;
        row.push_back(i > 0 ? Value::of(facts[i - 1]->key) : Value::none());
        row.push_back(i + 1 < facts.size() ? Value::of(facts[i + 1]->key) : Value::none());
        add(out, facts[i]->key, std::move(row));
      }
    }
    return out;
  }

  static int compare_ordered(const Row& a, const Row& b, const std::vector<plan::TopK::Order>& order) {
    for (const auto& by : order) {
      const Value &x = a[by.column], &y = b[by.column];
      if (x.is_none() != y.is_none()) return x.is_none() == by.nulls_first ? -1 : 1;
      if (int sign = compare(x, y); sign != 0) return by.descending ? -sign : sign;
    }
    return 0;
  }
  Table eval(const plan::TopK& params) {
    std::map<Row, std::vector<const Fact*>, RowLess> partitions;
    for (const auto& [fact, count] : input(0))
      for (std::int64_t i = 0; i < count; ++i) partitions[pick(fact.row, params.partition)].push_back(&fact);
    Table out;
    for (auto& [partition, facts] : partitions) {
      std::stable_sort(facts.begin(), facts.end(), [&](const Fact* a, const Fact* b) {
        if (int order = compare_ordered(a->row, b->row, params.order); order != 0) return order < 0;
        return a->key < b->key;
      });
      for (std::size_t i = params.offset; i < facts.size(); ++i) {
        if (params.limit && i >= params.offset + *params.limit) break;
        Row row = facts[i]->row;
        if (params.rank_column) row.push_back(Value::of(static_cast<std::int64_t>(i + 1)));
        add(out, facts[i]->key, std::move(row));
      }
    }
    return out;
  }

  Table eval(const plan::Iterate& params) {
    constexpr std::uint64_t kRoundsMax = 10'000;
    std::vector<Table> values;
    for (std::size_t i = 0; i < node_->inputs.size(); ++i) values.push_back(input(i));
    const std::uint64_t limit = params.limit.value_or(kRoundsMax);
    for (std::uint64_t round = 0; round < limit; ++round) {
      std::vector<Table> body = evaluate(*params.body, time_, values);
      bool changed = false;
      for (std::size_t i = 0; i < params.next.size(); ++i) {
        Table& next = body[params.next[i].value];
        changed = changed || !same(values[i], next);
        values[i] = next;
      }
      if (!changed) break;
    }
    return values[params.output];
  }
  const plan::Plan& plan_;
  std::uint64_t time_;
  const std::vector<Table>& loop_inputs_;
  const plan::Node* node_ = nullptr;
  std::vector<Table> tables_;
};

}  // namespace

bool FactLess::operator()(const Fact& a, const Fact& b) const {
  if (a.key != b.key) return a.key < b.key;
  return compare_rows(a.row, b.row) < 0;
}

void add(Table& table, Key key, Row row, std::int64_t count) {
  auto [at, inserted] = table.try_emplace(Fact{key, std::move(row)}, count);
  if (inserted) return;
  at->second += count;
  if (at->second == 0) table.erase(at);
}

bool same(const Table& a, const Table& b) {
  return a.size() == b.size() && std::equal(a.begin(), a.end(), b.begin(), [](const auto& x, const auto& y) {
           return x.second == y.second && x.first.key == y.first.key && compare_rows(x.first.row, y.first.row) == 0;
         });
}

std::int64_t num_rows(const Table& table) {
  std::int64_t rows = 0;
  for (const auto& [fact, count] : table) rows += count;
  return rows;
}

Table collapse(const Table& table) {
  Table out;
  for (auto at = table.begin(); at != table.end();) {
    Row row = at->first.row;
    const Key key = at->first.key;
    for (++at; at != table.end() && at->first.key == key; ++at)
      for (std::size_t i = 0; i < row.size(); ++i)
        if (compare(row[i], at->first.row[i]) != 0) row[i] = Value::error();
    add(out, key, std::move(row));
  }
  return out;
}

std::vector<Table> evaluate(const plan::Plan& plan, std::uint64_t time, const std::vector<Table>& loop_inputs) {
  return Evaluator(plan, time, loop_inputs).run();
}

}  // namespace thalweg::reference
