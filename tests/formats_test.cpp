// Files of other people's making: what they hold, and what is wrong with those that are refused.
#include <doctest/doctest.h>
#include <ebb/nn/nn.h>

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <string>
#include <string_view>
#include <vector>

using namespace ebb;

namespace {

namespace fs = std::filesystem;

/// A folder of its own, gone at the end.
struct Folder {
  fs::path path;
  Folder() {
    std::string name = (fs::temp_directory_path() / "ebb-formats-XXXXXX").string();
    REQUIRE(::mkdtemp(name.data()) != nullptr);
    path = name;
  }
  ~Folder() {
    std::error_code ignored;
    fs::remove_all(path, ignored);
  }
  std::string operator/(const std::string& name) const { return (path / name).string(); }
};


std::string put(const std::string& path, std::string_view bytes) {
  std::ofstream(path, std::ios::binary | std::ios::trunc).write(bytes.data(), std::ssize(bytes));
  return path;
}

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
  CHECK_THROWS_WITH_AS(data::read_text(twice, 21), (twice + ": it is longer than 21 bytes").c_str(), ParseError);
  CHECK_THROWS_WITH_AS(data::read_text(twice, 10), (twice + ": it is longer than 10 bytes").c_str(), ParseError);
  CHECK_THROWS_AS(data::read_text(folder / "none"), IoError);
}
