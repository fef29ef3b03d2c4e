#include "folder.h"

#include <doctest/doctest.h>
#include <ebb/nn/nn.h>

#include <array>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <limits>
#include <string>
#include <vector>

using namespace ebb;

namespace {

namespace fs = std::filesystem;

/// A safetensors file with this header before this many bytes of data.
std::string file(const std::string& header, std::size_t data = 0) {
  const std::uint64_t size = header.size();
  std::string bytes(8, '\0');
  std::memcpy(bytes.data(), &size, 8);
  return bytes + header + std::string(data, '\0');
}

struct Small {
  nn::Dense fc1{2, 3}, fc2{3, 1};
  Tensor mean = zeros({2}, f64);
  EBB_FIELDS(fc1, fc2, mean)
};

std::vector<float> all_numbers(const Small& model) {
  std::vector<float> all = model.mean.to_vector<float>();
  for (const auto& [name, parameter] : nn::parameters(model))
    for (const float v : parameter.value().to_vector<float>()) all.push_back(v);
  return all;
}

}  // namespace

TEST_CASE("a saved model loads again, and saves to the same bytes") {
  const Folder folder;
  Small a, b;
  a.mean = tensor({1.5, -2.5}, f64);
  nn::save(a, folder / "a.safetensors");
  CHECK(all_numbers(a) != all_numbers(b));
  const auto state = b.fc1.weight.state();
  nn::load(b, folder / "a.safetensors");
  CHECK(all_numbers(a) == all_numbers(b));
  CHECK(b.fc1.weight.state() == state);  // an optimizer that holds it goes on
  nn::save(b, folder / "b.safetensors");
  CHECK(bytes_of(folder / "a.safetensors") == bytes_of(folder / "b.safetensors"));
  CHECK(std::distance(fs::directory_iterator(folder.path), {}) == 2);  // nothing else was left
}

TEST_CASE("the file is what the format says") {
  const Folder folder;
  io::write_safetensors(folder / "t.safetensors",
                        {{"a", tensor({1, 2})}, {"wide", tensor({3, 4}, i64)}, {"one", tensor(5)}});
  std::string header = R"({"wide":{"dtype":"I64","shape":[2],"data_offsets":[0,16]},)"
                       R"("a":{"dtype":"F32","shape":[2],"data_offsets":[16,24]},)"
                       R"("one":{"dtype":"F32","shape":[],"data_offsets":[24,28]}})";
  header.resize((header.size() + 7) / 8 * 8, ' ');
  const std::string bytes = bytes_of(folder / "t.safetensors");
  CHECK(bytes.substr(0, 8 + header.size()) == file(header));
  CHECK(bytes.size() == 8 + header.size() + 28);
  float first;
  std::memcpy(&first, bytes.data() + 8 + header.size() + 16, 4);
  CHECK(first == 1);
}

TEST_CASE("every type of numbers comes back, halves as f32") {
  const io::Tensors wide{{"f", tensor({{1, 2}, {3, 4}})},
                         {"d", full({1}, 0.1, f64)},
                         {"i", tensor({-7, 8}, i64)},
                         {"none", zeros({0, 3})},
                         {"one", tensor(2.5)}};
  const Folder folder;
  io::write_safetensors(folder / "t", wide);
  const io::Tensors back = io::read_safetensors(folder / "t");
  REQUIRE(back.size() == wide.size());
  for (const auto& [name, tensor] : wide) {
    CHECK(back.at(name).shape() == tensor.shape());
    CHECK(back.at(name).dtype() == tensor.dtype());
    CHECK(back.at(name).to_vector<double>() == tensor.to_vector<double>());
  }

  const auto narrow = [](const char* dtype, std::array<std::uint16_t, 6> bits) {
    std::string bytes = file(std::string(R"({"h":{"dtype":")") + dtype + R"(","shape":[6],"data_offsets":[0,12]}})");
    bytes.append(reinterpret_cast<const char*>(bits.data()), 12);
    return io::parse_safetensors(bytes, "h").at("h").to_vector<float>();
  };
  const float infinity = std::numeric_limits<float>::infinity();
  CHECK(narrow("F16", {0x3C00, 0xC000, 0x0001, 0x7C00, 0x8000, 0x7BFF}) ==
        std::vector<float>{1, -2, 5.9604645e-8f, infinity, -0.0f, 65504});
  CHECK(narrow("BF16", {0x3F80, 0xC000, 0x0000, 0x7F80, 0xFF80, 0x4049}) ==
        std::vector<float>{1, -2, 0, infinity, -infinity, 3.140625f});
}

TEST_CASE("a file of another model is refused and changes nothing") {
  const Folder folder;
  struct Other {
    nn::Dense fc1{2, 3}, fc2{4, 1}, old{1, 1};
    Parameter scale{zeros({2}, f64)};
    Tensor mean = zeros({2});
    EBB_FIELDS(fc1, fc2, old, scale, mean)
  } other;
  nn::save(other, folder / "m.safetensors");
  struct Wanting {
    nn::Dense fc1{2, 3}, fc2{3, 1}, fc3{1, 1};
    Tensor mean = zeros({2}, f64);
    EBB_FIELDS(fc1, fc2, fc3, mean)
  } model;
  const auto before = model.fc1.weight.value().to_vector<float>();
  const std::string path = folder / "m.safetensors";
  const std::string message =
      path +
      " does not fit the model: fc2.weight is [1, 4] in the file, [1, 3] in the model, mean is f32 "
      "in the file, f64 in the model; missing in the file: fc3.bias, fc3.weight; unknown: old.bias, "
      "old.weight, scale. Nothing was loaded";
  CHECK_THROWS_WITH_AS(nn::load(model, path), message.c_str(), UsageError);
  CHECK(model.fc1.weight.value().to_vector<float>() == before);

  struct Empty {
    EBB_FIELDS()
  } empty;
  const std::string many =
      path +
      " does not fit the model: unknown: fc1.bias, fc1.weight, fc2.bias, fc2.weight, mean (+3 more). "
      "Nothing was loaded";
  CHECK_THROWS_WITH_AS(nn::load(empty, path), many.c_str(), UsageError);
}

namespace {

struct Backbone {
  nn::Dense fc1{2, 3};
  Tensor mean = zeros({2});
  EBB_FIELDS(fc1, mean)
};
struct Pretrained {
  Backbone backbone;
  nn::Dense head{3, 5, {.dtype = f64}};
  EBB_FIELDS(backbone, head)
};
struct Tuned {
  Backbone backbone;
  nn::Dense head{3, 5}, fresh{5, 1};
  EBB_FIELDS(backbone, head, fresh)
};

std::vector<double> of(const Parameter& p) { return p.value().to_vector<double>(); }
std::vector<double> as_f32(const Parameter& p) { return p.value().to(f32).to_vector<double>(); }

}  // namespace

TEST_CASE("loading in part takes what both have, converts it, and tells the rest") {
  const Folder folder;
  Pretrained saved;
  saved.backbone.mean = tensor({3, 4});
  nn::save(saved, folder / "m");

  Tuned model;
  const std::vector<double> fresh = of(model.fresh.weight);
  nn::LoadReport report = nn::load(model, folder / "m", {.strict = false});
  CHECK(report.missing == std::vector<std::string>{"fresh.bias", "fresh.weight"});
  CHECK(report.unknown.empty());
  CHECK(of(model.backbone.fc1.weight) == of(saved.backbone.fc1.weight));
  CHECK(model.backbone.mean.to_vector<float>() == std::vector<float>{3, 4});
  CHECK(model.head.weight.dtype() == f32);
  CHECK(of(model.head.weight) == as_f32(saved.head.weight));
  CHECK(of(model.fresh.weight) == fresh);

  Backbone alone;
  report = nn::load(alone, folder / "m", {.prefix = "backbone."});
  CHECK(report.missing.empty());
  CHECK(report.unknown.empty());
  CHECK(of(alone.fc1.weight) == of(saved.backbone.fc1.weight));

  nn::Dense dense(2, 3);
  report = nn::load(dense, folder / "m", {.strict = false, .prefix = "backbone.fc1."});
  CHECK(of(dense.weight) == of(saved.backbone.fc1.weight));
  struct Other {
    nn::Dense fc1{2, 3};
    EBB_FIELDS(fc1)
  } other;
  report = nn::load(other, folder / "m", {.strict = false, .prefix = "backbone."});
  CHECK(report.unknown == std::vector<std::string>{"mean"});
}

TEST_CASE("loading in part refuses what cannot be meant, and changes nothing then") {
  const Folder folder;
  const std::string path = folder / "m";
  nn::save(Pretrained(), path);
  const auto message = [&](auto& model, const nn::LoadOptions& options) -> std::string {
    try {
      nn::load(model, path, options);
    } catch (const UsageError& e) {
      return std::string(e.what()).substr(path.size());
    }
    return "it was loaded";
  };

  struct Wider {
    Backbone backbone;
    nn::Dense head{3, 7};
    EBB_FIELDS(backbone, head)
  } wider;
  const std::vector<double> before = of(wider.backbone.fc1.weight);
  CHECK(message(wider, {.strict = false}) ==
        " does not fit the model: head.bias is [5] in the file, [7] in the model, head.weight is [5, 3] in the file, "
        "[7, 3] in the model. Nothing was loaded");
  CHECK(of(wider.backbone.fc1.weight) == before);

  struct Counting {
    Backbone backbone;
    struct {
      Tensor bias = zeros({5}, i64);
      EBB_FIELDS(bias)
    } head;
    EBB_FIELDS(backbone, head)
  } counting;
  CHECK(message(counting, {.strict = false}) ==
        " does not fit the model: head.bias is f64 in the file, i64 in the model. Nothing was loaded");

  Tuned tuned;
  CHECK(message(tuned, {.prefix = "back"}) ==
        " does not fit the model: missing in the file: backbone.fc1.bias, backbone.fc1.weight, backbone.mean, "
        "fresh.bias, fresh.weight (+2 more); unknown: bone.fc1.bias, bone.fc1.weight, bone.mean. Nothing was loaded");
  CHECK(message(tuned, {.prefix = "encoder."}) == ": no name begins with \"encoder.\"");

  Backbone alone;
  CHECK(message(alone, {}) ==
        " does not fit the model: missing in the file: fc1.bias, fc1.weight, mean; unknown: backbone.fc1.bias, "
        "backbone.fc1.weight, backbone.mean, head.bias, head.weight. Nothing was loaded\n"
        "  help: the file's names begin with \"backbone.\": {.prefix = \"backbone.\"}");
  CHECK(message(alone, {.strict = false}) ==
        " has none of the model's names, such as fc1.bias. Nothing was loaded\n"
        "  help: the file's names begin with \"backbone.\": {.prefix = \"backbone.\"}");
  nn::Dense dense(2, 3);
  CHECK(message(dense, {.strict = false, .prefix = "backbone."}) ==
        " has none of the model's names, such as bias. Nothing was loaded\n"
        "  help: the file's names begin with \"backbone.fc1.\": {.prefix = \"backbone.fc1.\"}");
}

TEST_CASE("a file cut anywhere is refused and changes nothing") {
  const Folder folder;
  Small saved, model;
  const std::string path = folder / "m.safetensors", cut = folder / "cut.safetensors";
  nn::save(saved, path);
  const std::string whole = bytes_of(path);
  const std::vector<float> before = all_numbers(model);
  int refused = 0;
  for (std::size_t size = 0; size < whole.size(); ++size) {
    put(cut, whole.substr(0, size));
    try {
      nn::load(model, cut);
    } catch (const ParseError&) {
      ++refused;
    }
  }
  CHECK(refused == static_cast<int>(whole.size()));
  CHECK(all_numbers(model) == before);
  put(cut, whole + "x");
  CHECK_THROWS_WITH_AS(nn::load(model, cut), (cut + ": 1 bytes follow the last tensor").c_str(), ParseError);
}

TEST_CASE("no bit of a header can be flipped into anything but an Error or a valid file") {
  const Folder folder;
  nn::save(Small(), folder / "m");
  std::string bytes = bytes_of(folder / "m");
  std::uint64_t header;
  std::memcpy(&header, bytes.data(), 8);
  int refused = 0;
  for (std::size_t i = 0; i < 8 + header; ++i)
    for (int bit = 0; bit < 8; ++bit) {
      bytes[i] = static_cast<char>(bytes[i] ^ 1 << bit);
      try {
        io::parse_safetensors(bytes, "m");  // may be valid: a letter of a name changed
      } catch (const Error&) {
        ++refused;
      }
      bytes[i] = static_cast<char>(bytes[i] ^ 1 << bit);
    }
  CHECK(refused > static_cast<int>(header) * 4);
}

TEST_CASE("hostile safetensors get a message that says what is wrong") {
  const auto message = [](const std::string& bytes) -> std::string {
    try {
      io::parse_safetensors(bytes, "x");
    } catch (const Error& e) {
      return e.what();
    }
    return "it was read";
  };
  const auto entry = [](const std::string& dtype, const std::string& shape, const std::string& offsets) {
    return R"({"w":{"dtype":")" + dtype + R"(","shape":)" + shape + R"(,"data_offsets":)" + offsets + "}}";
  };
  CHECK(message("") == "x: 0 bytes are too few for a safetensors file");
  CHECK(message("12345678") ==
        "x: the header claims 4050765991979987505 bytes, and 16777216 are the most: is it a safetensors file?");
  CHECK(message(std::string("\x10\0\0\0\0\0\0\0{}", 10)) ==
        "x: the header needs bytes [8, 24) but the file ends at 10: truncated copy?");
  CHECK(message(file("{")) == "x: the header is damaged: it is not JSON from byte 2 on");
  CHECK(message(file("[]")) == "x: the header is damaged: a list has no place there");
  CHECK(message(file(R"({"w":1})")) == "x: the header is damaged: a number has no place in \"w\"");
  CHECK(message(file(R"({"w":{"dtype":{"deep":{}}}})")) == "x: the header is damaged: an object has no place in \"w\"");
  CHECK(message(file("{\"w\":" + std::string(100000, '['))) ==
        "x: the header is damaged: a list has no place in \"w\"");
  CHECK(message(file(R"({"w":{},"w":{}})")) == "x: the header is damaged: \"w\" is there twice");
  CHECK(message(file(R"({"w":{"shape":[],"shape":[]}})")) == "x: the header is damaged: \"w\" has \"shape\" twice");
  CHECK(message(file(R"({"w":{"shape":[-2,-2]}})")) ==
        "x: the header is damaged: a negative number has no place in \"w\"");
  CHECK(message(file(R"({"w":{"shape":[1e3]}})")) ==
        "x: the header is damaged: a fraction or too large a number has no place in \"w\"");
  CHECK(message(file(R"({"w":{}})")) == "x: w has no \"dtype\"");
  CHECK(message(file(R"({"w":{"dtype":"F32"}})")) == "x: w has no \"shape\"");
  CHECK(message(file(R"({"w":{"dtype":"F32","shape":[]}})")) == "x: w wants two \"data_offsets\"");
  CHECK(message(file(entry("F32", "[]", "[0]"), 4)) == "x: w wants two \"data_offsets\"");
  CHECK(message(file(entry("I7", "[]", "[0,4]"), 4)) == "x: w holds I7; F32, F64, I64, F16 and BF16 can be read");
  CHECK(message(file(entry("F32", "[2]", "[0,4]"), 4)) ==
        "x: w of shape [2] and type F32 fills 8 bytes, but its place is [0, 4)");
  CHECK(message(file(entry("F32", "[1]", "[4,0]"), 4)) ==
        "x: w of shape [1] and type F32 fills 4 bytes, but its place is [4, 0)");
  CHECK(message(file(entry("F32", "[1,1,1,1,1,1,1,1,1]", "[0,4]"), 4)) == "x: w has 9 axes; 8 are the most");
  CHECK(message(file(entry("F32", "[4294967296,4294967296]", "[0,0]"))) ==
        "x: w has shape [4294967296, 4294967296], which is more than 64 bits count");
  CHECK(message(file(entry("F32", "[0,4294967296,4294967296]", "[0,0]"))) ==
        "x: w has shape [0, 4294967296, 4294967296], which is more than 64 bits count");
  CHECK(message(file(entry("F32", "[100000000]", "[0,400000000]"), 4)) ==
        "x: w needs bytes [78, 400000078) but the file ends at 82: truncated copy?");
  CHECK(message(file(R"({"":{"dtype":"F32","shape":[],"data_offsets":[0,4]}})", 4)) == "x: a tensor has no name");
  CHECK(message(file(R"({"a\nb":{"dtype":"F32","shape":[],"data_offsets":[0,4]}})", 4)) ==
        "x: a?b has control characters in its name");
  CHECK(message(file("{\"" + std::string(5000, 'n') + R"(":{"dtype":"F32","shape":[],"data_offsets":[0,4]}})", 4)) ==
        "x: " + std::string(64, 'n') + "... has a name of 5000 bytes; 4096 are the most");
  CHECK(message(file("{\"\xff\":{}}")).starts_with("x: the header is damaged: it is not JSON from byte "));

  const auto two = [&](const std::string& a, const std::string& b) {
    return message(file(R"({"a":{"dtype":"F32","shape":[1],"data_offsets":)" + a +
                            R"(},"b":{"dtype":"F32","shape":[1],"data_offsets":)" + b + "}}",
                        12));
  };
  CHECK(two("[0,4]", "[2,6]") == "x: b begins at byte 2 of the data, inside the tensor before, which ends at 4");
  CHECK(two("[0,4]", "[8,12]") ==
        "x: b begins at byte 8 of the data, behind a hole after the tensor before, which ends at 4");
  CHECK(two("[0,4]", "[4,8]") == "x: 4 bytes follow the last tensor");
  CHECK(message(file(R"({"__metadata__":{"format":"pt"}})")) == "it was read");
  CHECK(message(file(R"({"__metadata__":{"format":3}})")) ==
        "x: the header is damaged: a number has no place in \"__metadata__\"");
}

TEST_CASE("names that a file cannot hold are refused before anything is written") {
  const Folder folder;
  CHECK_THROWS_WITH_AS(io::write_safetensors(folder / "t", {{"__metadata__", ones({1})}}),
                       "write_safetensors: \"__metadata__\" cannot be a tensor's name in a file", UsageError);
  CHECK_THROWS_WITH_AS(io::write_safetensors(folder / "t", {{"\xff", ones({1})}}),
                       "write_safetensors: a tensor's name is not UTF-8", UsageError);
  CHECK(!fs::exists(folder / "t"));
}

TEST_CASE("files that cannot be read say why") {
  const Folder folder;
  Small model;
  const std::string missing = folder / "none";
  CHECK_THROWS_WITH_AS(nn::load(model, missing), ("cannot open \"" + missing + "\": No such file or directory").c_str(),
                       IoError);
  const std::string directory = folder.path.string();
  CHECK_THROWS_WITH_AS(nn::load(model, directory), ("cannot read \"" + directory + "\": it is no regular file").c_str(),
                       IoError);
}

TEST_CASE("a save that fails leaves the old file, and nothing beside it") {
  const Folder folder;
  const Small model;
  const std::string path = folder / "m";
  const std::string nowhere = folder / "no/such/m";
  CHECK_THROWS_WITH_AS(nn::save(model, nowhere),
                       ("cannot write \"" + nowhere + "\": No such file or directory").c_str(), IoError);
  fs::create_directory(path);
  CHECK_THROWS_WITH_AS(nn::save(model, path), ("cannot write \"" + path + "\": it is no regular file").c_str(),
                       IoError);
  CHECK(std::distance(fs::directory_iterator(folder.path), {}) == 1);
  CHECK_THROWS_AS(nn::save(model, "/dev/full"), IoError);
}

TEST_CASE("saving over a file keeps its mode, and follows a link to it") {
  const Folder folder;
  const Small model;
  const std::string path = folder / "m", link = folder / "link";
  put(path, "old");
  fs::permissions(path, fs::perms::owner_read | fs::perms::owner_write);
  fs::create_symlink("m", link);
  nn::save(model, link);
  CHECK(fs::is_symlink(link));
  CHECK(fs::status(path).permissions() == (fs::perms::owner_read | fs::perms::owner_write));
  CHECK(bytes_of(path).size() > 100);
}
