#include "png.h"

#include "../../autograd/error.h"
#include "../../autograd/op.h"
#include "../../autograd/ops.h"
#include "file.h"
#include "source.h"
#include "text.h"

#include <fmt/format.h>
#include <png.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <exception>
#include <string_view>
#include <vector>

namespace ebb::io {

namespace {

constexpr std::string_view last_chunk("\0\0\0\0IEND\xAE\x42\x60\x82", 12);

/// libpng's own account of an image; frees what it holds.
struct Png {
  png_image image{};
  Png() { image.version = PNG_IMAGE_VERSION; }
  ~Png() { png_image_free(&image); }
  Png(const Png&) = delete;
  Png& operator=(const Png&) = delete;
};

/// Bits of a pixel, of a file that begins with a header that libpng has read.
unsigned bits_of_pixel(std::string_view bytes) {
  constexpr std::array<unsigned, 7> numbers{1, 0, 3, 1, 2, 0, 4};  // by the type of its colours
  const auto depth = static_cast<unsigned char>(bytes[24]), colours = static_cast<unsigned char>(bytes[25]);
  return depth * numbers.at(colours);
}

/// The pixels as bytes with their opacity behind: [height, width, 2 or 4].
std::vector<png_byte> pixels_of(Png& png, std::string_view bytes, const std::string& path) {
  const auto damaged = [&] {
    throw ParseError(fmt::format("{}: it is no whole PNG: {}", path, shown(png.image.message)));
  };
  if (png_image_begin_read_from_memory(&png.image, bytes.data(), bytes.size()) == 0) damaged();
  if (bytes.substr(12, 4) != "IHDR")  // which libpng lets pass
    throw ParseError(fmt::format("{}: it is no whole PNG: its first chunk is not its header", path));
  const std::uint64_t pixels = std::uint64_t{png.image.width} * png.image.height;
  if (pixels / (8 * tightest / bits_of_pixel(bytes)) > bytes.size())
    throw ParseError(fmt::format("{}: it claims {} by {} pixels, which {} bytes cannot hold", path, png.image.width,
                                 png.image.height, bytes.size()));
  if (bytes.rfind(last_chunk) == std::string_view::npos)
    throw ParseError(fmt::format("{}: it ends at byte {} before the last chunk: truncated copy?", path, bytes.size()));
  const bool colour = (png.image.format & PNG_FORMAT_FLAG_COLOR) != 0;
  png.image.format = colour ? PNG_FORMAT_RGBA : PNG_FORMAT_GA;
  png.image.flags |= PNG_IMAGE_FLAG_16BIT_sRGB;  // 16 bits are the same scale as 8, only finer
  std::vector<png_byte> all;
  try {
    all.resize(pixels * (colour ? 4 : 2));
  } catch (const std::exception&) {  // a bad file may still claim more than there is
    throw IoError(
        fmt::format("{}: there is no memory for its {} by {} pixels", path, png.image.width, png.image.height));
  }
  if (png_image_finish_read(&png.image, nullptr, all.data(), 0, nullptr) == 0) damaged();
  return all;
}

}  // namespace

Tensor read_png(const std::string& path, const PngOptions& options) {
  if (options.channels != 0 && options.channels != 1 && options.channels != 3)
    throw UsageError(fmt::format("read_png: channels are 1, 3, or with 0 those of the file, got {}", options.channels));
  const std::string bytes = read_file(path);
  Png png;
  const std::vector<png_byte> from = pixels_of(png, bytes, path);
  const bool colour = png.image.format == PNG_FORMAT_RGBA;
  const std::int64_t channels = options.channels != 0 ? options.channels : colour ? 3 : 1;
  Tensor image = ebb::detail::empty({channels, png.image.height, png.image.width}, f32);
  const std::size_t pixels = std::size_t{png.image.height} * png.image.width;
  float* to = ebb::detail::write<float>(image);
  for (std::size_t i = 0; i < pixels; ++i) {
    const png_byte* pixel = from.data() + i * (colour ? 4 : 2);
    if (colour && channels == 1) {
      to[i] = (0.299F * pixel[0] + 0.587F * pixel[1] + 0.114F * pixel[2]) / 255;
    } else {
      for (std::size_t c = 0; c < static_cast<std::size_t>(channels); ++c)
        to[c * pixels + i] = static_cast<float>(pixel[colour ? c : 0]) / 255;
    }
  }
  return image;
}

void write_png(const std::string& path, const Tensor& image) {
  const Shape shape = image.rank() == 2 ? image.shape().inserted(0, 1) : image.shape();
  if (shape.rank() != 3 || (shape[0] != 1 && shape[0] != 3) || shape.size() == 0)
    throw ShapeError(fmt::format("write_png: an image is [height, width] or [1 or 3, height, width], got {}",
                                 to_string(image.shape())));
  constexpr std::int64_t most = 1 << 14;
  if (shape[1] > most || shape[2] > most)
    throw ShapeError(
        fmt::format("write_png: an image has {} pixels at most each way, got {}", most, to_string(image.shape())));
  if (!is_floating(image.dtype()))
    throw DTypeError(fmt::format("write_png: brightness is f32 or f64 in [0, 1], not {}", to_string(image.dtype())));
  const std::vector<double> from = image.to_vector<double>();
  const std::size_t channels = shape[0] == 3 ? 3 : 1, pixels = from.size() / channels;
  std::vector<png_byte> bytes(from.size());
  for (std::size_t i = 0; i < from.size(); ++i) {
    if (std::isnan(from[i])) throw UsageError(fmt::format("write_png: number {} of the image is NaN", i));
    bytes[i % pixels * channels + i / pixels] = static_cast<png_byte>(std::lround(std::clamp(from[i], 0.0, 1.0) * 255));
  }

  Png png;
  png.image.format = channels == 3 ? PNG_FORMAT_RGB : PNG_FORMAT_GRAY;
  png.image.height = static_cast<png_uint_32>(shape[1]);
  png.image.width = static_cast<png_uint_32>(shape[2]);
  png_alloc_size_t size = PNG_IMAGE_PNG_SIZE_MAX(png.image);
  std::string packed(size, '\0');
  if (png_image_write_to_memory(&png.image, packed.data(), &size, 0, bytes.data(), 0, nullptr) == 0)
    throw IoError(fmt::format("cannot write \"{}\": {}", path, png.image.message));
  packed.resize(size);
  const std::array<std::span<const char>, 1> parts{packed};
  replace_file(path, parts);
}

}  // namespace ebb::io
