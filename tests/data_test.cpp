#include <doctest/doctest.h>
#include <ebb/nn/nn.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <set>
#include <string>
#include <vector>

using namespace ebb;

namespace {

/// A file with this text, gone at the end.
struct File {
  std::string path;
  explicit File(const std::string& text) {
    std::string name = (std::filesystem::temp_directory_path() / "ebb-csv-XXXXXX").string();
    const int fd = ::mkstemp(name.data());
    REQUIRE(fd >= 0);
    path = name;
    std::ofstream(path, std::ios::binary).write(text.data(), std::ssize(text));
  }
  ~File() { std::remove(path.c_str()); }
  File(const File&) = delete;
  File& operator=(const File&) = delete;
};

data::Dataset read(const std::string& text, const data::CsvOptions& options = {.label = "y"}) {
  const File file(text);
  return data::csv(file.path, options);
}

/// What csv() says about a text, the file's name left out.
std::string complaint(const std::string& text, const data::CsvOptions& options = {.label = "y"}) {
  const File file(text);
  try {
    data::csv(file.path, options);
  } catch (const Error& e) {
    const std::string message = e.what();
    REQUIRE(message.starts_with(file.path + ":"));
    return message.substr(file.path.size());
  }
  return "it was read";
}

/// Rows [i, 10·i] with the answer i.
data::Dataset numbered(std::int64_t n) {
  std::vector<float> x, y;
  for (std::int64_t i = 0; i < n; ++i) {
    x.push_back(static_cast<float>(i));
    x.push_back(static_cast<float>(10 * i));
    y.push_back(static_cast<float>(i));
  }
  return {from(x, {n, 2}), from(y, {n, 1}), {"a", "b"}};
}

std::vector<float> answers(const data::Dataset& d) { return d.y.to_vector<float>(); }

using Numbers = std::vector<float>;

}  // namespace

// ---- csv ---------------------------------------------------------------------------------------------------------

TEST_CASE("csv reads a table, the label by name") {
  const data::Dataset d = read("a,y,b\n1,0,-2.5\n3e2,1,+4\n");
  CHECK(d.features == std::vector<std::string>{"a", "b"});
  CHECK(d.x.shape() == Shape{2, 2});
  CHECK(d.x.to_vector<float>() == Numbers{1, -2.5, 300, 4});
  CHECK(d.y.shape() == Shape{2, 1});
  CHECK(answers(d) == Numbers{0, 1});
  CHECK(d.size() == 2);
}

TEST_CASE("csv reads class numbers as i64") {
  const data::Dataset d = read("a,y\n1,2\n3,0\n", {.label = "y", .classes = true});
  CHECK(d.y.shape() == Shape{2});
  CHECK(d.y.to_vector<std::int64_t>() == std::vector<std::int64_t>{2, 0});
  CHECK(complaint("a,y\n1,0.5\n", {.label = "y", .classes = true}) ==
        ":2:3: column 2 (\"y\") wants a class number (0, 1, 2, ...), got \"0.5\"");
  CHECK(complaint("a,y\n1,-1\n", {.label = "y", .classes = true}) ==
        ":2:3: column 2 (\"y\") wants a class number (0, 1, 2, ...), got \"-1\"");
}

TEST_CASE("csv takes quotes, spaces, byte order marks, carriage returns and empty lines") {
  const data::Dataset d = read("\xEF\xBB\xBF\"first, \"\"quoted\"\"\", y \r\n\r\n\"1\", 2 \r\n3,4");
  CHECK(d.features == std::vector<std::string>{"first, \"quoted\""});
  CHECK(d.x.to_vector<float>() == Numbers{1, 3});
  CHECK(answers(d) == Numbers{2, 4});
  CHECK(read("a;y\r1;2\r", {.label = "y", .separator = ';'}).x.item() == 1);
}

TEST_CASE("csv says where a table is wrong") {
  CHECK(complaint("id,y,age\n1,0,30\n2,1,n/a\n") == ":3:5: column 3 (\"age\") wants a number, got \"n/a\"");
  CHECK(complaint("a,y\n1,\n") == ":2:3: column 2 (\"y\") wants a number, got \"\"");
  CHECK(complaint("a,y\nnan,1\n") == ":2:1: column 1 (\"a\") wants a number, got \"nan\"");
  CHECK(complaint("a,y\n1e99,1\n") == ":2:1: column 1 (\"a\") wants a number, got \"1e99\"");
  CHECK(complaint("a,y\n1 2,1\n") == ":2:1: column 1 (\"a\") wants a number, got \"1 2\"");
  CHECK(complaint("a,y\n0x10,1\n") == ":2:1: column 1 (\"a\") wants a number, got \"0x10\"");
  CHECK(complaint("a,y\n\x1b[2J,1\n") == ":2:1: column 1 (\"a\") wants a number, got \"?[2J\"");
  CHECK(complaint("a,y\n1,2\n1\n") == ":3:1: the row has 1 cells, the header names 2 columns");
  CHECK(complaint("a,y\n1,2,3\n") == ":2:1: the row has 3 cells, the header names 2 columns");
  CHECK(complaint("a,y\n\"1,2\n") == ":2:1: a quote begins here and never ends");
  CHECK(complaint("a,y\n\"1\"2,2\n") == ":2:4: text behind a closing quote; a quote within quotes is written \"\"");
  CHECK(complaint("\"a\nb\",y\n1,2\n1,x\n") ==
        ":4:3: column 2 (\"y\") wants a number, got \"x\"\n"
        "  help: .classes = true reads names of classes");
  CHECK(complaint("colour,y\nred,1\n") ==
        ":2:1: column 1 (\"colour\") wants a number, got \"red\"\n"
        "  help: .categories = {{\"colour\", {}}} reads a column of words");
  CHECK(complaint("a,y\ninf,1\n") == ":2:1: column 1 (\"a\") wants a number, got \"inf\"");
  CHECK(complaint("a,y,z\n1,red,2\n", {.labels = {"y", "z"}}) == ":2:3: column 2 (\"y\") wants a number, got \"red\"");
  CHECK(complaint("a,y,a\n1,2,3\n") == ":1:1: two columns are called \"a\"");
  CHECK(complaint("") == ": the file is empty; its first line should name the columns");
  CHECK(complaint("\n\n") == ": the file is empty; its first line should name the columns");
  CHECK(complaint("a,y\n") == ": there are no rows below the names of the columns");
  CHECK(complaint("a,b\n1,2\n") == ": no column is called \"y\"; there are a, b");
  CHECK(complaint("y\n1\n") == ": there is no column besides \"y\"");
  CHECK(complaint("a,y\n1,2\n", {}) == ": which column holds the answers? Name it as .label; there are a, y");
  CHECK(complaint("a,y\n1," + std::string(17 << 20, '1')) == ":2:1: the line is longer than 16777216 bytes");
}

TEST_CASE("the kinds of csv's errors") {
  const File file("a,y\n1,x\n");
  CHECK_THROWS_AS(data::csv(file.path, {.label = "y"}), ParseError);
  CHECK_THROWS_AS(data::csv(file.path, {.label = "z"}), UsageError);
  CHECK_THROWS_WITH_AS(data::csv("no-such.csv", {.label = "y"}),
                       "cannot open \"no-such.csv\": No such file or directory", IoError);
}

TEST_CASE("the examples' table is what its README says") {
  const data::Dataset d = data::csv(EBB_SOURCE_ROOT "/examples/data/wdbc.csv", {.label = "benign"});
  CHECK(d.x.shape() == Shape{569, 10});
  CHECK(sum(d.y).item() == 357);
  CHECK(d.features.front() == "radius");
}

TEST_CASE("csv reads tables with several answers, with none, and without names") {
  const data::Dataset two = read("a,b,c\n1,2,3\n4,5,6\n", {.labels = {"c", "a"}});
  CHECK(two.x.to_vector<float>() == Numbers{2, 5});
  CHECK(two.y.shape() == Shape{2, 2});
  CHECK(answers(two) == Numbers{3, 1, 6, 4});
  const data::Dataset none = read("a,b\n1,2\n", {.labelled = false});
  CHECK(none.x.shape() == Shape{1, 2});
  CHECK(!none.y.defined());
  CHECK(none.size() == 1);
  const data::Dataset nameless = read("1,2,3\n4,5,6\n", {.label = "2", .header = false});
  CHECK(nameless.features == std::vector<std::string>{"0", "1"});
  CHECK(answers(nameless) == Numbers{3, 6});
  CHECK(complaint("1,2\n3\n", {.label = "1", .header = false}) == ":2:1: the row has 1 cells, the first one has 2");
  CHECK(complaint("", {.label = "1", .header = false}) == ": the file is empty");
}

TEST_CASE("csv refuses, leaves out or fills in what is missing") {
  const std::string table = "a,b,y\n1,NA,0\n,4,1\n5,6,0\n";
  using data::Missing;
  CHECK(complaint(table) == ":2:3: column 2 (\"b\") wants a number, got \"NA\"");
  const data::Dataset dropped = read(table, {.label = "y", .missing = Missing::drop});
  CHECK(dropped.x.to_vector<float>() == Numbers{5, 6});
  CHECK(read(table, {.label = "y", .missing = Missing::mean}).x.to_vector<float>() == Numbers{1, 5, 3, 4, 5, 6});
  CHECK(read(table, {.label = "y", .missing = Missing::fill, .fill = -1}).x.to_vector<float>() ==
        Numbers{1, -1, -1, 4, 5, 6});
  for (const std::string word : {"", "na", "N/A", "NaN", "null", "?", " ? ", "\"\""})
    CHECK(read("a,y\n" + word + ",1\n", {.label = "y", .missing = Missing::fill}).x.item() == 0);
  CHECK(complaint("a,y\n-,1\n", {.label = "y", .missing = Missing::fill}) ==
        ":2:1: column 1 (\"a\") wants a number, got \"-\"");
  CHECK(complaint("a,y\n1,?\n", {.label = "y", .missing = Missing::fill}) ==
        ":2:3: column 2 (\"y\") wants a number, got \"?\"");
  CHECK(complaint("a,y\n?,1\n", {.label = "y", .missing = Missing::drop}) == ": no row has all its cells");
  CHECK(complaint("a,y\n?,1\n", {.label = "y", .missing = Missing::mean}) ==
        ": column \"a\" has no number that its missing ones could be given the mean of");
}

TEST_CASE("csv turns words into numbers, in their sorted order or the one that is given") {
  const std::string table = "size,colour,y\n1,red,0\n2,blue,1\n3, red ,0\n";
  const data::Dataset d = read(table, {.label = "y", .categories = {{"colour", {}}}});
  CHECK(d.x.to_vector<float>() == Numbers{1, 1, 2, 0, 3, 1});
  CHECK(d.categories.at("colour") == std::vector<std::string>{"blue", "red"});
  CHECK(d.rows(0, 1).categories == d.categories);
  const data::Dataset other = read("size,colour,y\n1,red,0\n", {.label = "y", .categories = d.categories});
  CHECK(other.x.to_vector<float>() == Numbers{1, 1});
  CHECK(other.categories == d.categories);
  CHECK(complaint("size,colour,y\n1,green,0\n", {.label = "y", .categories = d.categories}) ==
        ":2:3: column 2 (\"colour\") wants one of blue, red, got \"green\"");

  const data::Dataset wide = read(table, {.label = "y", .categories = {{"colour", {}}}, .one_hot = true});
  CHECK(wide.features == std::vector<std::string>{"size", "colour=blue", "colour=red"});
  CHECK(wide.x.to_vector<float>() == Numbers{1, 0, 1, 2, 1, 0, 3, 0, 1});

  CHECK(complaint("c,y\n,1\n", {.label = "y", .categories = {{"c", {}}}}) ==
        ":2:1: column 1 (\"c\") wants a word, got \"\"");
  CHECK(read("c,y\n\"NA\",1\n", {.label = "y", .categories = {{"c", {}}}}).categories.at("c")[0] == "NA");
  const data::Dataset kept =
      read("c,y\nb,1\nnull,2\n", {.label = "y", .missing = data::Missing::drop, .categories = {{"c", {}}}});
  CHECK(kept.categories.at("c") == std::vector<std::string>{"b"});
}

TEST_CASE("csv reads names of classes") {
  const std::string table = "a,y\n1,setosa\n2,virginica\n3,\"setosa\"\n";
  const data::Dataset d = read(table, {.label = "y", .classes = true});
  CHECK(d.y.to_vector<std::int64_t>() == std::vector<std::int64_t>{0, 1, 0});
  CHECK(d.classes == std::vector<std::string>{"setosa", "virginica"});
  CHECK(d.split({.test = 0.4}).train.classes == d.classes);
  const data::Dataset other = read("a,y\n1,virginica\n", {.label = "y", .classes = true, .class_names = d.classes});
  CHECK(other.y.item() == 1);
  CHECK(complaint("a,y\n1,rosa\n", {.label = "y", .classes = true, .class_names = d.classes}) ==
        ":2:3: column 2 (\"y\") wants one of setosa, virginica, got \"rosa\"");
  CHECK(complaint("a,y\n1,b\n1,\n", {.label = "y", .classes = true}) ==
        ":3:3: column 2 (\"y\") wants the name of a class, got \"\"");
  CHECK(complaint("a,y\n1,3\n1,b\n", {.label = "y", .classes = true}) ==
        ":3:3: column 2 (\"y\") wants a class number (0, 1, 2, ...), got \"b\"");
}

TEST_CASE("csv's options that contradict each other are refused") {
  const auto of = [](const data::CsvOptions& options) { return complaint("a,b,y\n1,2,3\n", options); };
  CHECK(of({.label = "y", .labels = {"a"}}) == ": .label and .labels are both given; one of them names the answers");
  CHECK(of({.label = "y", .labelled = false}) == ": a label is named, and .labelled is false");
  CHECK(of({.classes = true, .labels = {"a"}}) == ": .classes wants a single .label");
  CHECK(of({.classes = true, .labelled = false}) == ": .classes wants a single .label");
  CHECK(of({.label = "y", .class_names = {"u"}}) == ": .class_names are for .classes = true");
  CHECK(of({.label = "y", .missing = data::Missing::fill, .fill = 1e99}) == ": .fill must be a finite number of f32");
  CHECK(of({.labels = {"a", "a"}}) == ": \"a\" is named twice among .labels");
  CHECK(of({.labels = {"a", "b", "y"}}) == ": there is no column besides \"a\"");
  CHECK(of({.label = "y", .categories = {{"y", {}}}}) == ": \"y\" holds answers; words as answers are .classes");
  CHECK(of({.label = "y", .categories = {{"c", {}}}}) == ": no column is called \"c\"; there are a, b, y");
  CHECK(of({.label = "y", .categories = {{"a", {"u", "u"}}}}) == ": a word is twice among the categories of \"a\"");
  CHECK(of({.label = "y", .classes = true, .class_names = {"u", "u"}}) == ": a name is twice among .class_names");
  CHECK(of({.label = "y", .separator = '"'}) == ": .separator cannot be a quote");
  CHECK(of({.label = "y", .separator = '\n'}) == ": .separator cannot be what ends a line");
  CHECK(of({.label = "y", .separator = '\r'}) == ": .separator cannot be what ends a line");
  std::string many = "c,y\n";
  for (int i = 0; i < 1001; ++i) many += "w" + std::to_string(i) + ",1\n";
  CHECK(complaint(many, {.label = "y", .categories = {{"c", {}}}, .one_hot = true}) ==
        ": column \"c\" holds 1001 words, and one_hot makes 1000 columns of it at most");
}

// ---- Dataset -----------------------------------------------------------------------------------------------------

TEST_CASE("rows are taken by range and by number") {
  const data::Dataset d = numbered(5);
  CHECK(answers(d.rows(1, 3)) == Numbers{1, 2});
  const std::vector<std::int64_t> picked{4, 0, 4};
  const data::Dataset some = d.rows(picked);
  CHECK(answers(some) == Numbers{4, 0, 4});
  CHECK(some.x.to_vector<float>() == Numbers{4, 40, 0, 0, 4, 40});
  CHECK(some.features == d.features);
  CHECK_THROWS_WITH_AS(d.rows(1, 6), "Dataset::rows(1, 6): there are 5 rows", IndexError);
  const std::vector<std::int64_t> wrong{5};
  CHECK_THROWS_WITH_AS(d.rows(wrong), "Dataset::rows: there is no row 5 of 5", IndexError);
  const data::Dataset torn{zeros({3, 2}), zeros({4}), {}};
  CHECK_THROWS_WITH_AS(torn.size(), "Dataset: x [3, 2] and y [4] must have one row for each other", ShapeError);
}

TEST_CASE("a row's weight stays with it") {
  data::Dataset d = numbered(10);
  d.weight = arange(10, f32) * 100.0;
  const auto stay = [](const data::Dataset& part) {
    CHECK(part.weight.shape() == Shape{part.size()});
    CHECK((part.weight / 100.0).to_vector<float>() == answers(part));
  };
  stay(d.rows(2, 5));
  stay(d.rows(std::vector<std::int64_t>{4, 0, 4}));
  stay(d.split({.test = 0.3, .seed = 7, .standardize = true}).test);
  for (const bool shuffle : {false, true})
    for (const data::Batch& batch : data::loader(d, {.batch = 4, .shuffle = shuffle}))
      stay({batch.x, batch.y, {}, batch.weight});
  for (const data::Batch& batch : data::loader(numbered(3))) CHECK(!batch.weight.defined());
  d.weight = zeros({9});
  CHECK_THROWS_WITH_AS(d.size(), "Dataset: weight [9] must hold one number for each row of x [10, 2]", ShapeError);
}

TEST_CASE("rows need no answers") {
  const data::Dataset d{numbered(4).x, {}};
  CHECK(d.size() == 4);
  CHECK(!d.split({.test = 0.5}).train.y.defined());
  for (const auto& [x, y] : data::loader(d, {.batch = 3, .shuffle = true})) CHECK(!y.defined());
  CHECK_THROWS_WITH_AS((data::Dataset{tensor(1), {}}.size()), "Dataset: x [] has no rows", ShapeError);
}

TEST_CASE("a split deals every row to one part, by the seed alone") {
  const data::Dataset d = numbered(10);
  const auto [train, test] = d.split({.test = 0.3, .seed = 7});
  CHECK(train.size() == 7);
  CHECK(test.size() == 3);
  Numbers all = answers(train);
  for (const float v : answers(test)) all.push_back(v);
  CHECK(std::set<float>(all.begin(), all.end()).size() == 10);
  CHECK(test.x.to_vector<float>()[3] == 10 * answers(test)[1]);  // x and y go together

  CHECK(answers(d.split({.test = 0.3, .seed = 7}).test) == answers(test));
  CHECK(answers(d.split({.test = 0.3, .seed = 8}).test) != answers(test));
  CHECK_THROWS_WITH_AS(d.split({.test = 1}), "Dataset::split: test must be in (0, 1), got 1", UsageError);
  CHECK_THROWS_WITH_AS(d.split({.test = 0.01}), "Dataset::split: test = 0.01 of 10 rows leaves a part empty",
                       UsageError);
}

TEST_CASE("standardising learns from the training part alone") {
  data::Dataset d = numbered(40);
  const auto [train, test] = d.split({.test = 0.25, .seed = 1, .standardize = true});
  const auto plain = d.split({.test = 0.25, .seed = 1});
  double mean_of_train = 0, square = 0;
  for (const float v : answers(plain.train)) mean_of_train += v / 30.0;
  for (const float v : answers(plain.train)) square += (v - mean_of_train) * (v - mean_of_train) / 30.0;
  for (std::size_t i = 0; i < 10; ++i)
    CHECK(test.x.to_vector<double>()[2 * i] ==
          doctest::Approx((answers(plain.test)[i] - mean_of_train) / std::sqrt(square)).epsilon(1e-5));
  CHECK(std::abs(mean(train.x).item()) < 1e-6);
  CHECK(answers(test) == answers(plain.test));

  // Other numbers in the test part change nothing in the training part.
  std::vector<float> x = d.x.to_vector<float>();
  for (const float v : answers(plain.test)) x[2 * static_cast<std::size_t>(v)] = 1e6f;
  d.x = from(x, {40, 2});
  CHECK(d.split({.test = 0.25, .seed = 1, .standardize = true}).train.x.to_vector<float>() ==
        train.x.to_vector<float>());
}

TEST_CASE("a Standardizer leaves a constant column at 0, and refuses other columns") {
  const data::Standardizer standardizer(tensor({{1, 5}, {3, 5}}));
  CHECK(standardizer(tensor({{1, 5}, {5, 6}})).to_vector<float>() == Numbers{-1, 0, 3, 1});
  CHECK_THROWS_WITH_AS(standardizer(zeros({4, 3})), "Standardizer: learned columns of shape [2], got [4, 3]",
                       ShapeError);
  CHECK_THROWS_WITH_AS(data::Standardizer(arange(3)), "Standardizer: columns must be f32 or f64, not i64", DTypeError);
  CHECK_THROWS_WITH_AS(data::Standardizer(zeros({0, 3})), "Standardizer: there are no rows to learn from in [0, 3]",
                       ShapeError);
}

TEST_CASE("every row is in the test part of one fold") {
  const data::Dataset d = numbered(11);
  const std::vector<data::Split> folds = d.folds(3, 5);
  REQUIRE(folds.size() == 3);
  std::multiset<float> tested;
  for (const data::Split& fold : folds) {
    CHECK(fold.train.size() + fold.test.size() == 11);
    for (const float v : answers(fold.test)) {
      tested.insert(v);
      const Numbers train = answers(fold.train);
      CHECK(std::find(train.begin(), train.end(), v) == train.end());
    }
  }
  CHECK(tested == std::multiset<float>{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10});
  CHECK(std::abs(mean(d.folds(3, 5, true)[0].train.x).item()) < 1e-6);
  CHECK_THROWS_WITH_AS(d.folds(1), "Dataset::folds: k must be in [2, 11], got 1", UsageError);
}

// ---- sequences ---------------------------------------------------------------------------------------------------

TEST_CASE("windows hold each step and the one that follows") {
  const data::Dataset all = data::windows(arange(6), {.time = 3});
  CHECK(all.x.to_vector<std::int64_t>() == std::vector<std::int64_t>{0, 1, 2, 1, 2, 3, 2, 3, 4});
  CHECK(all.y.to_vector<std::int64_t>() == std::vector<std::int64_t>{1, 2, 3, 2, 3, 4, 3, 4, 5});
  CHECK(all.x.shape() == Shape{3, 3});
  CHECK(all.x.dtype() == i64);
  CHECK(data::windows(arange(7), {.time = 3, .stride = 3}).x.to_vector<float>() == Numbers{0, 1, 2, 3, 4, 5});
  CHECK(data::windows(arange(7), {.time = 6, .stride = std::int64_t{1} << 62}).x.to_vector<float>() ==
        Numbers{0, 1, 2, 3, 4, 5});

  const data::Dataset forecast = data::windows(reshape(arange(10, f32), {5, 2}), {.time = 3, .last = true});
  CHECK(forecast.x.shape() == Shape{2, 3, 2});
  CHECK(forecast.y.shape() == Shape{2, 2});
  CHECK(answers(forecast) == Numbers{6, 7, 8, 9});
  CHECK_THROWS_WITH_AS(data::windows(arange(3), {.time = 3}), "windows: 3 steps are too few for 3 and the next",
                       UsageError);
  CHECK_THROWS_WITH_AS(data::windows(arange(3), {.time = 0}), "windows: time must be at least 1, got 0", UsageError);
  CHECK_THROWS_WITH_AS(data::windows(arange(3), {.time = 1, .stride = 0}), "windows: stride must be at least 1, got 0",
                       UsageError);
  CHECK_THROWS_WITH_AS(data::windows(tensor(1)), "windows: a sequence is [steps, ...], got []", ShapeError);
}

TEST_CASE("each row of streams goes on in the next batch") {
  const data::Dataset all = data::streams(arange(29), {.batch = 2, .time = 4});
  CHECK(all.x.shape() == Shape{6, 4});
  std::vector<Numbers> stream(2);
  for (const auto& [x, y] : data::loader(all, {.batch = 2}))
    for (std::int64_t i = 0; i < 2; ++i) {
      CHECK(y[i].to_vector<float>() == (x[i] + 1).to_vector<float>());
      for (const float v : x[i].to_vector<float>()) stream[static_cast<std::size_t>(i)].push_back(v);
    }
  CHECK(stream[0] == arange(12).to_vector<float>());
  CHECK(stream[1] == (arange(12) + 12).to_vector<float>());
  CHECK_THROWS_WITH_AS(data::streams(arange(8), {.batch = 2, .time = 4}),
                       "streams: 8 steps are too few for 2 streams of 4 and the next", UsageError);
  CHECK_THROWS_WITH_AS(data::streams(arange(8), {.batch = 0}), "streams: batch must be at least 1, got 0", UsageError);
}

TEST_CASE("a vocabulary numbers characters, and gives their text back") {
  const std::string text =
      "b\xC3\xA4"
      "a\n\xE2\x82\xAC b\xF0\x9F\x98\x80";
  const data::Vocabulary letters(text);
  CHECK(letters.symbols() ==
        std::vector<std::string>{"\n", " ", "a", "b", "\xC3\xA4", "\xE2\x82\xAC", "\xF0\x9F\x98\x80"});
  const Tensor numbers = letters.encode(text);
  CHECK(numbers.to_vector<std::int64_t>() == std::vector<std::int64_t>{3, 4, 2, 0, 5, 1, 3, 6});
  CHECK(letters.decode(numbers) == text);
  CHECK(letters.decode(reshape(numbers, {2, 4})) == text);
  CHECK(letters.decode(numbers[0]) == "b");
  CHECK(letters.encode("").shape() == Shape{0});
  CHECK(letters.number("a") == 2);
  CHECK_THROWS_WITH_AS(letters.encode("abc"), "Vocabulary: \"c\" is none of its 7 symbols", UsageError);
  CHECK_THROWS_WITH_AS(letters.decode(tensor({7}, i64)), "Vocabulary::decode: there is no symbol 7 of 7", IndexError);
  CHECK_THROWS_WITH_AS(letters.decode(tensor({1})), "Vocabulary::decode: symbols have numbers of i64, not f32",
                       DTypeError);
}

TEST_CASE("a vocabulary loses nothing of a text that is not UTF-8") {
  // Lone continuations, overlong forms, a surrogate, beyond 10FFFF, a character cut off.
  for (const std::string text :
       {"\x80", "\xC0\x80", "\xE0\x80\x80", "\xED\xA0\x80", "\xF4\x90\x80\x80", "\xE2\x82", "\xFF\xFE"}) {
    const data::Vocabulary bytes(text);
    CHECK(bytes.encode(text).size() == std::ssize(text));
    CHECK(bytes.decode(bytes.encode(text)) == text);
  }
  Generator generator(1);
  std::string noise;
  for (int i = 0; i < 10000; ++i) noise += static_cast<char>(generator.below(256));
  const data::Vocabulary all(noise);
  CHECK(all.decode(all.encode(noise)) == noise);
}

TEST_CASE("a vocabulary of words keeps those that come most often") {
  const std::string text = "It's a dog; a cat,\ta dog! Caf\xC3\xA9_9.";
  const data::Vocabulary words(text, {.symbols = data::Symbols::words});
  CHECK(words.symbols() == std::vector<std::string>{"!", ",", ".", ";", "Caf\xC3\xA9_9", "It's", "a", "cat", "dog"});
  CHECK(words.decode(words.encode(text)) == "It's a dog ; a cat , a dog ! Caf\xC3\xA9_9 .");

  const data::Vocabulary few(text, {.symbols = data::Symbols::words, .most = 3, .unknown = "<unk>"});
  CHECK(few.symbols() == std::vector<std::string>{"<unk>", "!", "a", "dog"});
  CHECK(few.decode(few.encode("a dog, a mouse!")) == "a dog <unk> a <unk> !");
  const data::Vocabulary again =
      data::Vocabulary::listed(few.symbols(), {.symbols = data::Symbols::words, .unknown = "<unk>"});
  CHECK(again.encode(text).to_vector<float>() == few.encode(text).to_vector<float>());

  CHECK_THROWS_WITH_AS(data::Vocabulary(text, {.most = 3}),
                       "Vocabulary: most = 3 of 20 symbols, and nothing stands for the others\n"
                       "  help: name it, e.g. .unknown = \"<unk>\"",
                       UsageError);
  CHECK_THROWS_WITH_AS(data::Vocabulary("a", {.most = -1}),
                       "Vocabulary: it keeps 1 symbol or more, or with 0 all, got most = -1", UsageError);
  CHECK_THROWS_WITH_AS(data::Vocabulary(" ", {.symbols = data::Symbols::words}),
                       "Vocabulary: there is no symbol in the text", UsageError);
  CHECK_THROWS_WITH_AS(data::Vocabulary::listed({"a", "a"}), "Vocabulary: \"a\" comes twice", UsageError);
  CHECK_THROWS_WITH_AS(data::Vocabulary::listed({""}), "Vocabulary: a symbol is empty", UsageError);
  CHECK_THROWS_WITH_AS(data::Vocabulary::listed({}), "Vocabulary: there is no symbol in the list", UsageError);
  CHECK_THROWS_WITH_AS(data::Vocabulary::listed({"a"}, {.unknown = "?"}),
                       "Vocabulary: the list must begin with \"?\", which stands for the unknown", UsageError);
}

// ---- loader ------------------------------------------------------------------------------------------------------

namespace {

/// The answers of all batches, and where batches ended.
std::vector<Numbers> batches(data::Loader& loader) {
  std::vector<Numbers> all;
  for (auto [x, y] : loader) {
    CHECK(x.shape()[0] == y.shape()[0]);
    CHECK(x.to_vector<float>()[1] == 10 * y.to_vector<float>()[0]);
    all.push_back(y.to_vector<float>());
  }
  return all;
}

}  // namespace

TEST_CASE("a loader goes through all rows in order, and keeps a last short batch") {
  data::Loader loader = data::loader(numbered(7), {.batch = 3});
  CHECK(loader.size() == 3);
  CHECK(batches(loader) == std::vector<Numbers>{{0, 1, 2}, {3, 4, 5}, {6}});
  CHECK(batches(loader) == std::vector<Numbers>{{0, 1, 2}, {3, 4, 5}, {6}});

  data::Loader whole = data::loader(numbered(7), {.batch = 3, .drop_last = true});
  CHECK(whole.size() == 2);
  CHECK(batches(whole) == std::vector<Numbers>{{0, 1, 2}, {3, 4, 5}});
}

TEST_CASE("a shuffled order is a function of seed and epoch alone") {
  const data::LoaderOptions options{.batch = 4, .shuffle = true, .seed = 1};
  data::Loader loader = data::loader(numbered(10), options), again = data::loader(numbered(10), options);
  const auto first = batches(loader), second = batches(loader);
  CHECK(first != second);
  CHECK(loader.epoch() == 2);
  seed(99);
  rand({100});  // the default generator has no part in it
  CHECK(batches(again) == first);
  CHECK(batches(again) == second);

  data::Loader resumed = data::loader(numbered(10), {.batch = 4, .shuffle = true, .seed = 1, .epoch = 1});
  CHECK(batches(resumed) == second);
  data::Loader other = data::loader(numbered(10), {.batch = 4, .shuffle = true, .seed = 2});
  CHECK(batches(other) != first);

  std::multiset<float> all;
  for (const Numbers& batch : first) all.insert(batch.begin(), batch.end());
  CHECK(all == std::multiset<float>{0, 1, 2, 3, 4, 5, 6, 7, 8, 9});
}

TEST_CASE("a loader can be made in the loop that uses it") {
  int rows = 0;
  for (const auto& [x, y] : data::loader(numbered(10), {.batch = 4, .shuffle = true}))
    rows += static_cast<int>(y.size() * x.shape()[1] / 2);
  CHECK(rows == 10);
}

TEST_CASE("two loops over one loader do not disturb each other") {
  data::Loader loader = data::loader(numbered(6), {.batch = 2, .shuffle = true});
  int pairs = 0;
  for (const auto& outer : loader)
    for (const auto& inner : loader) pairs += outer.x.size() == inner.x.size() ? 1 : 0;
  CHECK(pairs == 9);
}

TEST_CASE("a loader refuses what makes no batch") {
  CHECK_THROWS_WITH_AS(data::loader(numbered(3), {.batch = 0}), "loader: a batch must have at least 1 row, got 0",
                       UsageError);
  CHECK_THROWS_WITH_AS(data::loader(numbered(0)), "loader: the dataset has no rows", UsageError);
  CHECK_THROWS_WITH_AS(data::loader({}, {}), "loader: the dataset is empty: its x holds nothing", UsageError);
  CHECK_THROWS_WITH_AS(data::Dataset{}.split(), "Dataset: the dataset is empty: its x holds nothing", UsageError);
  CHECK_THROWS_WITH_AS(data::loader(numbered(3), {.batch = 4, .drop_last = true}),
                       "loader: 3 rows do not fill one batch of 4, and drop_last leaves the rest out", UsageError);
}

TEST_CASE("inputs that hold nothing are said to") {
  CHECK_THROWS_WITH_AS(data::Standardizer({}), "Standardizer: x holds nothing", UsageError);
  CHECK_THROWS_WITH_AS(data::Standardizer(ones({2, 1}))({}), "Standardizer: x holds nothing", UsageError);
}

TEST_CASE("a loader refuses to begin or to look ahead where it cannot") {
  CHECK_THROWS_WITH_AS(data::loader(numbered(7), {.batch = 3, .first_batch = 4}),
                       "loader: first_batch must be in [0, 3], got 4", UsageError);
  CHECK_THROWS_WITH_AS(data::loader(numbered(7), {.batch = 3, .first_batch = -1}),
                       "loader: first_batch must be in [0, 3], got -1", UsageError);
  CHECK_THROWS_WITH_AS(data::loader(numbered(7), {.epoch = -2}), "loader: epoch must be at least 0, got -2",
                       UsageError);
  CHECK_THROWS_WITH_AS(data::loader(numbered(7), {.prefetch = -1}), "loader: prefetch must be at least 0, got -1",
                       UsageError);
}

TEST_CASE("a loader goes on in the middle of an epoch") {
  const auto from = [](std::int64_t epoch, std::int64_t batch) {
    data::Loader loader =
        data::loader(numbered(10), {.batch = 4, .shuffle = true, .seed = 1, .epoch = epoch, .first_batch = batch});
    std::vector<std::vector<Numbers>> epochs;
    while (loader.epoch() < 3) epochs.push_back(batches(loader));
    return epochs;
  };
  auto all = from(0, 0);
  all.erase(all.begin());
  CHECK(from(1, 0) == all);
  all[0].erase(all[0].begin(), all[0].begin() + 2);
  CHECK(from(1, 2) == all);
  all[0].clear();
  CHECK(from(1, 3) == all);
}

// ---- transforms --------------------------------------------------------------------------------------------------

namespace {

/// Adds noise to x.
data::Batch noisy(data::Batch batch, Generator& generator) {
  batch.x = batch.x + randn(batch.x.shape(), f32, generator);
  return batch;
}

std::vector<Numbers> noise_of(data::LoaderOptions options) {
  options.batch = 4;
  options.seed = 5;
  options.transform = noisy;
  data::Loader loader = data::loader(numbered(18), options);
  std::vector<Numbers> all;
  while (loader.epoch() < 2)
    for (const auto& [x, y] : loader) all.push_back(x.to_vector<float>());
  return all;
}

}  // namespace

TEST_CASE("what a transform draws depends on seed, epoch and batch alone") {
  const std::vector<Numbers> all = noise_of({});
  REQUIRE(all.size() == 10);
  CHECK(all[0] != all[5]);
  const std::vector<Numbers> later = noise_of({.epoch = 1, .first_batch = 2});
  CHECK(later == std::vector<Numbers>(all.begin() + 7, all.end()));
}

TEST_CASE("a transform that draws from the default generator draws the same on any thread, and moves nobody else's") {
  const auto batches = [](std::int64_t prefetch, bool by_default) {
    const auto add_noise = [by_default](data::Batch batch, Generator& own) {
      return noisy(std::move(batch), by_default ? default_generator() : own);
    };
    data::Loader loader = data::loader(numbered(8), {.batch = 4, .prefetch = prefetch, .transform = add_noise});
    std::vector<Numbers> all;
    while (loader.epoch() < 2)
      for (const auto& [x, y] : loader) all.push_back(x.to_vector<float>());
    return all;
  };
  const std::uint64_t position = default_generator().position();
  const std::vector<Numbers> own = batches(0, false);
  CHECK(batches(0, true) == own);
  CHECK(batches(3, true) == own);
  CHECK(default_generator().position() == position);
}

TEST_CASE("batches that a second thread makes ahead are the same") {
  for (const bool shuffle : {false, true}) {
    const std::vector<Numbers> all = noise_of({.shuffle = shuffle});
    for (const std::int64_t prefetch : {1, 2, 3, 100})
      CHECK(noise_of({.shuffle = shuffle, .prefetch = prefetch}) == all);
  }
}

TEST_CASE("what fails in the second thread fails in the loop") {
  for (const std::int64_t prefetch : {0, 1, 5}) {
    const auto fail_at_8 = [](data::Batch batch, Generator&) {
      if (batch.y[0].item() == 8) throw IndexError("row 8 is not to be had");
      return batch;
    };
    data::Loader loader = data::loader(numbered(16), {.batch = 2, .prefetch = prefetch, .transform = fail_at_8});
    int seen = 0;
    const auto loop = [&] {
      for (const auto& [x, y] : loader) seen += static_cast<int>(y.size());
    };
    CHECK_THROWS_WITH_AS(loop(), "row 8 is not to be had", IndexError);
    CHECK(seen == 8);
  }
}

TEST_CASE("who asks again for a batch that the second thread could not make is told again") {
  const auto fail = [](data::Batch batch, Generator&) {
    if (batch.y[0].item() == 2) throw IndexError("row 2 is not to be had");
    return batch;
  };
  data::Loader loader = data::loader(numbered(8), {.batch = 2, .prefetch = 2, .transform = fail});
  data::Loader::Iterator i = loader.begin();
  for (int time = 0; time < 2; ++time) CHECK_THROWS_WITH_AS(++i, "row 2 is not to be had", IndexError);
}

TEST_CASE("a loop can be left while batches are made ahead") {
  for (int times = 0; times < 20; ++times) {
    data::Loader loader = data::loader(numbered(1000), {.batch = 1, .shuffle = true, .prefetch = 3});
    int seen = 0;
    for ([[maybe_unused]] const data::Batch& batch : loader)
      if (++seen > times) break;
    CHECK(seen == times + 1);
  }
}

TEST_CASE("a loop with batches made ahead outlives its loader's move") {
  data::Loader loader = data::loader(numbered(6), {.batch = 2, .prefetch = 1});
  auto i = loader.begin();
  const data::Loader moved = std::move(loader);
  Numbers seen;
  for (; i != std::default_sentinel; ++i) seen.push_back(i->y[0].item() == 0 ? -1.0f : i->y.to_vector<float>()[0]);
  CHECK(seen == Numbers{-1, 2, 4});
}

namespace {

/// What a transform makes of images 1, 2, 3, ...; with answers and weights that should stay.
data::Batch changed(const data::Transform& transform, const Shape& shape, std::uint64_t seed = 1, DType dtype = f32) {
  Generator generator(seed);
  const Tensor x = reshape(arange(shape.size(), dtype) + 1, shape), y = arange(shape[0]), weight = ones({shape[0]});
  data::Batch batch = transform({x, y, weight}, generator);
  CHECK(batch.x.shape() == shape);
  CHECK(batch.x.dtype() == dtype);
  CHECK(batch.y.to_vector<float>() == y.to_vector<float>());
  CHECK(batch.weight.defined());
  return batch;
}

}  // namespace

TEST_CASE("random_crop moves each image by at most so many pixels, and fills up with 0") {
  constexpr std::int64_t h = 4, w = 5;
  std::set<std::pair<std::int64_t, std::int64_t>> moves;
  for (const DType dtype : {f32, f64, i64}) {
    const Numbers x =
        changed(data::random_crop(2), {100, 2, h, w}, static_cast<std::uint64_t>(dtype), dtype).x.to_vector<float>();
    for (std::int64_t i = 0; i < 100; ++i) {
      const auto at = [&](std::int64_t c, std::int64_t row, std::int64_t column) {
        return x[static_cast<std::size_t>(((i * 2 + c) * h + row) * w + column)];
      };
      const auto was = [&](std::int64_t c, std::int64_t row, std::int64_t column) {
        if (row < 0 || row >= h || column < 0 || column >= w) return 0.0f;
        return static_cast<float>(((i * 2 + c) * h + row) * w + column + 1);
      };
      int fitting = 0;
      for (std::int64_t down = -2; down <= 2; ++down)
        for (std::int64_t right = -2; right <= 2; ++right) {
          bool fits = true;
          for (std::int64_t c = 0; c < 2; ++c)
            for (std::int64_t row = 0; row < h; ++row)
              for (std::int64_t column = 0; column < w; ++column)
                fits &= at(c, row, column) == was(c, row - down, column - right);
          if (fits) moves.emplace(down, right);
          fitting += fits ? 1 : 0;
        }
      CHECK(fitting == 1);
    }
  }
  CHECK(moves.size() == 25);
  CHECK(changed(data::random_crop(0), {2, 3, 3}).x.to_vector<float>()[8] == 9);
  for (std::uint64_t seed = 0; seed < 20; ++seed)
    changed(data::random_crop(9), {3, 2, 2}, seed);  // further than it is wide
}

TEST_CASE("random_flip mirrors a share of the images") {
  const Numbers x = changed(data::random_flip(0.25), {1000, 1, 2}).x.to_vector<float>();
  int flipped = 0;
  for (std::size_t i = 0; i < 1000; ++i) {
    const auto first = static_cast<float>(2 * i + 1);
    CHECK((x[2 * i] == first ? x[2 * i + 1] == first + 1 : x[2 * i] == first + 1 && x[2 * i + 1] == first));
    flipped += x[2 * i] != first ? 1 : 0;
  }
  CHECK(flipped == doctest::Approx(250).epsilon(0.2));
  CHECK(changed(data::random_flip(1), {1, 2, 3}).x.to_vector<float>() == Numbers{3, 2, 1, 6, 5, 4});
  CHECK(changed(data::random_flip(0), {1, 2, 3}).x.to_vector<float>() == Numbers{1, 2, 3, 4, 5, 6});
}

TEST_CASE("random_erase takes a square out of each image, in all channels") {
  const Numbers x = changed(data::random_erase(2), {200, 2, 3, 4}).x.to_vector<float>();
  std::set<int> sizes;
  for (std::size_t i = 0; i < 200; ++i) {
    int erased = 0;
    for (std::size_t pixel = 0; pixel < 12; ++pixel) {
      const float first = x[i * 24 + pixel], second = x[i * 24 + 12 + pixel];
      CHECK((first == 0) == (second == 0));
      if (first == 0) ++erased;
      else CHECK(first == static_cast<float>(i * 24 + pixel + 1));
    }
    sizes.insert(erased);
  }
  CHECK(sizes == std::set<int>{1, 2, 4});  // whole, at an edge, in a corner
  CHECK(sum(changed(data::random_erase(1000), {2, 3, 3}).x).item() == 0);
}

TEST_CASE("transforms can follow each other") {
  const data::Transform twice = data::compose({data::random_flip(1), data::random_flip(1)});
  CHECK(changed(twice, {1, 1, 3}).x.to_vector<float>() == Numbers{1, 2, 3});
  CHECK(changed(data::compose({}), {1, 1, 3}).x.to_vector<float>() == Numbers{1, 2, 3});
  CHECK(changed(data::random_crop(1), {0, 1, 3}).x.size() == 0);
}

TEST_CASE("transforms say what they cannot do") {
  CHECK_THROWS_WITH_AS(data::random_crop(-1), "random_crop: images move by 0 to 2^30 pixels, got -1", UsageError);
  CHECK_THROWS_WITH_AS(data::random_flip(1.5), "random_flip: the share of images must be in [0, 1], got 1.5",
                       UsageError);
  CHECK_THROWS_WITH_AS(data::random_erase(0), "random_erase: a square has a side of 1 pixel or more, got 0",
                       UsageError);
  CHECK_THROWS_WITH_AS(data::compose({data::random_flip(), {}}), "compose: one of the transforms is empty", UsageError);
  CHECK_THROWS_WITH_AS(changed(data::random_flip(), {4, 3}),
                       "random_flip: images are [n, ..., height, width], got [4, 3]", ShapeError);
}
