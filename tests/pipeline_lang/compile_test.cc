#include <catch2/catch.hpp>

#include "pipeline_lang/compile.h"
#include "pipeline_lang/docs.h"
#include "pipeline_lang/scalar.h"
#include "tests/pipeline_lang/fake_catalog.h"

using namespace thalweg;
using namespace thalweg::lang;

namespace {

struct Compiled {
  FakeCatalog catalog;
  std::map<std::string, std::string> environment;
  CompileOptions options;

  CompileResult operator()(const std::string& text) {
    options.catalog = &catalog;
    options.environment = [this](const std::string& name) -> std::optional<std::string> {
      const auto found = environment.find(name);
      return found == environment.end() ? std::nullopt : std::optional(found->second);
    };
    return compile_text("pipeline.yaml", text, options);
  }
};

std::string messages(const CompileResult& result) { return render_text(result.diagnostics, *result.files); }

std::size_t count_sources(const CompileResult& result) {
  std::size_t n = 0;
  for (const auto& node : result.plan.nodes) n += std::holds_alternative<plan::Source>(node.params) ? 1 : 0;
  return n;
}

const plan::Source& first_source(const CompileResult& result) {
  for (const auto& node : result.plan.nodes)
    if (const auto* source = std::get_if<plan::Source>(&node.params)) return *source;
  FAIL("no source");
  std::abort();
}

const plan::Output& first_output(const CompileResult& result) {
  for (const auto& node : result.plan.nodes)
    if (const auto* output = std::get_if<plan::Output>(&node.params)) return *output;
  FAIL("no output");
  std::abort();
}

}  // namespace

TEST_CASE("two uses of a variable are one connector") {
  Compiled compile;
  const auto result = compile(
      "$src: !pw.io.csv.read {path: a.csv, schema: $s}\n"
      "$s: !pw.schema_from_types {a: int}\n"
      "one: $src\ntwo: !io.csv.write {table: $src, path: out.csv}\nthree: $src\n");
  INFO(messages(result));
  REQUIRE(result.ok());
  CHECK(count_sources(result) == 1);
  CHECK(result.exports.size() == 2);
  CHECK(result.exports[0].name == "one");
}

TEST_CASE("a plain top-level key is found by its name, never for its own value") {
  Compiled compile;
  const auto result = compile(
      "schema: !schema_from_types {a: int}\n"
      "source: !pw.io.csv.read {path: ./input.csv, schema: $schema}\n"
      "output: !pw.io.csv.write {table: $source, path: ./output.csv}\n");
  INFO(messages(result));
  REQUIRE(result.ok());
  CHECK(count_sources(result) == 1);
  REQUIRE(result.exports.size() == 1);
  CHECK(result.exports[0].name == "source");
  const auto own = compile("source: !io.csv.read {path: a.csv, schema: $source}\n");
  CHECK_THAT(messages(own), Catch::Contains("`$source` is not defined"));
}

TEST_CASE("scopes are lexical and reach the tags inside") {
  Compiled compile;
  const auto result = compile(
      "$p: outer.csv\n"
      "a: !io.csv.read {path: $p}\n"
      "b: !io.csv.read\n  path: $p\n  $p: inner.csv\n"
      "c: !io.csv.write {table: !io.csv.read {path: $p}, path: $q, $q: q.csv}\n");
  INFO(messages(result));
  REQUIRE(result.ok());
  std::vector<std::string> paths;
  for (const auto& node : result.plan.nodes)
    if (const auto* source = std::get_if<plan::Source>(&node.params))
      paths.push_back(*source->args.find("path")->as_text());
  CHECK(paths == std::vector<std::string>{"outer.csv", "inner.csv", "outer.csv"});
}

TEST_CASE("an inner definition does not leak into outer ones that mention its name") {
  Compiled compile;
  const auto result = compile(
      "$name: outer\n$file: '${name}.csv'\n"
      "a: !io.csv.read {$name: inner, path: $file}\n");
  INFO(messages(result));
  REQUIRE(result.ok());
  CHECK(*first_source(result).args.find("path")->as_text() == "outer.csv");
}

TEST_CASE("aliases share, merge keys merge") {
  Compiled compile;
  const auto result = compile(
      "a: &src !io.csv.read {path: a.csv}\nb: *src\n"
      "$base: &base {path: c.csv, mode: static}\n"
      "c: !io.csv.read {<<: *base, path: d.csv}\n");
  INFO(messages(result));
  REQUIRE(result.ok());
  CHECK(count_sources(result) == 2);
}

TEST_CASE("values of the environment keep their text and are read as what is expected") {
  Compiled compile;
  compile.environment = {{"DB_PASSWORD", "0123"}, {"DB_PORT", "5432"}, {"DB_NAME", "42"}};
  const auto result = compile(
      "$src: !io.csv.read {path: a.csv}\n"
      "output: !pw.io.postgres.write\n  table: $src\n  table_name: t\n"
      "  postgres_settings: {host: h, port: $DB_PORT, dbname: $DB_NAME, user: u, password: $DB_PASSWORD}\n");
  INFO(messages(result));
  REQUIRE(result.ok());
  const Setting& settings = *first_output(result).args.find("postgres_settings");
  CHECK(*settings.find("port")->as_int() == 5432);
  CHECK(*settings.find("dbname")->as_text() == "42");
  CHECK(*settings.find("password")->as_text() == "0123");
  CHECK(settings.find("password")->secret);
}

TEST_CASE("untyped values of the environment") {
  CHECK(environment_value("42") == Value::of(std::int64_t{42}));
  CHECK(environment_value("4_2") == Value::of(std::int64_t{42}));
  CHECK(environment_value("+3") == Value::of(std::int64_t{3}));
  CHECK(environment_value("0x1F") == Value::of(std::int64_t{31}));
  CHECK(environment_value("0b11") == Value::of(std::int64_t{3}));
  CHECK(environment_value("1.") == Value::of(1.0));
  CHECK(environment_value(".5") == Value::of(0.5));
  CHECK(environment_value("1.0e+3") == Value::of(1000.0));
  CHECK(environment_value("yes") == Value::of(true));
  CHECK(environment_value("off") == Value::of(false));
  for (const char* text :
       {"1e3", "1:30", "0123", "null", "~", "", "2024-01-01", "[1,2]", "y", "n", "5 ", "99999999999999999999"})
    CHECK(environment_value(text) == Value::str(text));
}

TEST_CASE("interpolation has defaults and literal dollars") {
  Compiled compile;
  compile.environment = {{"TOPIC", "words"}};
  const auto result = compile(
      "a: !io.kafka.read\n  topic: '${TOPIC}-${STAGE:-dev}-$$1'\n  rdkafka_settings: {group.id: \"$TOPIC\", x: "
      "'a$b'}\n");
  INFO(messages(result));
  REQUIRE(result.ok());
  CHECK(*first_source(result).args.find("topic")->as_text() == "words-dev-$1");
  CHECK(*first_source(result).args.find("rdkafka_settings")->find("group.id")->as_text() == "$TOPIC");
}

TEST_CASE("the published el-pipeline template loads") {
  Compiled compile;
  for (const char* name :
       {"KAFKA_HOSTNAME", "KAFKA_GROUP_ID", "KAFKA_TOPIC", "DB_HOSTNAME", "DB_NAME", "DB_USER", "DB_PASSWORD"})
    compile.environment[name] = name;
  compile.environment["DB_PORT"] = "5432";
  const auto result = compile(
      "$InputStreamSchema: !pw.schema_from_types\n  date: str\n  message: str\n\n"
      "$rdkafka_settings:\n  \"bootstrap.servers\": $KAFKA_HOSTNAME\n  \"security.protocol\": \"plaintext\"\n"
      "  \"group.id\": $KAFKA_GROUP_ID\n  \"session.timeout.ms\": \"6000\"\n  \"auto.offset.reset\": \"earliest\"\n\n"
      "$postgres_settings:\n  \"host\": $DB_HOSTNAME\n  \"port\": $DB_PORT\n  \"dbname\": $DB_NAME\n  \"user\": "
      "$DB_USER\n"
      "  \"password\": $DB_PASSWORD\n\n$table_name: \"messages_table\"\n\n"
      "$kafka_source: !pw.io.kafka.read\n  rdkafka_settings: $rdkafka_settings\n  topic: $KAFKA_TOPIC\n  format: "
      "\"json\"\n"
      "  schema: $InputStreamSchema\n  autocommit_duration_ms: 100\n  name: \"input_kafka_connector\"\n\n"
      "output: !pw.io.postgres.write\n  table: $kafka_source\n  postgres_settings: $postgres_settings\n"
      "  table_name: $table_name\n  name: \"output_postgres_connector\"\n\n"
      "persistence_config: !pw.persistence.Config\n  backend: !pw.persistence.Backend.filesystem\n"
      "    path: ./persistence_storage/\n");
  INFO(messages(result));
  REQUIRE(result.ok());
  CHECK(result.diagnostics.all().empty());
  CHECK(result.settings.persistence.tag == "persistence.Config");
  CHECK(first_source(result).name == "input_kafka_connector");
}

TEST_CASE("schemas make fields, keys and upserts") {
  Compiled compile;
  const auto result = compile(
      "$s: !schema\n  k: {type: int, primary_key: true}\n  v: {type: str | None, default: \"x\", name: val}\n  w: "
      "float\n"
      "a: !io.kafka.read {rdkafka_settings: {}, schema: $s}\n"
      "b: !io.kafka.read {rdkafka_settings: {}, schema: $s, session_type: native}\n");
  INFO(messages(result));
  REQUIRE(result.ok());
  const plan::Source& source = first_source(result);
  CHECK(source.upsert);
  REQUIRE(source.fields.size() == 3);
  CHECK(source.fields[0].primary_key);
  CHECK(source.fields[1].external_name == "val");
  CHECK(source.fields[1].default_value == Value::str("x"));
  std::size_t upserts = 0;
  for (const auto& node : result.plan.nodes) upserts += std::holds_alternative<plan::Upsert>(node.params) ? 1 : 0;
  CHECK(upserts == 1);
}

TEST_CASE("all spellings of a schema are the same") {
  Compiled compile;
  const auto result = compile(
      "$a: !pw.schema_from_dict {columns: {x: {dtype: int, primary_key: true}, y: {dtype: {type: OPTIONAL, wrapped: "
      "{type: STR}}}}}\n"
      "$b: !pw.schema_builder {columns: {x: !pw.column_definition {dtype: int, primary_key: true}, y: "
      "!ColumnDefinition {type_: 'str | None'}}}\n"
      "$c: !Schema {_primary_key: [x], x: INT8, y: 'Optional[str]'}\n"
      "a: !io.csv.read {path: a, schema: $a}\nb: !io.csv.read {path: a, schema: $b}\nc: !io.csv.read {path: a, schema: "
      "$c}\n"
      "d: !io.csv.read {path: a, schema: {x: int, y: 'str | None'}, id_column: x}\n");
  INFO(messages(result));
  REQUIRE(result.ok());
  for (const auto& exported : result.exports) {
    REQUIRE(exported.schema.size() == 2);
    CHECK(exported.schema.columns[0].type == Type(Kind::kInt));
    CHECK(exported.schema.columns[1].type == Type(Kind::kStr, true));
    CHECK(exported.primary_key == std::vector<std::string>{"x"});
  }
}

TEST_CASE("a setting is set from outside, a definition too") {
  Compiled compile;
  compile.options.overrides = {{"path", "over.csv"}, {"workers", "3"}};
  const auto result = compile("$path: a.csv\nworkers: 1\na: !io.csv.read {path: $path}\n");
  INFO(messages(result));
  REQUIRE(result.ok());
  CHECK(*first_source(result).args.find("path")->as_text() == "over.csv");
  CHECK(result.settings.workers == 3);
}

TEST_CASE("a message does not steer the terminal that shows it") {
  Compiled compile;
  const auto escape =
      compile("t: !table_from_markdown {table: \"a\\n1\"}\nr: !without {table: $t, columns: [\"\\e[31mb\"]}\n");
  CHECK_THAT(messages(escape), Catch::Contains("`?[31mb`"));
  CHECK(messages(escape).find('\x1b') == std::string::npos);
  const auto raw = compile(std::string("r: \"a\0b\"\n", 9));
  CHECK_THAT(messages(raw), Catch::Contains("a?b"));
}

TEST_CASE("a name set from outside that the pipeline does not have is warned about") {
  Compiled compile;
  const auto warnings = [&](const std::string& name, const std::string& text) {
    compile.options.overrides = {{name, "over.csv"}};
    const auto result = compile(text);
    CHECK(result.ok());
    return messages(result);
  };
  const std::string text = "$path: a.csv\na: !io.csv.read {path: $path}\n";
  CHECK_THAT(warnings("paht", text), Catch::Contains("`--set paht`") && Catch::Contains("did you mean `path`?"));
  // A plain key that nothing refers to is no variable.
  CHECK_THAT(warnings("a", text), Catch::Contains("`--set a`"));
  // What only the environment would give is a name of the pipeline, and so is a variable that nothing uses.
  CHECK(warnings("FROM_OUTSIDE", "a: !io.csv.read {path: $FROM_OUTSIDE}\n").empty());
  CHECK(warnings("spare", "$spare: 2\na: !io.csv.read {path: b.csv}\n").empty());
}

TEST_CASE("an input of a test takes the place of a source, with the types of its schema") {
  Compiled compile;
  compile.options.inputs["src"] = {"k | v\n1 | 2\n2 | 3\n", {}};
  const auto result = compile(
      "$src: !io.csv.read {path: nowhere.csv, schema: $s}\n$s: !schema {k: {type: int, primary_key: true}, v: "
      "float}\nout: $src\n");
  INFO(messages(result));
  REQUIRE(result.ok());
  CHECK(count_sources(result) == 0);
  CHECK(result.exports[0].schema.columns[1].type == Type(Kind::kFloat));
}

TEST_CASE("secrets come from the environment and stay secret") {
  Compiled compile;
  compile.environment = {{"PW", "geheim"}};
  const auto result = compile(
      "$src: !io.csv.read {path: a.csv}\n"
      "output: !io.postgres.write {table: $src, table_name: t, postgres_settings: {user: !secret.env PW, password: "
      "!io.postgres.PasswordSecret PW}}\n");
  INFO(messages(result));
  REQUIRE(result.ok());
  CHECK(first_output(result).args.find("postgres_settings")->find("user")->secret);
}

TEST_CASE("a secret in an expression is used and never shown") {
  Compiled compile;
  compile.environment = {{"PW", "geheim"}, {"OTHER", "anders"}};
  const std::string source = "$src: !io.csv.read {path: a.csv, schema: !schema {word: str}}\n$pw: !secret.env PW\n";
  const auto result =
      compile(source +
              "a: !select {table: $src, columns: {x: word + $pw, y: !secret.env PW, z: '[word, $pw]'}}\n"
              "b: !select {table: $src, columns: {x: word + $pw, y: !secret.env OTHER, z: '[word, $pw]'}}\n"
              "c: !table_from_rows {rows: [{name: $pw}]}\n");
  INFO(messages(result));
  REQUIRE(result.ok());
  const std::string shown = plan::to_text(result.plan);
  INFO(shown);
  CHECK(shown.find("geheim") == std::string::npos);
  CHECK(shown.find("anders") == std::string::npos);
  CHECK(shown.find("add(#0, ***)") != std::string::npos);
  // What differs in a secret is not the same table.
  const auto of = [&](std::string_view name) {
    for (const auto& table : result.exports)
      if (table.name == name) return table.node.value;
    return 0U;
  };
  CHECK(of("a") != of("b"));
  for (const char* wrong :
       {"x: 'to_int($pw, wrong: 1)'", "x: \"word.regexp_matches($bad)\"", "x: '${pw} + 1'", "x: $pw.foo"}) {
    compile.environment["BAD"] = "(geheim";
    const auto refused =
        compile(source + "$bad: !secret.env BAD\na: !select\n  table: $src\n  columns:\n    " + wrong + "\n");
    INFO(wrong << messages(refused));
    CHECK_FALSE(refused.ok());
    CHECK(messages(refused).find("geheim") == std::string::npos);
  }
  const auto query = compile(source + "q: !sql {query: \"select * from t where word = '${pw}'\", tables: {t: $src}}\n");
  CHECK_FALSE(query.ok());
  CHECK(messages(query).find("geheim") == std::string::npos);
}

TEST_CASE("the error table is a table of the file and an export") {
  Compiled compile;
  const auto result = compile("error_table: errors\nout: !io.csv.write {table: $errors, path: e.csv}\n");
  INFO(messages(result));
  REQUIRE(result.ok());
  REQUIRE(result.exports.size() == 1);
  CHECK(result.exports[0].name == "errors");
  for (const auto& node : result.plan.nodes) CHECK_FALSE(node.reports_errors);
}

TEST_CASE("every row of the registry is documented from its row") {
  FakeCatalog catalog;
  const Registry registry(&catalog);
  for (const Component* component : registry.all()) {
    INFO(component->name);
    CHECK(registry.find("pw." + component->name) == component);
    CHECK(docs_text(registry, component->name).has_value());
  }
  for (const std::string& topic : list_topics()) CHECK(list_text(registry, topic).has_value());
  CHECK_FALSE(list_text(registry, "tbles").has_value());
  CHECK_FALSE(docs_text(registry, "slect").has_value());
  CHECK_THAT(json_schema(registry), Catch::Contains("\"io.csv.read\""));
}

TEST_CASE("long paths and families of the peer lead to the same row") {
  FakeCatalog catalog;
  const Registry registry(&catalog);
  const Component* read = registry.find("io.csv.read");
  REQUIRE(read != nullptr);
  CHECK(registry.find("pw.io.csv.read") == read);
  CHECK(registry.find("pathway.io.csv.read") == read);
  CHECK(registry.find("pw:io.csv.read") == read);
  CHECK(registry.find("pw.io.csv:read") == read);
  CHECK(registry.find("io.rdkafka.read") == registry.find("io.kafka.read"));
  CHECK(registry.find("persistence.Backends.filesystem") == registry.find("pw.persistence.Backend.filesystem"));
}

TEST_CASE("long chains of definitions are built without deep recursion") {
  Compiled compile;
  std::string text = "$a0: x.csv\n";
  for (int i = 1; i <= 20000; ++i) text += "$a" + std::to_string(i) + ": $a" + std::to_string(i - 1) + "\n";
  CHECK(compile(text + "t: !io.csv.read {path: $a20000}\n").ok());
  std::string tables = "$t0: !io.csv.read {path: a.csv}\n";
  for (int i = 1; i <= 2000; ++i)
    tables += "$t" + std::to_string(i) + ": !select {table: $t" + std::to_string(i - 1) + ", columns: [data]}\n";
  CHECK(compile(tables + "t: $t2000\n").ok());
  CHECK_FALSE(compile(tables + "t: $t2001\n").ok());
  std::string ring;
  for (int i = 0; i < 3000; ++i) ring += "$r" + std::to_string(i) + ": $r" + std::to_string((i + 1) % 3000) + "\n";
  CHECK_FALSE(compile(ring + "t: $r0\n").ok());
}

namespace {

// Files that only exist here.
class MemoryDisk : public Disk {
 public:
  std::map<std::string, std::string> files;

  Result<std::unique_ptr<ReadFile>> open_read(const std::string& path) override {
    const auto found = files.find(path);
    if (found == files.end()) return fail(Code::kNotFound, "no such file");
    return std::make_unique<MemoryFile>(found->second);
  }
  Result<FileStat> stat(const std::string&) override { return fail(Code::kNotFound, "no such file"); }
  Result<std::unique_ptr<WriteFile>> open_write(const std::string&, WriteMode) override {
    return fail(Code::kIo, "read-only");
  }
  Result<void> rename(const std::string&, const std::string&) override { return fail(Code::kIo, "read-only"); }
  Result<void> remove(const std::string&) override { return fail(Code::kIo, "read-only"); }
  Result<void> make_directories(const std::string&) override { return fail(Code::kIo, "read-only"); }
  Result<std::vector<std::string>> list(const std::string&) override { return std::vector<std::string>{}; }
  Result<void> sync_directory(const std::string&) override { return {}; }
  Result<std::shared_ptr<void>> lock(const std::string&) override { return fail(Code::kIo, "read-only"); }

 private:
  class MemoryFile : public ReadFile {
   public:
    explicit MemoryFile(std::string text) : text_(std::move(text)) {}
    Result<std::size_t> read_at(std::uint64_t offset, char* into, std::size_t bytes) override {
      if (offset >= text_.size()) return std::size_t{0};
      return text_.copy(into, bytes, offset);
    }
    Result<FileStat> stat() override { return FileStat{}; }

   private:
    std::string text_;
  };
};

}  // namespace

TEST_CASE("imported files give names, and paths are relative to the file they stand in") {
  Compiled compile;
  MemoryDisk disk;
  compile.options.disk = &disk;
  disk.files["lib/common.yaml"] =
      "imports: [deep/more.yaml]\n$orders: !io.csv.read {path: orders.csv, schema: $schema}\nplain: !io.csv.read "
      "{path: p.csv}\n"
      "sink: !io.csv.write {table: $orders, path: never.csv}\n$unused: 1\n";
  disk.files["lib/deep/more.yaml"] = "imports: ../common.yaml\n$schema: !schema_from_types {a: int}\n";
  disk.files["main.yaml"] =
      "imports: [lib/common.yaml]\nout: !io.csv.write {table: $orders, path: out.csv}\np: $plain\n";
  const auto result = compile_file("main.yaml", (compile(""), compile.options));
  INFO(messages(result));
  REQUIRE(result.ok());
  CHECK(result.diagnostics.all().empty());
  CHECK(*first_source(result).args.find("path")->as_text() == "lib/orders.csv");
  CHECK(count_sources(result) == 2);
  CHECK(*first_output(result).args.find("path")->as_text() == "out.csv");
  disk.files["main.yaml"] = "imports: [lib/commn.yaml]\n";
  CHECK_THAT(messages(compile_file("main.yaml", compile.options)),
             Catch::Contains("main.yaml:1:11: error: cannot read `lib/commn.yaml`"));
  CHECK_THAT(messages(compile_file("none.yaml", compile.options)), Catch::Contains("cannot read `none.yaml`"));
}

TEST_CASE("a schema is read from a CSV file") {
  Compiled compile;
  MemoryDisk disk;
  compile.options.disk = &disk;
  disk.files["d/a.csv"] = "id;amount;name\n1;2.5;x\n2;3;\"y;z\"\n";
  disk.files["d/main.yaml"] = "t: !io.csv.read {path: a.csv, schema: !schema_from_csv {path: a.csv, delimiter: ;}}\n";
  const auto result = compile_file("d/main.yaml", (compile(""), compile.options));
  INFO(messages(result));
  REQUIRE(result.ok());
  const Schema& schema = result.exports[0].schema;
  REQUIRE(schema.size() == 3);
  CHECK(schema.columns[0].type == Type(Kind::kInt));
  CHECK(schema.columns[1].type == Type(Kind::kFloat));
  CHECK(schema.columns[2].type == Type(Kind::kStr));
}

TEST_CASE("a secret comes from a file, paths can be forbidden") {
  Compiled compile;
  MemoryDisk disk;
  compile.options.disk = &disk;
  disk.files["/run/pw"] = "geheim\n";
  const std::string text =
      "$t: !io.csv.read {path: a.csv}\n"
      "o: !io.postgres.write {table: $t, table_name: t, postgres_settings: {password: !secret.file /run/pw}}\n";
  const auto result = compile(text);
  INFO(messages(result));
  REQUIRE(result.ok());
  CHECK(*first_output(result).args.find("postgres_settings")->find("password")->as_text() == "geheim");
  compile.options.path_allowed = [](const std::string& path) { return path[0] != '/'; };
  CHECK_THAT(messages(compile(text)), Catch::Contains("allow_paths"));
}
