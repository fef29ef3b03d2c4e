#include "images.h"

#include "../../autograd/error.h"
#include "../../autograd/op.h"
#include "../../autograd/ops.h"
#include "../io/png.h"
#include "../io/text.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <system_error>

namespace ebb::data {

namespace {

namespace fs = std::filesystem;

/// What stands in a folder, by name, without what is hidden.
std::vector<fs::path> entries_of(const fs::path& folder) {
  std::error_code error;
  std::vector<fs::path> entries;
  for (fs::directory_iterator i(folder, error), end; !error && i != end; i.increment(error))
    if (!i->path().filename().string().starts_with('.')) entries.push_back(i->path());
  if (error) throw IoError(fmt::format("cannot read \"{}\": {}", folder.string(), error.message()));
  std::sort(entries.begin(), entries.end());
  return entries;
}

bool is_folder(const fs::path& path) {
  std::error_code ignored;  // what cannot be asked is no folder
  return fs::is_directory(path, ignored);
}

/// The matrix [to, from] that resizes one axis: each new pixel's weights of the old ones.
Tensor weights(std::int64_t from, std::int64_t to) {
  const double step = static_cast<double>(from) / static_cast<double>(to), reach = std::max(step, 1.0);
  std::vector<double> all(static_cast<std::size_t>(from * to), 0.0);
  for (std::int64_t i = 0; i < to; ++i) {
    const double middle = (static_cast<double>(i) + 0.5) * step;
    const auto first = std::max<std::int64_t>(0, std::llround(std::floor(middle - reach)));
    const auto end = std::min(from, static_cast<std::int64_t>(std::llround(std::ceil(middle + reach))));
    const auto weight = [&](std::int64_t j) {
      return std::max(0.0, 1 - std::abs(static_cast<double>(j) + 0.5 - middle) / reach);
    };
    double total = 0;
    for (std::int64_t j = first; j < end; ++j) total += weight(j);
    for (std::int64_t j = first; j < end; ++j) all[static_cast<std::size_t>(i * from + j)] = weight(j) / total;
  }
  return ebb::from(all, {to, from});
}

}  // namespace

Tensor resize(const Tensor& images, std::int64_t height, std::int64_t width) {
  if (!is_floating(images.dtype()))
    throw DTypeError(fmt::format("resize: images are f32 or f64, not {}", to_string(images.dtype())));
  constexpr std::int64_t most = 1 << 14;
  const Shape shape = images.shape();
  if (shape.rank() < 2 || shape[-1] < 1 || shape[-2] < 1 || shape[-1] > most || shape[-2] > most)
    throw ShapeError(
        fmt::format("resize: images are [..., height, width] of 1 to {} pixels, got {}", most, to_string(shape)));
  if (height < 1 || width < 1 || height > most || width > most)
    throw ShapeError(fmt::format("resize: the new size is 1 to {} pixels each way, got {} by {}", most, height, width));
  if (shape[-2] == height && shape[-1] == width) return images;
  const Tensor rows = weights(shape[-2], height).to(images.dtype()),
               columns = weights(shape[-1], width).to(images.dtype());
  return matmul(rows, matmul(images, transpose(columns)));
}

Dataset images(const std::string& folder, const ImagesOptions& options) {
  if ((options.height == 0) != (options.width == 0))
    throw UsageError("images: .height and .width are given together or not at all");
  std::vector<fs::path> files;
  std::vector<std::int64_t> y;
  Dataset dataset;
  for (const fs::path& place : entries_of(folder)) {
    if (!is_folder(place)) continue;
    const std::size_t before = files.size();
    for (const fs::path& file : entries_of(place)) {
      std::string extension = file.extension().string();
      std::transform(extension.begin(), extension.end(), extension.begin(),
                     [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
      if (extension != ".png") throw UsageError(fmt::format("{}: it is not called .png", file.string()));
      files.push_back(file);
      y.push_back(std::ssize(dataset.classes));
    }
    if (files.size() == before) throw UsageError(fmt::format("{}: there are no images", place.string()));
    dataset.classes.push_back(place.filename().string());
  }
  if (files.empty()) throw UsageError(fmt::format("{}: it has no folders of images, one for each class", folder));

  Shape first;
  for (std::size_t i = 0; i < files.size(); ++i) {
    const std::int64_t channels = options.channels == 0 && i > 0 ? first[0] : options.channels;
    Tensor image = io::read_png(files[i].string(), {.channels = channels});
    if (options.height != 0) image = resize(image, options.height, options.width);
    if (i == 0) {
      first = image.shape();
      dataset.x = ebb::detail::empty(first.inserted(0, std::ssize(files)), f32);
    }
    if (image.shape() != first)
      throw ShapeError(fmt::format("{}: the image is {}, and the first one was {}\n  help: give .height and .width",
                                   files[i].string(), to_string(image.shape()), to_string(first)));
    std::memcpy(ebb::detail::write<float>(dataset.x) + static_cast<std::int64_t>(i) * first.size(),
                ebb::detail::read<float>(image), static_cast<std::size_t>(first.size()) * sizeof(float));
  }
  dataset.y = from(y, {std::ssize(y)});
  return dataset;
}

}  // namespace ebb::data
