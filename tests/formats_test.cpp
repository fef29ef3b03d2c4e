// Files of other people's making: what they hold, and what is wrong with those that are refused.
#include "folder.h"

#include <doctest/doctest.h>
#include <ebb/nn/nn.h>

#include <cstdint>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

using namespace ebb;

namespace {

namespace fs = std::filesystem;

/// Bytes written as "00 00 08 01".
std::string hex(std::string_view digits) {
  std::string bytes;
  for (std::size_t i = 0; i + 1 < digits.size(); i += 3)
    bytes += static_cast<char>(std::stoi(std::string(digits.substr(i, 2)), nullptr, 16));
  return bytes;
}

/// What reading a file of these bytes says, its name left out.
std::string complaint(std::string_view bytes, const std::function<void(const std::string& path)>& read) {
  const Folder folder;
  const std::string path = put(folder / "f", bytes);
  try {
    read(path);
  } catch (const Error& e) {
    const std::string message = e.what();
    REQUIRE_MESSAGE(message.starts_with(path), message);
    return message.substr(path.size());
  }
  return "it was read";
}

/// Reads every file that begins as this one and is shorter: each must be refused as what it is.
void refuses_every_cut(const std::string& bytes, const std::function<void(const std::string& path)>& read) {
  const Folder folder;
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    CAPTURE(size);
    CHECK_THROWS_AS(read(put(folder / "cut", std::string_view(bytes).substr(0, size))), ParseError);
  }
}

/// Flips every bit of the first bytes: each such file is read, or refused with an Error that names it.
/// Returns how many were refused.
int refused_flips(std::string bytes, std::size_t first, const std::function<void(const std::string& path)>& read) {
  const Folder folder;
  int refused = 0;
  for (std::size_t i = 0; i < std::min(first, bytes.size()); ++i)
    for (int bit = 0; bit < 8; ++bit) {
      CAPTURE(i);
      CAPTURE(bit);
      bytes[i] = static_cast<char>(bytes[i] ^ 1 << bit);
      const std::string path = put(folder / "flipped", bytes);
      try {
        read(path);
      } catch (const Error& e) {
        ++refused;
        CHECK_MESSAGE(std::string(e.what()).find(path) != std::string::npos, e.what());
      }
      bytes[i] = static_cast<char>(bytes[i] ^ 1 << bit);
    }
  return refused;
}

using Numbers = std::vector<float>;
using Whole = std::vector<std::int64_t>;

}  // namespace

// ---- IDX ---------------------------------------------------------------------------------------------------------

namespace {

void read_idx(const std::string& path) { io::read_idx(path); }
const std::string examples = EBB_SOURCE_ROOT "/examples/data/";

/// gzip's bytes of the IDX file 00 00 08 01 00 00 00 03 07 08 09.
const std::string packed_idx =
    hex("1f 8b 08 00 00 00 00 00 02 ff 63 60 e0 60 64 60 60 60 66 e7 e0 04 00 ad 98 0a ba 0b 00 00 00 ");

}  // namespace

TEST_CASE("read_idx reads each of the format's six types") {
  const Folder folder;
  const auto read = [&](std::string_view digits) { return io::read_idx(put(folder / "f", hex(digits))); };
  const auto whole = [&](std::string_view digits) { return read(digits).to_vector<std::int64_t>(); };
  CHECK(whole("00 00 08 01 00 00 00 03 00 7f ff ") == Whole{0, 127, 255});
  CHECK(whole("00 00 09 01 00 00 00 02 7f ff ") == Whole{127, -1});
  CHECK(whole("00 00 0b 01 00 00 00 02 01 02 ff fe ") == Whole{258, -2});
  CHECK(whole("00 00 0c 01 00 00 00 02 00 00 01 02 80 00 00 00 ") == Whole{258, -2147483648});
  const Tensor floats = read("00 00 0d 01 00 00 00 02 3f 80 00 00 c0 20 00 00 ");
  CHECK(floats.dtype() == f32);
  CHECK(floats.to_vector<float>() == Numbers{1, -2.5});
  const Tensor doubles = read("00 00 0e 02 00 00 00 01 00 00 00 01 3f b9 99 99 99 99 99 9a ");
  CHECK(doubles.dtype() == f64);
  CHECK(doubles.shape() == Shape{1, 1});
  CHECK(doubles.item() == 0.1);
  CHECK(read("00 00 08 00 05 ").item() == 5);
  CHECK(read("00 00 08 03 00 00 00 00 00 00 00 1c 00 00 00 1c ").shape() == Shape{0, 28, 28});
  CHECK(io::read_idx(put(folder / "f", packed_idx)).to_vector<std::int64_t>() == Whole{7, 8, 9});
  CHECK(io::read_idx(put(folder / "f", packed_idx), f32).to_vector<float>() == Numbers{7, 8, 9});
}

TEST_CASE("images and labels in IDX files are a dataset") {
  const data::Dataset train = data::idx(examples + "fashion-mnist/train-images-idx3-ubyte.gz",
                                        examples + "fashion-mnist/train-labels-idx1-ubyte.gz");
  CHECK(train.x.shape() == Shape{2000, 1, 28, 28});
  CHECK(train.x.dtype() == f32);
  CHECK(min(train.x).item() == 0);
  CHECK(max(train.x).item() == 1);
  CHECK(train.y.dtype() == i64);
  CHECK(train.y.shape() == Shape{2000});
  CHECK(train.y[0].item() == 9);  // an ankle boot
  const data::Dataset test =
      data::idx(examples + "fashion-mnist/t10k-images-idx3-ubyte.gz",
                examples + "fashion-mnist/t10k-labels-idx1-ubyte.gz", {.scale = 1, .channel = false});
  CHECK(test.x.shape() == Shape{500, 28, 28});
  CHECK(max(test.x).item() == 255);
  CHECK(test.y[1].item() == 2);  // a pullover
}

TEST_CASE("labels must fit their images") {
  const Folder folder;
  const std::string images = put(folder / "images", hex("00 00 08 03 00 00 00 02 00 00 00 01 00 00 00 01 01 02 "));
  const std::string labels = folder / "labels";
  put(labels, hex("00 00 08 01 00 00 00 03 01 02 03 "));
  CHECK_THROWS_WITH_AS(data::idx(images, labels), (labels + ": 3 labels for images [2, 1, 1] of " + images).c_str(),
                       ParseError);
  CHECK_THROWS_WITH_AS(data::idx(images, images),
                       (images + ": labels must be whole numbers of shape [n], got i64 [2, 1, 1]").c_str(), ParseError);
  put(labels, hex("00 00 0d 01 00 00 00 01 00 00 00 00 "));
  CHECK_THROWS_WITH_AS(data::idx(images, labels),
                       (labels + ": labels must be whole numbers of shape [n], got f32 [1]").c_str(), ParseError);
  CHECK_THROWS_WITH_AS(io::read_idx(labels, i64), (labels + ": it holds f32 numbers, which i64 cannot").c_str(),
                       DTypeError);
}

TEST_CASE("read_idx says what is wrong, and where") {
  const auto of = [](std::string_view digits) { return complaint(hex(digits), read_idx); };
  CHECK(of("00 00 08 ") == ": 3 bytes are too few for an IDX file");
  CHECK(of("89 50 4e 47 0d ") == ": it begins with 89 50 and not with two zeros: is it an IDX file?");
  CHECK(of("00 00 0a 01 ") ==
        ": byte 2 says that numbers are of type 0A; 08 (u8), 09 (i8), 0B (i16), 0C (i32), 0D (f32) and 0E (f64) are "
        "known");
  CHECK(of("00 00 08 09 ") == ": byte 3 says 9 axes; 8 are the most");
  CHECK(of("00 00 08 02 00 00 00 01 00 ") == ": the sizes need bytes [4, 12) but the file ends at 9: truncated copy?");
  CHECK(of("00 00 08 02 ff ff ff ff ff ff ff ff ") ==
        ": it has shape [4294967295, 4294967295], which is more than 64 bits count");
  CHECK(of("00 00 08 01 ff ff ff ff 01 02 ") ==
        ": numbers of shape [4294967295] need bytes [8, 4294967303) but the file ends at 10: truncated copy?");
  CHECK(of("00 00 08 01 00 00 00 01 01 02 ") == ": bytes follow the numbers, which end at 9");
  CHECK_THROWS_WITH_AS(io::read_idx("no-such.gz"), "cannot open \"no-such.gz\": No such file or directory", IoError);
}

TEST_CASE("packed files that are damaged, cut or followed by something are refused") {
  CHECK(complaint(packed_idx.substr(0, 20), read_idx) ==
        ": the packed data end at byte 20 before they are whole: truncated copy?");
  std::string bytes = packed_idx;
  bytes[packed_idx.size() - 6] ^= 1;  // in the checksum
  CHECK(complaint(bytes, read_idx).starts_with(": the packed data are damaged before byte "));
  CHECK(complaint(packed_idx + "xyz", read_idx) == ": 3 bytes follow the packed data");
  CHECK(complaint(packed_idx + packed_idx, read_idx) == ": bytes follow the numbers, which end at 11");
}

TEST_CASE("a short IDX file that claims much gets no memory") {
  // gzip's bytes of 00 00 08 01 7f ff ff ff: 2 GB of numbers, which 28 bytes cannot hold.
  const std::string bomb = hex("1f 8b 08 00 00 00 00 00 02 ff 63 60 e0 60 ac ff ff ff 3f 00 6c e2 f3 87 08 00 00 00 ");
  const std::string message = complaint(bomb, read_idx);
  CHECK(message.starts_with(": numbers of shape [2147483647] need bytes [8, 2147483655) but the file ends before "));
}

TEST_CASE("no IDX file that is cut or damaged does harm") {
  const std::string plain = hex("00 00 0b 02 00 00 00 02 00 00 00 01 01 02 03 04 ");
  refuses_every_cut(plain, read_idx);
  refuses_every_cut(packed_idx, read_idx);
  CHECK(refused_flips(plain, 12, read_idx) > 90);
  CHECK(refused_flips(packed_idx, packed_idx.size(), read_idx) > 150);
}

// ---- NPY and NPZ -------------------------------------------------------------------------------------------------

namespace {

void read_npy(const std::string& path) { io::read_npy(path); }
void read_npz(const std::string& path) { io::read_npz(path); }
const std::string parity = EBB_SOURCE_ROOT "/tests/parity/";

/// A .npy file with this header before these bytes.
std::string npy(const std::string& header, const std::string& data = "") {
  std::string bytes = "\x93NUMPY";
  bytes += {'\1', '\0', static_cast<char>(header.size() & 255), static_cast<char>(header.size() >> 8)};
  return bytes + header + data;
}

const io::Tensors some_arrays{{"a", tensor({{1, 2}, {3, 4}})},
                              {"deep.b", full({1}, 0.1, f64)},
                              {"i", tensor({-7, 8}, i64)},
                              {"none", zeros({0, 3})},
                              {"one", tensor(2.5)},
                              {"\xCE\xB1", full({2, 3, 1000}, 7)}};

void check_equal(const io::Tensors& back, const io::Tensors& wanted) {
  REQUIRE(back.size() == wanted.size());
  for (const auto& named : wanted) {
    CAPTURE(named.first);
    const Tensor &array = named.second, &read = back.at(named.first);
    CHECK(read.shape() == array.shape());
    CHECK(read.dtype() == array.dtype());
    CHECK(read.to_vector<double>() == array.to_vector<double>());
  }
}

}  // namespace

TEST_CASE("read_npz reads what NumPy wrote, of every type and order") {
  const io::Tensors arrays = io::read_npz(parity + "numpy.npz");
  for (const std::string code : {"b1", "u1", "u2", "u4", "u8", "i1", "i2", "i4", "i8", "f2", "f4", "f8"})
    for (const std::string kind : {"", "_fortran", "_big"}) {
      CAPTURE(code + kind);
      const Tensor& array = arrays.at(code + kind);
      CHECK(array.shape() == Shape{2, 3});
      CHECK(array.dtype() == (code == "f8" ? f64 : code[0] == 'f' ? f32 : i64));
      CHECK(array.to_vector<float>() == (code == "b1"     ? Numbers{0, 1, 0, 1, 0, 1}
                                         : code[0] == 'u' ? Numbers{0, 1, 2, 3, 4, 5}
                                                          : Numbers{0, -1, -2, -3, -4, -5}));
    }
  for (const std::string name : {"f4_version2", "f4_version3"})
    CHECK(arrays.at(name).to_vector<float>() == Numbers{0, -1, -2, -3, -4, -5});
  CHECK(arrays.at("one").shape() == Shape{});
  CHECK(arrays.at("one").item() == 2.5);
  CHECK(arrays.at("line").to_vector<float>() == Numbers{0, 1, 2});
  CHECK(arrays.at("none").shape() == Shape{0, 3});
  CHECK(arrays.at("deep_fortran").shape() == Shape{2, 3, 4});
  CHECK(arrays.at("deep_fortran").to_vector<std::int64_t>() == arange(24).to_vector<std::int64_t>());
  CHECK(arrays.at("model/dense.weight").dtype() == f32);
  CHECK(arrays.size() == 43);

  const io::Tensors stored = io::read_npz(parity + "numpy_stored.npz");
  check_equal(stored, {{"f4", arrays.at("f4")}, {"i8", arrays.at("i8")}});
}

TEST_CASE("arrays come back from .npy and .npz as they were, and give the same bytes") {
  const Folder folder;
  for (const auto& [name, array] : some_arrays) {
    io::write_npy(folder / "a.npy", array);
    check_equal({{name, io::read_npy(folder / "a.npy")}}, {{name, array}});
  }
  for (const bool compress : {false, true}) {
    const std::string path = folder / "a.npz";
    io::write_npz(path, some_arrays, {.compress = compress});
    const io::Tensors back = io::read_npz(path);
    check_equal(back, some_arrays);
    CHECK((bytes_of(path).size() < 24000) == compress);
    io::write_npz(folder / "b.npz", back, {.compress = compress});
    CHECK(bytes_of(path) == bytes_of(folder / "b.npz"));
  }
  io::write_npz(folder / "none.npz", {});
  CHECK(io::read_npz(folder / "none.npz").empty());
}

TEST_CASE("a .npy file is what the format says") {
  const Folder folder;
  io::write_npy(folder / "a", tensor({1, 2}));
  std::string header = "{'descr': '<f4', 'fortran_order': False, 'shape': (2,), }";
  header.resize(128 - 10 - 1, ' ');
  CHECK(bytes_of(folder / "a") == npy(header + "\n", hex("00 00 80 3f 00 00 00 40 ")));
  io::write_npy(folder / "a", tensor(1, i64));
  CHECK(bytes_of(folder / "a").substr(10, 56) == "{'descr': '<i8', 'fortran_order': False, 'shape': (), } ");
}

TEST_CASE("read_npy takes every spelling of a header that Python would") {
  const Folder folder;
  const auto shape = [&](const std::string& header) {
    return io::read_npy(put(folder / "f", npy(header, "\1\2\3\4\5\6"))).shape();
  };
  CHECK(shape(R"({"descr":"|u1","fortran_order":False,"shape":(2,3)})") == Shape{2, 3});
  CHECK(shape("{ 'shape' : ( 6L , ) , 'fortran_order' : True , 'descr' : '=u1' }\n  ") == Shape{6});
}

TEST_CASE("read_npy says what is wrong, and where") {
  const auto of = [](const std::string& bytes) { return complaint(bytes, read_npy); };
  const auto header = [&](const std::string& text) { return of(npy(text)); };
  const std::string good = "{'descr': '<f4', 'fortran_order': False, 'shape': (2,)}";
  CHECK(of("\x93NUM") == ": 4 bytes are too few for a .npy file");
  CHECK(of("PK\3\4 and more") == ": it does not begin with 93 \"NUMPY\": is it a .npy file?");
  CHECK(of(std::string("\x93NUMPY\4\0", 8)) == ": it is of version 4; 1, 2 and 3 can be read");
  CHECK(of(std::string("\x93NUMPY\1\0\7", 9)) ==
        ": the header's length needs bytes [8, 10) but the file ends at 9: truncated copy?");
  CHECK(of(std::string("\x93NUMPY\2\0\0\0\0\1", 12)) == ": the header claims 16777216 bytes, and 65536 are the most");
  CHECK(of(npy(good).substr(0, 30)) == ": the header needs bytes [10, 65) but the file ends at 30: truncated copy?");
  CHECK(of(npy(good, "1234567")) ==
        ": numbers of shape [2] need bytes [65, 73) but the file ends at 72: truncated copy?");
  CHECK(of(npy(good, "123456789")) == ": bytes follow the numbers, which end at 73");
  CHECK(header("") == ": the header is damaged at byte 10: \"{\" was expected");
  CHECK(header("{'descr' '<f4'}") == ": the header is damaged at byte 19: \":\" was expected");
  CHECK(header("{'descr': <f4}") == ": the header is damaged at byte 20: a quote was expected");
  CHECK(header("{'descr': '<f4}") == ": the header is damaged at byte 21: a quote never ends");
  CHECK(header("{'fortran_order': 0}") == ": the header is damaged at byte 28: True or False was expected");
  CHECK(header("{'shape': 2}") == ": the header is damaged at byte 20: \"(\" was expected");
  CHECK(header("{'shape': (-2,)}") == ": the header is damaged at byte 21: a size was expected");
  CHECK(header("{'shape': (99999999999999999999,)}") == ": the header is damaged at byte 21: a size was expected");
  CHECK(header("{'shape': (2 3)}") == ": the header is damaged at byte 23: \")\" was expected");
  CHECK(header("{'sh\npe': (2,)}") == ": the header is damaged at byte 19: \"sh?pe\" has no place there");
  CHECK(header(good + "1") == ": the header is damaged at byte 65: it goes on behind its end");
  CHECK(header("{'shape': (), 'shape': ()}") == ": the header is damaged at byte 32: \"shape\" has no place there");
  CHECK(header("{}") == ": the header has no \"descr\"");
  CHECK(header("{'descr': '<f4', 'shape': ()}") == ": the header has no \"fortran_order\"");
  CHECK(header("{'descr': '<f4', 'fortran_order': True}") == ": the header has no \"shape\"");
  const auto descr = [&](const std::string& type) {
    return header("{'descr': " + type + ", 'fortran_order': False, 'shape': (2,)}");
  };
  CHECK(descr("'|O'") == ": it holds \"|O\"; b1, i1 to i8, u1 to u8 and f2 to f8 can be read");
  CHECK(descr("'<c8'") == ": it holds \"<c8\"; b1, i1 to i8, u1 to u8 and f2 to f8 can be read");
  CHECK(descr("'f4'") == ": it holds \"f4\"; b1, i1 to i8, u1 to u8 and f2 to f8 can be read");
  CHECK(descr("''") == ": it holds \"\"; b1, i1 to i8, u1 to u8 and f2 to f8 can be read");
  CHECK(descr("[('a', '<f4')]") == ": it is an array of records; arrays of numbers can be read");
  const auto shape = [&](const std::string& sizes) {
    return header("{'descr': '<f4', 'fortran_order': False, 'shape': (" + sizes + ")}");
  };
  CHECK(shape("1,1,1,1,1,1,1,1,1") == ": it has 9 axes; 8 are the most");
  CHECK(shape("4294967296, 4294967296") == ": it has shape [4294967296, 4294967296], which is more than 64 bits count");
  CHECK(shape("4294967296, 16") ==
        ": numbers of shape [4294967296, 16] need bytes [77, 274877907021) but the file ends at 77: truncated copy?");
  CHECK(of(npy("{'descr': '<u8', 'fortran_order': False, 'shape': ()}", std::string(8, '\xff'))) ==
        ": a number before byte 71 is too large for i64");
  CHECK_THROWS_AS(io::read_npy(parity + "numpy.npz"), ParseError);
}

TEST_CASE("read_npz says what is wrong, and where") {
  const Folder folder;
  io::write_npz(folder / "f", {{"a", tensor({1, 2})}, {"b", tensor({3, 4}, i64)}});
  const std::string good = bytes_of(folder / "f");
  const std::size_t directory = good.find("PK\1\2"), second = good.find("PK\1\2", directory + 1);
  REQUIRE(directory == 350);
  const auto with = [&](std::size_t at, std::string_view digits) {
    std::string bytes = good;
    const std::string put = hex(digits);
    return complaint(bytes.replace(at, put.size(), put), read_npz);
  };
  CHECK(complaint("", read_npz) == ": it has no end of a zip archive: another format, or a truncated copy?");
  CHECK(complaint(good.substr(0, good.size() - 1), read_npz) ==
        ": it has no end of a zip archive: another format, or a truncated copy?");
  CHECK(complaint(good + "x", read_npz) == ": the comment that ends the archive at byte 474 is not as long as it says");
  CHECK(with(good.size() - 6, "ff ff ff 7f ") ==
        ": a directory of 2 files at bytes [2147483647, 2147483647 + 102) does not fit into the archive");
  CHECK(with(good.size() - 12, "ff ff ") ==
        ": a directory of 65535 files at bytes [350, 350 + 102) does not fit into the archive");
  CHECK(with(directory, "00 ") == ": no record of the archive stands at byte 350, where one should");
  CHECK(with(directory + 8, "01 ") == ": a.npy: it is encrypted");
  CHECK(with(directory + 10, "0c ") == ": a.npy: it is packed by method 12; 0 (stored) and 8 (deflated) can be read");
  CHECK(with(directory + 20, "00 00 00 10 ") ==
        ": a.npy: its 268435456 bytes from 35 on reach into the directory at 350");
  CHECK(with(directory + 24, "00 ") == ": a.npy: it is stored, but as 136 bytes of 0");
  CHECK(with(directory + 42, "01 ") == ": a.npy: no record of the archive stands at byte 1, where one should");
  CHECK(with(directory + 42, "ff ff ff ff ") == ": a.npy: its size or place is missing");
  CHECK(with(directory + 28, "ff ff ") == ": the record at byte 350 is longer than the directory");
  CHECK(with(directory + 46 + 4, "7a ") == ": a.npz is no .npy file");
  CHECK(with(second + 46, "61 ") == ": a.npy is there twice");
  CHECK(with(35 + 130, "41 ").starts_with(": a.npy: its bytes are damaged: their checksum is "));
}

TEST_CASE("files in an archive may not share bytes") {
  const Folder folder;
  io::write_npz(folder / "f", {{"a", tensor({1, 2})}, {"b", tensor({1, 2})}});
  std::string bytes = bytes_of(folder / "f");
  bytes.replace(bytes.rfind("PK\1\2") + 42, 4,
                std::string(4, '\0'));  // so can few packed bytes claim to be a thousand files
  CHECK(complaint(bytes, read_npz) == ": b.npy begins at byte 0, inside of a.npy");
}

TEST_CASE("read_npz reads the wider records of archives beyond 4 GiB") {
  const Folder folder;
  io::write_npz(folder / "f", {{"a", tensor({1, 2})}});
  const std::string bytes = bytes_of(folder / "f");
  const std::size_t directory = bytes.find("PK\1\2"), end = bytes.find("PK\5\6");
  const auto wide = [](std::uint64_t n) {
    std::string eight(8, '\0');
    std::memcpy(eight.data(), &n, 8);
    return eight;
  };
  std::string record = bytes.substr(directory, end - directory);
  record.replace(20, 8, 8, '\xff');
  record.replace(42, 4, 4, '\xff');
  record.replace(30, 2, std::string("\x20\0", 2));
  record += hex("99 99 00 00 01 00 18 00 ") + wide(136) + wide(136) + wide(0);
  std::string last = bytes.substr(end);
  last.replace(8, 12, 12, '\xff');
  const std::string whole = bytes.substr(0, directory) + record + "PK\6\6" + wide(44) + hex("2d 00 2d 00 ") +
                            std::string(8, '\0') + wide(1) + wide(1) + wide(record.size()) + wide(directory) +
                            "PK\6\7" + std::string(4, '\0') + wide(directory + record.size()) + hex("01 00 00 00 ") +
                            last;
  check_equal(io::read_npz(put(folder / "f", whole)), {{"a", tensor({1, 2})}});
  CHECK(refused_flips(whole, whole.size(), read_npz) > 1000);
}

TEST_CASE("names that an archive cannot hold, and tensors that hold nothing, are refused before anything is written") {
  const Folder folder;
  CHECK_THROWS_WITH_AS(io::write_npz(folder / "f", {{"a", ones({1})}, {"b", {}}}),
                       "write_npz: \"b\" is a Tensor that holds nothing", UsageError);
  CHECK_THROWS_WITH_AS(io::write_npz(folder / "f", {{"a\nb", ones({1})}}),
                       "write_npz: \"a?b.npy\" cannot be a name in an archive", UsageError);
  CHECK(!fs::exists(folder / "f"));
  CHECK_THROWS_AS(io::write_npy(folder / "no/f", ones({1})), IoError);
}

TEST_CASE("no NPY or NPZ file that is cut or damaged does harm") {
  const Folder folder;
  io::write_npy(folder / "f", tensor({1, 2}));
  const std::string array = bytes_of(folder / "f");
  refuses_every_cut(array, read_npy);
  CHECK(refused_flips(array, 80, read_npy) > 350);
  for (const bool compress : {false, true}) {
    io::write_npz(folder / "f", {{"a", tensor({1, 2})}, {"b", tensor({3, 4}, i64)}}, {.compress = compress});
    const std::string archive = bytes_of(folder / "f");
    refuses_every_cut(archive, read_npz);
    CHECK(refused_flips(archive, archive.size(), read_npz) > 1000);
  }
}

// ---- PNG ---------------------------------------------------------------------------------------------------------

namespace {

void read_png(const std::string& path) { io::read_png(path); }

const std::string png_head = hex("89 50 4e 47 0d 0a 1a 0a 00 00 00 0d 49 48 44 52 ");
const std::string png_end = hex("00 00 00 00 49 45 4e 44 ae 42 60 82 ");
/// 3 by 2 pixels of one bit: 101, 010.
const std::string bits = png_head +
                         hex("00 00 00 03 00 00 00 02 01 00 00 00 00 b5 0f 5b b7 "
                             "00 00 00 0c 49 44 41 54 78 da 63 58 c0 e0 00 00 02 24 00 e1 4d 16 e8 5e ") +
                         png_end;
/// 2 by 1 pixels of sixteen grey bits: 8080, ffff.
const std::string sixteen = png_head +
                            hex("00 00 00 02 00 00 00 01 10 00 00 00 00 81 d9 fc 15 "
                                "00 00 00 0d 49 44 41 54 78 da 63 68 68 f8 ff 1f 00 06 82 02 ff 6c e0 43 23 ") +
                            png_end;
/// 2 by 2 pixels out of a palette: red, green; blue, green.
const std::string palette = png_head +
                            hex("00 00 00 02 00 00 00 02 02 03 00 00 00 0f d8 e5 b7 "
                                "00 00 00 09 50 4c 54 45 ff 00 00 00 ff 00 00 00 ff 2d 4a cd 8a "
                                "00 00 00 0c 49 44 41 54 78 da 63 10 60 98 00 00 00 c4 00 a1 28 a1 69 3a ") +
                            png_end;
/// 1 by 2 pixels: ff8040, wholly transparent; 003366, opaque.
const std::string transparent =
    png_head +
    hex("00 00 00 01 00 00 00 02 08 06 00 00 00 99 81 b6 27 00 00 00 12 49 44 41 54 78 da 63 "
        "f8 df e0 c0 c0 c0 60 9c f6 1f 00 11 25 03 58 da e7 e1 e6 ") +
    png_end;

}  // namespace

TEST_CASE("read_png reads every kind of pixels") {
  const Folder folder;
  const auto read = [&](const std::string& bytes, std::int64_t channels = 0) {
    const Tensor image = io::read_png(put(folder / "f", bytes), {.channels = channels}) * 255;
    CHECK(image.dtype() == f32);
    return std::pair(image.shape(), image.to_vector<float>());
  };
  CHECK(read(bits) == std::pair(Shape{1, 2, 3}, Numbers{255, 0, 255, 0, 255, 0}));
  CHECK(read(bits, 3).first == Shape{3, 2, 3});
  CHECK(read(sixteen) == std::pair(Shape{1, 1, 2}, Numbers{128, 255}));
  CHECK(read(palette) == std::pair(Shape{3, 2, 2}, Numbers{255, 0, 0, 0, 0, 255, 0, 255, 0, 0, 255, 0}));
  CHECK(read(palette, 1).second[1] == doctest::Approx(0.587 * 255));
  CHECK(read(transparent) == std::pair(Shape{3, 2, 1}, Numbers{0xff, 0, 0x80, 0x33, 0x40, 0x66}));
  CHECK_THROWS_WITH_AS(io::read_png("f", {.channels = 2}),
                       "read_png: channels are 1, 3, or with 0 those of the file, got 2", UsageError);
}

TEST_CASE("images come back from .png as bytes tell them") {
  const Folder folder;
  const std::string path = folder / "f.png";
  const Tensor colours = reshape(arange(3 * 4 * 5, f64), {3, 4, 5}) / 255.0;
  io::write_png(path, colours);
  CHECK((io::read_png(path) * 255).to_vector<float>() == arange(60).to_vector<float>());
  io::write_png(path, tensor({{-1, 0.25, 9}}));
  CHECK((io::read_png(path) * 255).to_vector<float>() == Numbers{0, 64, 255});
  CHECK_THROWS_WITH_AS(io::write_png(path, zeros({2, 4, 4})),
                       "write_png: an image is [height, width] or [1 or 3, height, width], got [2, 4, 4]", ShapeError);
  CHECK_THROWS_WITH_AS(io::write_png(path, zeros({20000, 1})),
                       "write_png: an image has 16384 pixels at most each way, got [20000, 1]", ShapeError);
  CHECK_THROWS_WITH_AS(io::write_png(path, zeros({4, 4}, i64)),
                       "write_png: brightness is f32 or f64 in [0, 1], not i64", DTypeError);
  CHECK_THROWS_WITH_AS(io::write_png(path, log(tensor({{1, -1}}))), "write_png: number 1 of the image is NaN",
                       UsageError);
}

TEST_CASE("read_png says what is wrong, and libpng's errors are Ebb's") {
  CHECK(complaint("GIF89a", read_png).starts_with(": it is no whole PNG: "));
  CHECK(complaint("", read_png).starts_with(": it is no whole PNG: "));
  CHECK(complaint(bits.substr(0, bits.size() - 1), read_png) ==
        ": it ends at byte 68 before the last chunk: truncated copy?");
  // 700 by 700 pixels of 32 bits are more than deflate makes of 67 bytes, of 1 bit each they would not be.
  CHECK(complaint(png_head +
                      hex("00 00 02 bc 00 00 02 bc 08 06 00 00 00 0d ba 6c 43 00 00 00 0a 49 44 41 54 78 da 63 60 "
                          "00 00 00 02 00 01 e5 27 de fc ") +
                      png_end,
                  read_png) == ": it claims 700 by 700 pixels, which 67 bytes cannot hold");
  CHECK(complaint(png_head +
                      hex("00 00 ea 60 00 00 ea 60 08 06 00 00 00 80 d2 75 42 00 00 00 0a 49 44 41 54 78 da 63 60 "
                          "00 00 00 02 00 01 e5 27 de fc ") +
                      png_end,
                  read_png) == ": it claims 60000 by 60000 pixels, which 67 bytes cannot hold");
}

TEST_CASE("no PNG file that is cut or damaged does harm") {
  for (const std::string& bytes : {bits, sixteen, palette, transparent}) {
    refuses_every_cut(bytes, read_png);
    CHECK(refused_flips(bytes, bytes.size(), read_png) > 300);
  }
}

TEST_CASE("a folder of images is a dataset") {
  const Folder folder;
  const auto add = [&](const std::string& name, const Tensor& image) {
    fs::create_directories(fs::path(folder / name).parent_path());
    io::write_png(folder / name, image);
  };
  const auto message = [&](const data::ImagesOptions& options = {}) -> std::string {
    try {
      data::images(folder.path.string(), options);
    } catch (const Error& e) {
      const std::string what = e.what();
      const std::size_t at = what.find(folder.path.string());
      return at == std::string::npos ? what : what.substr(at + folder.path.string().size());
    }
    return "it was read";
  };
  CHECK(message() == ": it has no folders of images, one for each class");
  add("dog/2.png", full({2, 3}, 1));
  add("dog/1.PNG", full({2, 3}, 0.2));
  add("cat/a.png", full({2, 3}, 0));
  put(folder / "README", "of no account");
  put(folder / "cat/.hidden", "neither");
  const data::Dataset all = data::images(folder.path.string());
  CHECK(all.x.shape() == Shape{3, 1, 2, 3});
  CHECK(mean(all.x, std::vector<int>{1, 2, 3}).to_vector<float>()[1] == doctest::Approx(0.2));
  CHECK(max(all.x[2]).item() == 1);
  CHECK(all.y.to_vector<std::int64_t>() == Whole{0, 1, 1});
  CHECK(all.classes == std::vector<std::string>{"cat", "dog"});
  CHECK(data::images(folder.path.string(), {.channels = 3, .height = 4, .width = 4}).x.shape() == Shape{3, 3, 4, 4});
  CHECK(message({.height = 4}) == "images: .height and .width are given together or not at all");
  CHECK(message({.height = -4, .width = 4}) == "resize: the new size is 1 to 16384 pixels each way, got -4 by 4");

  add("dog/3.png", full({2, 4}, 1));
  CHECK(message() ==
        "/dog/3.png: the image is [1, 2, 4], and the first one was [1, 2, 3]\n  help: give .height and .width");
  put(folder / "dog/3.png", "no image");
  CHECK(message().starts_with("/dog/3.png: it is no whole PNG: "));
  put(folder / "dog/3.jpg", "no image");
  CHECK(message() == "/dog/3.jpg: it is not called .png");
  fs::create_directory(folder / "bird");
  CHECK(message() == "/bird: there are no images");
  CHECK_THROWS_WITH_AS(data::images("no-such"), "cannot read \"no-such\": No such file or directory", IoError);
}

TEST_CASE("resize is linear where an image grows, and a mean where it shrinks") {
  CHECK(data::resize(tensor({{0, 1}, {0, 1}}), 1, 4).to_vector<float>() == Numbers{0, 0.25, 0.75, 1});
  const Numbers small = data::resize(reshape(arange(4, f64), {4, 1}), 2, 1).to_vector<float>();
  CHECK(small[0] == doctest::Approx(1.25 / 1.75));
  CHECK(small[1] == doctest::Approx(3 - 1.25 / 1.75));
  const Tensor same = data::resize(full({2, 3, 7, 5}, 0.5), 3, 9);
  CHECK(same.shape() == Shape{2, 3, 3, 9});
  for (const float v : same.to_vector<float>()) CHECK(v == doctest::Approx(0.5));
  CHECK_THROWS_WITH_AS(data::resize(ones({3}), 2, 2),
                       "resize: images are [..., height, width] of 1 to 16384 pixels, got [3]", ShapeError);
  CHECK_THROWS_WITH_AS(data::resize(ones({3, 3}, i64), 2, 2), "resize: images are f32 or f64, not i64", DTypeError);
}

// ---- text --------------------------------------------------------------------------------------------------------

TEST_CASE("read_text reads what gzip packed, and leaves a byte order mark out") {
  const std::string text = data::read_text(examples + "devils_dictionary.txt.gz");
  CHECK(text.size() == 382679);
  CHECK(text.starts_with("PREFACE\n\n_The Devil's Dictionary_ was begun"));
  CHECK(text.ends_with("every two years.\n"));
  const Folder folder;
  CHECK(data::read_text(put(folder / "f", "\xEF\xBB\xBFplain\r\n")) == "plain\r\n");
  CHECK(data::read_text(put(folder / "f", "")).empty());
  const std::string twice = put(folder / "f", packed_idx + packed_idx);  // gzip -c a >f; gzip -c b >>f
  CHECK(data::read_text(twice).size() == 22);
  CHECK_THROWS_AS(data::read_text(folder / "none"), IoError);
}

TEST_CASE("csv reads a packed table, and no damage to it does harm") {
  const Folder folder;
  const std::string path =  // a,y and 1,2
      put(folder / "f", hex("1f 8b 08 00 00 00 00 00 02 ff 4b d4 a9 e4 32 d4 31 e2 02 00 23 f5 86 63 08 00 00 00 "));
  CHECK(data::csv(path, {.label = "y"}).y.item() == 2);
  const auto read = [](const std::string& file) { data::csv(file, {.label = "y"}); };
  const std::string packed = bytes_of(path), plain = "a,\"y\"\n1,\"2\"\n3,4\n";
  CHECK(refused_flips(packed, packed.size(), read) > 100);
  CHECK(refused_flips(plain, plain.size(), read) > 50);
}
